"""Exit codes and one-line error messages of every command."""

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

from engine.cli.noise import ROOMS, log_notes, quiet_libraries
from engine.devices import leave_process_group, started_by_first
from engine.stopping import Stopped

ROOT = Path(__file__).parents[2]

USER_ERRORS = (ArgumentError, ValueError, OSError, FloatingPointError)

USER_ERROR = 2
FAULT = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
TERMINATED = 143

MAX_MESSAGE_CHARS = 900

WORKER_TRACEBACK = "Original Traceback (most recent call last):"
"""Text that PyTorch inserts into the message of an error raised in a loader process."""

SYMLINK_LOOP = "Symlink loop from "
"""Beginning of pathlib's RuntimeError for a link that leads to itself."""


class UsageError(ArgumentError):
    """Error of a command line or config, with a one-line message for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(None, message)


def run(command: Callable[[list[str]], int], arguments: Sequence[str] | None = None) -> int:
    """Run a command, print its error in one line, and return the exit code.

    No error is raised, except under ``python -X dev``.

    Args:
        command: Function from the arguments to an exit code.
        arguments: None for those of the process. The process then belongs to the command:
            SIGTERM stops it, and libraries are quiet.
    """
    try:
        # prepare the process
        if arguments is None:
            signal.signal(signal.SIGTERM, _raise_stopped)
            if sys.flags.dev_mode:
                log_notes(of_libraries=True)
            else:
                quiet_libraries()
        code = command(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        if arguments is None:
            leave_process_group()
    except BrokenPipeError:
        return _end_without_reader()
    except BaseException as error:
        code, message = exit_status(error)
        if code == TERMINATED and started_by_first():
            # the first process prints the message: it got the same signal, or sent this one
            os._exit(0)
        if sys.flags.dev_mode and isinstance(error, Exception):
            raise
        if message:
            print(message, file=sys.stderr)
    return code


def exit_status(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the message for an error that ended a command."""
    kind = type(error).__name__
    if isinstance(error, Stopped) or kind == "SIGTERMException":  # the latter is Lightning's
        return TERMINATED, "stopped by SIGTERM"
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        return INTERRUPTED, "stopped by Ctrl-C"
    if isinstance(error, SystemExit):
        return _of_system_exit(error)
    if isinstance(error, RuntimeError) and str(error).startswith(SYMLINK_LOOP):
        looped = str(error).removeprefix(SYMLINK_LOOP).strip("'\"")
        return USER_ERROR, f"error: {looped}: too many levels of symbolic links"
    if isinstance(error, _user_errors()):
        return USER_ERROR, f"error: {one_line(error)}"
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in ROOMS:
        module = error.name
        message = (
            f"error: {module} is not installed: run make install, or make install-pages for the "
            "web pages"
        )
        return USER_ERROR, message
    if kind == "OutOfMemoryError" or isinstance(error, MemoryError):
        return USER_ERROR, "error: out of memory: use a smaller --batch-size, or smaller images"
    return FAULT, fault_message(error)


def _user_errors() -> tuple[type[Exception], ...]:
    """Return the errors that the user can correct.

    Lightning's is included only if Lightning is loaded, as loading it takes seconds.
    """
    module = sys.modules.get("lightning.fabric.utilities.exceptions")
    return (*USER_ERRORS, module.MisconfigurationException) if module else USER_ERRORS


def fault_message(error: BaseException) -> str:
    """Format a fault of this program: its place in the source, and how to report it."""
    place = ""
    frame = error.__traceback__
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
    """Format an error's message in one line of at most 900 characters.

    The traceback in an error of a loader process is removed.
    """
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{os.fsdecode(error.filename)}: {error.strerror[0].lower()}{error.strerror[1:]}"
    if WORKER_TRACEBACK in text:
        traceback = text.partition(WORKER_TRACEBACK)[2]
        text = re.split(r"^[\w.]+: ", traceback, flags=re.MULTILINE)[-1]
    return _shorten(re.sub(r"\s+", " ", text).strip()) or type(error).__name__


def _shorten(text: str) -> str:
    """Cut the middle out of a long message, such as the content of a file."""
    if len(text) <= MAX_MESSAGE_CHARS:
        return text
    tail = MAX_MESSAGE_CHARS // 3
    return f"{text[: MAX_MESSAGE_CHARS - tail]} … {text[-tail:]}"


def _raise_stopped(_: int, __: FrameType | None) -> NoReturn:
    """Handle SIGTERM."""
    raise Stopped


def _of_system_exit(error: SystemExit) -> tuple[int, str]:
    """Return the exit code and the message of ``SystemExit``."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0, ""
    return 1, str(error.code)


def _end_without_reader() -> int:
    """Return the exit code for output that nobody reads any more, as in ``… | head``."""
    # discard the buffered rest, which would fail on exit
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED
