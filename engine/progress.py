"""Progress bars on stderr, shown on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")

_hidden = False


def hide_bars() -> None:
    """Hide all progress bars of this process from now on (``--quiet``)."""
    global _hidden
    _hidden = True


def bars_shown() -> bool:
    """Return True if stderr is a terminal and bars are not hidden."""
    return not _hidden and sys.stderr.isatty()


def progress(
    items: Iterable[Item] | None = None,
    total: int | None = None,
    unit: str = "image",
    **settings: Any,
) -> tqdm[Item]:
    """Create a progress bar with rate and remaining time.

    Args:
        items: Items to iterate over; None for a bar that ``update`` advances.
        total: Number of items; None for the length of ``items``.
        unit: Noun for one item.
        settings: More settings of tqdm, such as ``initial``, ``desc``, ``leave``.
    """
    from tqdm import tqdm

    return tqdm(items, total=total, unit=f" {unit}s", disable=not bars_shown(), **settings)


def bar_class() -> type[tqdm[Any]]:
    """Return a tqdm class for libraries that create their own bars.

    Its bars follow :func:`bars_shown` and disappear when they are complete.
    """
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *given: Any, **settings: Any) -> None:
            super().__init__(*given, **settings | {"disable": not bars_shown(), "leave": False})

    return Bar
