"""Public names of a package that are imported when they are first asked for, so that commands start without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Make a package's ``__getattr__``.

    Args:
        package: The package's ``__name__``.
        homes: The module of each public name. ``__version__`` needs none.

    Returns:
        A function from a name to what it stands for. It raises AttributeError for any other name.
    """

    def get(name: str) -> Any:
        home = "engine" if name == "__version__" else homes.get(name)
        if home is None:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(home), name)

    return get
