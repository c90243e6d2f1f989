"""Options shared by several verbs of ``python -m indexing``."""

from __future__ import annotations

from collections.abc import Callable
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


def extractor_of(
    settings: Any, recorded: Callable[[bool], EmbedderConfig] | None = None
) -> EmbedderConfig:
    """Return the settings of the descriptor network.

    Args:
        settings: The parsed options.
        recorded: Returns the network that an index or a vector store was made with, and takes
            whether to trust TorchScript. It is asked if the options name no network.
    """
    from models.embedder_config import EmbedderConfig

    trusted: bool = settings.trust_torchscript
    given: EmbedderConfig = replace(settings.extractor, trust_torchscript=trusted)
    if recorded is not None and given == EmbedderConfig(trust_torchscript=trusted):
        return recorded(trusted)
    return given
