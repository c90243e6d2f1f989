"""Options shared by several verbs of ``python -m indexing``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.cli import Parser
    from models.embedder_config import EmbedderConfig


def extractor_options(parser: Parser) -> None:
    """Add the options of the descriptor network."""
    parser.add_call(
        "models.embedder_config:EmbedderConfig", "extractor", skip={"trust_torchscript"}
    )
    parser.add_argument(
        "--trust-torchscript", action="store_true", help="run TorchScript files, which are programs"
    )


def extractor_of(settings: Any) -> EmbedderConfig:
    """Return the settings of the descriptor network."""
    config: EmbedderConfig = settings.extractor
    return replace(config, trust_torchscript=settings.trust_torchscript)
