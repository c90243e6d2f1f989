"""The net under every command: each way to end has one line and one exit code."""

from __future__ import annotations

import os
import re
import signal
import sys
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from engine.cli.noise import ROOMS, quiet_libraries
from engine.devices import leave_process_group, started_by_first
from engine.stopping import Stopped

ROOT = Path(__file__).parents[2]

MISTAKES = (ArgumentError, ValueError, OSError, FloatingPointError)

MISTAKE, FAULT, INTERRUPTED, PIPE_CLOSED, TERMINATED = 2, 70, 130, 141, 143
"""Exit codes."""

LONGEST = 900
"""Characters of a message."""

FROM_WORKER = "Original Traceback (most recent call last):"
"""What PyTorch writes into the message of an error that was raised in a loader process."""


class UsageError(ArgumentError):
    """A command line or config that is wrong, in one line for people."""

    def __init__(self, message: str) -> None:
        super().__init__(None, message)


def run(command: Callable[[list[str]], int], arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; nothing it raises leaves here but under ``python -X dev``.

    Args:
        command: Takes the arguments and returns an exit code.
        arguments: None for the process's own. Then the process is the command's: SIGTERM stops it, libraries are quiet.
    """
    try:
        if arguments is None:
            signal.signal(signal.SIGTERM, _stop)
            if not sys.flags.dev_mode:
                quiet_libraries()
        code = command(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        if arguments is None:
            leave_process_group()
    except BrokenPipeError:
        return _reader_left()
    except BaseException as error:
        code, words = verdict(error)
        if code == TERMINATED and started_by_first():
            os._exit(0)  # the first process tells it: it has the same signal, or sent this one
        if sys.flags.dev_mode and isinstance(error, Exception):
            raise
        if words:
            print(words, file=sys.stderr)
    return code


def verdict(error: BaseException) -> tuple[int, str]:
    """Exit code and words for whatever ended a command."""
    if (
        isinstance(error, Stopped) or type(error).__name__ == "SIGTERMException"
    ):  # the latter is Lightning's
        return TERMINATED, "stopped by SIGTERM"
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        return INTERRUPTED, "stopped by Ctrl-C"
    if isinstance(error, SystemExit):
        return _asked(error)
    if isinstance(error, mistakes()):
        return MISTAKE, f"error: {one_line(error)}"
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] not in ROOMS:
        return (
            MISTAKE,
            f"error: {error.name} is not installed: run make install, or make install-pages for the web pages",
        )
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return MISTAKE, "error: out of memory: use a smaller --batch-size, or smaller images"
    return FAULT, fault(error)


def mistakes() -> tuple[type[Exception], ...]:
    """Errors that are the user's to mend; Lightning's only where it is in use, as it takes seconds to load."""
    module = sys.modules.get("lightning.fabric.utilities.exceptions")
    return (*MISTAKES, module.MisconfigurationException) if module else MISTAKES


def fault(error: BaseException) -> str:
    """One line about a fault of this program: what, where, and how to report it."""
    place, frame = "", error.__traceback__
    while frame is not None:
        file = Path(frame.tb_frame.f_code.co_filename)
        if file.is_relative_to(ROOT) and not file.is_relative_to(sys.prefix):
            place = f" at {file.relative_to(ROOT)}:{frame.tb_lineno}"
        frame = frame.tb_next
    return (
        f"fault in this program{place}: {type(error).__name__}: {one_line(error)[:300]}. "
        "Please report it with what 'python -X dev -m …' prints for the same command"
    )


def one_line(error: BaseException) -> str:
    """An error's message without line breaks, and without the traceback that one from a loader process brings along."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{os.fsdecode(error.filename)}: {error.strerror[0].lower()}{error.strerror[1:]}"
    if FROM_WORKER in text:
        text = re.split(r"^[\w.]+: ", text.partition(FROM_WORKER)[2], flags=re.MULTILINE)[-1]
    return shortened(re.sub(r"\s+", " ", text).strip()) or type(error).__name__


def shortened(text: str) -> str:
    """A message that a person can read: what a long one says in its middle, such as a file's content, is left out."""
    return (
        text
        if len(text) <= LONGEST
        else f"{text[: LONGEST - LONGEST // 3]} … {text[-LONGEST // 3 :]}"
    )


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise Stopped


def _asked(error: SystemExit) -> tuple[int, str]:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0, ""
    return 1, str(error.code)


def _reader_left() -> int:
    """End without a word where the output has no reader any more, as in ``… | head``."""
    os.dup2(
        os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
    )  # what is still buffered would fail on exit
    return PIPE_CLOSED
