"""Public names of a package, imported on first use so that commands start fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Create a package's ``__getattr__``.

    Args:
        package: The package's ``__name__``.
        homes: Module of each public name; ``__version__`` needs no entry.

    Returns:
        Function from a name to its object; it raises AttributeError for other names.
    """

    def get(name: str) -> Any:
        home = "engine" if name == "__version__" else homes.get(name)
        if home is None:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(home), name)

    return get
