"""Progress bars on stderr, for people only."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")

_hidden = False


def hide_bars() -> None:
    """Show no bar from now on in this process: ``--quiet``."""
    global _hidden
    _hidden = True


def bars_shown() -> bool:
    """Whether bars are shown: someone is looking, and did not ask for quiet."""
    return not _hidden and sys.stderr.isatty()


def progress(
    items: Iterable[Item] | None = None,
    total: int | None = None,
    unit: str = "image",
    **settings: Any,
) -> tqdm[Item]:
    """Make a progress bar with rate and remaining time.

    Args:
        items: What is counted; None for a bar that is moved by ``update``.
        total: How many there are; the length of ``items`` if not given.
        unit: What one of them is.
        settings: Any others of tqdm's, such as ``initial``, ``desc``, ``leave``.
    """
    from tqdm import tqdm

    return tqdm(items, total=total, unit=f" {unit}s", disable=not bars_shown(), **settings)


def bar_class() -> type[tqdm[Any]]:
    """A class of bars for libraries that make their own: shown as ours are, and gone when they are done."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *given: Any, **settings: Any) -> None:
            super().__init__(*given, **settings | {"disable": not bars_shown(), "leave": False})

    return Bar
