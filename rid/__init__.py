"""RID: perturbations that break personalization of diffusion models on portraits."""

from typing import TYPE_CHECKING

from engine.lazy import lazy_names

if TYPE_CHECKING:
    from engine import __version__
    from rid.protect.protector import Protected, Protector

__all__ = ["Protected", "Protector", "__version__"]

HOMES = {
    "Protected": "rid.protect.protector",
    "Protector": "rid.protect.protector",
}
"""The module of each public name."""

__getattr__ = lazy_names(__name__, HOMES)
