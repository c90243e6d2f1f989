"""What every command does alike: a user's mistake ends in one line and a non-zero exit code, never in a traceback."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentError
from collections.abc import Callable, Mapping, Sequence

from jsonargparse import ArgumentParser

MISTAKES = (ArgumentError, ValueError, OSError, FloatingPointError)

FROM_WORKER = "Original Traceback (most recent call last):"
"""What PyTorch writes into the message of an error that was raised in a loader process."""


def run(command: Callable[[list[str]], int], arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: its own, or 2 after a mistake of the user's, told in one line.

    Under ``python -X dev`` the traceback is shown instead.
    """
    try:
        return command(list(sys.argv[1:] if arguments is None else arguments))
    except Exception as error:
        if sys.flags.dev_mode or not isinstance(error, mistakes()):
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2


def mistakes() -> tuple[type[Exception], ...]:
    """Errors that are the user's to mend; Lightning's only where it is in use, as it takes seconds to load."""
    module = sys.modules.get("lightning.fabric.utilities.exceptions")
    return (*MISTAKES, module.MisconfigurationException) if module else MISTAKES


def dispatch(about: str, verbs: Mapping[str, Callable[[list[str]], int]], arguments: list[str]) -> int:
    """Run the verb the arguments begin with; without a known one say what there is, which is 0 only if that was asked for."""
    if not arguments or arguments[0] not in verbs:
        asked = arguments[:1] in (["-h"], ["--help"])
        print(about, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    return verbs[arguments[0]](arguments[1:])


def one_line(error: BaseException) -> str:
    """An error's message without line breaks, and without the traceback that one from a loader process brings along."""
    text = str(error)
    if FROM_WORKER in text:
        text = re.split(r"^[\w.]+: ", text.partition(FROM_WORKER)[2], flags=re.MULTILINE)[-1]
    return re.sub(r"\s+", " ", text).strip()


def parser(program: str, about: str) -> ArgumentParser:
    """A parser whose errors are raised, with ``-c/--config`` for a YAML file of the same settings."""
    made = ArgumentParser(prog=program, description=about, exit_on_error=False)
    made.add_argument("-c", "--config", action="config", help="YAML file with any of the settings below")
    return made
