"""Command line of all packages: verbs, options, help, messages and exit codes.

Exit codes:

* 0: everything that was requested is done
* 1: some inputs failed
* 2: user error
* 70: fault of this program
* 130: stopped by Ctrl-C
* 141: the reader of the output is gone
* 143: stopped by SIGTERM
"""

from engine.cli.exit_codes import UsageError, one_line, run
from engine.cli.noise import quiet_libraries
from engine.cli.output import Output
from engine.cli.parser import Parser
from engine.cli.settings import (
    add_export_arguments,
    add_images,
    add_job_arguments,
    dataclass_from,
    job_options,
)
from engine.cli.verbs import Room, Training, Verb
from engine.stopping import Stopped

__all__ = [
    "Output",
    "Parser",
    "Room",
    "Stopped",
    "Training",
    "UsageError",
    "Verb",
    "add_export_arguments",
    "add_images",
    "add_job_arguments",
    "dataclass_from",
    "job_options",
    "one_line",
    "quiet_libraries",
    "run",
]
