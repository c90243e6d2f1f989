"""What a callback needs of the module it is attached to."""

from __future__ import annotations

from lightning import Callback, LightningModule


def require(
    module: LightningModule, callback: Callback, methods: tuple[str, ...], fits: str
) -> None:
    """Refuse a module without the methods that a callback calls.

    Raises:
        ValueError: If it lacks one; the message says which trainings have it.
    """
    for name in methods:
        if not callable(getattr(module, name, None)):
            lacking = f"a module with a method {name}, which {type(module).__name__} does not have"
            msg = f"{type(callback).__name__} needs {lacking}; it fits {fits}"
            raise ValueError(msg)
