"""Libraries kept quiet: their advertisements, bars, warnings and log lines."""

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

ENVIRONMENT = {
    "PYTHONWARNINGS": "ignore",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # "Loading weights" asks for it, too; downloads of ours have a bar of their own
    "TQDM_DISABLE": "1",  # bars that do not say whether they are to be shown, as diffusers' do not; ours do
}
"""What the processes that a command starts inherit, unless it is set already."""


def quiet_libraries() -> None:
    """Keep what libraries say from stderr; errors, and all that our own modules log, are shown.

    To be called where a command's process begins, before any library is imported; ``python -X dev`` leaves it out.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    warnings.showwarning = (
        _ignore  # a filter would be undone by the libraries that set filters of their own
    )
    handler = logging.StreamHandler()
    handler.addFilter(_wanted)
    handler.setFormatter(_Formatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.setLoggerClass(
        _Logger
    )  # for libraries that give their loggers handlers of their own, as Lightning does


def _wanted(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or record.name.partition(".")[0] in ROOMS


class _Logger(logging.Logger):
    """Drops what is not wanted, whatever handlers there are."""

    def callHandlers(self, record: logging.LogRecord) -> None:
        if _wanted(record):
            super().callHandlers(record)


class _Formatter(logging.Formatter):
    """``warning: words``; plain words for information."""

    def format(self, record: logging.LogRecord) -> str:
        words = record.getMessage()
        return words if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {words}"


def _ignore(*_: object, **__: object) -> None:
    pass
