"""Active Indexing: imperceptible image changes that aid copy detection."""

from typing import TYPE_CHECKING

from engine.lazy import lazy_names

if TYPE_CHECKING:
    from engine import __version__
    from indexing.activation_config import ActivationConfig
    from indexing.activator import ActivatedImage, Activator
    from indexing.index import Index
    from indexing.matches import Match

__all__ = ["ActivatedImage", "ActivationConfig", "Activator", "Index", "Match", "__version__"]

HOMES = {
    "ActivatedImage": "indexing.activator",
    "ActivationConfig": "indexing.activation_config",
    "Activator": "indexing.activator",
    "Index": "indexing.index",
    "Match": "indexing.matches",
}
"""The module of each public name."""

__getattr__ = lazy_names(__name__, HOMES)
