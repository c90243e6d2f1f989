"""RID: perturbations that break personalization of diffusion models on portraits."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rid.protect.protector import Protector

__all__ = ["Protector"]


def __getattr__(name: str) -> Any:
    """Import the network on first use; commands start without it."""
    if name == "Protector":
        from rid.protect.protector import Protector

        return Protector
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
