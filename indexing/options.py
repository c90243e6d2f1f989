"""Options that several verbs of copy detection share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.cli import Parser
    from models.embedder_config import EmbedderConfig

IMAGES = "folders, images, WebDataset shards (.tar), or text files that list images"


def extractor_options(parser: Parser) -> None:
    """Which network, as options of every verb that describes images."""
    parser.add_call("models.embedder_config:EmbedderConfig", "extractor", skip={"trust_torchscript"})
    parser.add_argument("--trust-torchscript", action="store_true", help="run the program that a TorchScript file is")


def extractor_of(settings: Any) -> EmbedderConfig:
    """The network's settings."""
    given: EmbedderConfig = settings.extractor
    return replace(given, trust_torchscript=settings.trust_torchscript)
