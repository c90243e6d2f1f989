"""Tables of the defenses in company, and their differences from each defense alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.pages.shell import in_brackets
from engine.statistics import (
    Interval,
    mean_interval,
    paired_recall,
    proportion_interval,
    share_interval,
    simultaneous,
)

Order = tuple[str, ...]
"""Steps, one after another; ``a + b`` is one step."""

Pair = tuple[NDArray[Any], NDArray[Any]]
"""Values of the same images in two orders, (n,) each; numbers, or True and False."""


@dataclass(frozen=True)
class Figures:
    """Figures of the images of one order, (n,) each.

    Attributes:
        levels: Largest change of a value of the original, in gray levels of 255.
        psnr: PSNR to the original in dB; infinite without a change.
        error: Denoising error.
        recall_of_originals: Share of edited copies whose original the index finds first.
        recall_of_published: The same with the published images in the index in place of the
            originals.
        legible: The key can be read; empty without keys.
        probability: P(generated).
        verdict: Verdict of ``scan``.
    """

    levels: NDArray[np.int64]
    psnr: NDArray[np.float64]
    error: NDArray[np.float64]
    recall_of_originals: NDArray[np.float64]
    recall_of_published: NDArray[np.float64]
    legible: NDArray[np.bool_]
    probability: NDArray[np.float64]
    verdict: NDArray[np.str_]


@dataclass(frozen=True)
class Difference:
    """Mean difference between two orders, over the same images.

    Attributes:
        mean: The mean.
        interval: Its 95 % interval.
        sure: 0 lies outside of the interval that holds together with all others of the table.
    """

    mean: float
    interval: Interval
    sure: bool

    def __str__(self) -> str:
        return f"{self.mean:+.3f}{'*' * self.sure}{in_brackets(self.interval, '+.3f')}"


def parts(order: Order) -> set[str]:
    """Return the single steps of an order."""
    return set(" + ".join(order).split(" + ")) if order else set()


def without(order: Order, step: str) -> Order:
    """Return an order without one of its steps."""
    left = []
    for together in order:
        kept = [name for name in together.split(" + ") if name != step]
        left += [" + ".join(kept)] if kept else []
    return tuple(left)


def differences(figures: dict[Order, Figures]) -> dict[Order, list[Difference | None]]:
    """Compare each step alone with the originals, and each order with the step alone.

    Returns:
        For each order but the empty one, the differences of :func:`compared`; None where its step
        is missing.
    """
    pairs = {order: compared(order, figures) for order in figures if order}
    count = sum(pair is not None for row in pairs.values() for pair in row)
    rows = {}
    for order, row in pairs.items():
        rows[order] = [None if pair is None else _difference(*pair, count) for pair in row]
    return rows


def compared(order: Order, figures: dict[Order, Figures]) -> list[Pair | None]:
    """Return six pairs of values of the same images, the order's first.

    They are

    * what ``protect`` adds to the denoising error, and what it adds to the originals
    * recall of originals, and that with activation alone
    * recall of published images, and that with activation alone
    * keys read, and keys read with planting alone
    * P(generated), and that of the originals
    * images that ``scan`` does not call real, and such originals

    A step alone is compared with the originals in all of them.
    """
    of = figures[order]
    originals = figures[()]
    alone = len(parts(order)) == 1
    error: Pair | None = None
    recalls: list[Pair | None] = [None, None]
    legible: Pair | None = None
    if "protect" in parts(order):
        rise = figures["protect",].error - originals.error
        added = of.error - figures[without(order, "protect")].error
        error = (added, np.zeros_like(added) if alone else rise)
    if alone or "activate" in parts(order):
        before = originals if alone else figures["activate",]
        recalls = [
            (of.recall_of_originals, before.recall_of_originals),
            (of.recall_of_published, before.recall_of_published),
        ]
    if "plant" in parts(order) and not alone:
        legible = (of.legible, figures["plant",].legible)
    probability = (of.probability, originals.probability)
    doubted = (of.verdict != "real", originals.verdict != "real")
    return [error, *recalls, legible, probability, doubted]


def _difference(one: NDArray[Any], other: NDArray[Any], count: int) -> Difference:
    """Compare values, or answers, of the same images.

    Args:
        one: (n,), float or bool.
        other: (n,), likewise.
        count: Number of comparisons in the table.
    """
    together = _interval(one, other, simultaneous(count))
    mean = float((one.astype(float) - other).mean())
    return Difference(mean, _interval(one, other, 0.95), not together.low <= 0 <= together.high)


def _interval(one: NDArray[Any], other: NDArray[Any], confidence: float) -> Interval:
    """Return the interval of a mean difference.

    Of equal differences it is as wide as the share of other images that so many can miss.
    """
    if one.dtype == bool:
        return paired_recall(one, other, confidence).interval
    interval = mean_interval(one - other, confidence=confidence)
    if interval is not None:
        return interval
    mean = float((one - other).mean())
    missed = proportion_interval(0, len(one), confidence=confidence).high
    return Interval(mean - missed, mean + missed)


def print_figures(figures: dict[Order, Figures]) -> None:
    """Print one row for each order, with 95 % intervals over images."""
    print(
        "| order | largest change | PSNR dB | denoising error | recall of originals "
        "| recall of published | keys read | P(generated) | unsure | accused |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    for order, of in figures.items():
        cells = [
            name(order),
            f"{of.levels.max()}",
            f"{of.psnr.mean():.1f}",
            _cell(of.error.mean(), mean_interval(of.error)),
            _cell(of.recall_of_originals.mean(), share_interval(of.recall_of_originals)),
            _cell(of.recall_of_published.mean(), share_interval(of.recall_of_published)),
            _share(of.legible) if len(of.legible) else "-",
            _cell(of.probability.mean(), mean_interval(of.probability, (0.0, 1.0))),
            _share(of.verdict == "unsure"),
            _share(of.verdict == "generated"),
        ]
        print(f"| {' | '.join(cells)} |")


def print_differences(figures: dict[Order, Figures]) -> None:
    """Print :func:`differences`, those that are sure with a star."""
    print(
        "\n| order | added by protect | recall of originals | recall of published | keys read "
        "| P(generated) | not called real |\n|---|---|---|---|---|---|---|"
    )
    for order, row in differences(figures).items():
        cells = ["-" if one is None else str(one) for one in row]
        print(f"| {name(order)} | {' | '.join(cells)} |")


def name(order: Order) -> str:
    """Name an order in a table."""
    return " → ".join(order) or "none"


def _share(values: NDArray[np.bool_]) -> str:
    count = int(values.sum())
    return _cell(count / len(values), proportion_interval(count, len(values)))


def _cell(value: float, interval: Interval | None) -> str:
    return f"{value:.3f}{in_brackets(interval)}"
