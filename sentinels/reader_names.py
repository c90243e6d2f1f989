"""Names of readers on the command line."""

from __future__ import annotations

AUTO = "auto"
OCR_READER = "ocr"
SERVICE = "service"
NONE = "none"

TOY_READER = "checkpoints/tiny/embedder"
"""Toy reader, relative to the repository; it knows the lettering of the local planter only."""

HELP = (
    "what reads the keys: auto (ocr if installed, else the toy reader), ocr, service, none, "
    "or the folder of a model"
)
"""Help of the option ``--reader``."""
