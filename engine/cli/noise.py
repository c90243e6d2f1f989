"""Silence for libraries: their advertisements, bars, warnings and log lines."""

from __future__ import annotations

import logging
import os
import warnings

ROOMS = (
    "engine",
    "images",
    "checkpoints",
    "models",
    "datamodules",
    "rid",
    "detectors",
    "indexing",
    "sentinels",
    "eval",
    "tiny",
)
"""Packages of this project."""

ENVIRONMENT = {
    "PYTHONWARNINGS": "ignore",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
    # also for "Loading weights"; our downloads show a bar of this project
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # for bars without a setting, as diffusers has; our bars have one
    "TQDM_DISABLE": "1",
}
"""Environment variables of a command's child processes, unless the user has set them."""


_notes_hidden = False
"""True after ``--quiet``."""


def log_notes(of_libraries: bool = False) -> None:
    """Send log records to stderr: this project's notes and warnings, and all errors.

    Args:
        of_libraries: Also show warnings of libraries, as ``python -X dev`` does.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_is_shown_in_dev_mode if of_libraries else _is_shown)
    handler.setFormatter(_Formatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def hide_notes() -> None:
    """Hide log records below warnings from now on, for ``--quiet``."""
    global _notes_hidden
    _notes_hidden = True


def quiet_libraries() -> None:
    """Hide the output of libraries on stderr, except errors.

    Log lines of this project stay. Call it at the start of a command's process, before any
    library is imported. ``python -X dev`` skips it.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)

    # replace the function: libraries that set warning filters would undo a filter
    warnings.showwarning = _ignore

    log_notes()

    # replace the class: some libraries, such as Lightning, add handlers to their loggers
    logging.setLoggerClass(_Logger)


def _is_shown(record: logging.LogRecord) -> bool:
    """Return True for errors and for log records of this project that are not hidden."""
    if record.levelno >= logging.ERROR:
        return True
    lowest = logging.WARNING if _notes_hidden else logging.INFO
    return record.levelno >= lowest and record.name.partition(".")[0] in ROOMS


def _is_shown_in_dev_mode(record: logging.LogRecord) -> bool:
    """Return True for the records that are shown, and for warnings of libraries."""
    return record.levelno >= logging.WARNING or _is_shown(record)


class _Logger(logging.Logger):
    """Logger that drops hidden records before they reach any handler."""

    def callHandlers(self, record: logging.LogRecord) -> None:
        if _is_shown(record):
            super().callHandlers(record)


class _Formatter(logging.Formatter):
    """Formatter of ``warning: message``; information has no prefix."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.levelno < logging.WARNING:
            return message
        return f"{record.levelname.lower()}: {message}"


def _ignore(*_: object, **__: object) -> None:
    """Ignore a warning."""
