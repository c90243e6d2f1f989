"""The command line of all rooms: verbs, options, help, messages and exit codes.

Exit codes: 0 if everything asked for was done, 1 if part of it was not, 2 after a mistake of the user's, 70 after a fault of
this program, 130 after Ctrl-C, 143 after SIGTERM, 141 if whoever read the output went away.
"""

from engine.cli.net import UsageError, one_line, run
from engine.cli.noise import quiet_libraries
from engine.cli.output import Output
from engine.cli.parser import Parser
from engine.cli.settings import add_images, add_job_arguments, dataclass_from, job_options
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
    "add_images",
    "add_job_arguments",
    "dataclass_from",
    "job_options",
    "one_line",
    "quiet_libraries",
    "run",
]
