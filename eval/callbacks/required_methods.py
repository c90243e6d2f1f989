"""Requirements of a callback on the module it is attached to."""

from __future__ import annotations

from lightning import Callback, LightningModule


def require_methods(
    module: LightningModule, callback: Callback, methods: tuple[str, ...], trainings: str
) -> None:
    """Reject a module that lacks a method that a callback calls.

    Args:
        module: The module.
        callback: The callback.
        methods: Names of the methods.
        trainings: Commands whose modules have them, for the error message.

    Raises:
        ValueError: If a method is missing.
    """
    for name in methods:
        if not callable(getattr(module, name, None)):
            needed = f"a module with a method {name}, which {type(module).__name__} does not have"
            msg = f"{type(callback).__name__} needs {needed}; it fits {trainings}"
            raise ValueError(msg)
