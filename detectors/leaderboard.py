"""``python -m detectors leaderboard``: rank detectors in one table.

The table holds test results, score files of other detectors, and the rows of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detectors.calibration import check_prevalence
from detectors.leaderboard_cells import (
    NOTE,
    bounds_cell,
    calibration_words,
    image_counts,
    oracle_words,
    per_cent,
    span,
    verdict_cells,
    verdict_head,
    wanted_directions,
    worst_words,
)
from detectors.leaderboard_entries import Entry, read_entry, references
from detectors.mpbench import columns
from detectors.summary import (
    calibrated_metrics,
    figure,
    interval_of,
)
from detectors.verdicts import row_at
from engine.files import write_text
from engine.pages import shell
from engine.pages.best import best_cells
from engine.pages.markdown import markdown_table

PREVALENCE = 0.01
"""Share of generated images that the share of wrong verdicts is stated for."""

Table = tuple[str, list[str], list[list[str]]]
"""Name, head and rows of a table."""


def leaderboard(
    results: Sequence[Path],
    output: Path,
    max_fpr: float | None = None,
    prevalence: float | None = None,
) -> list[Entry]:
    """Rank tests, and write ``leaderboard.md`` and ``leaderboard.html``.

    A test whose labels seem flipped is listed last, without a rank.

    Args:
        results: Folders of ``python -m detectors test``, and score files (.csv, .parquet). A score
            file has ``label``, and ``score`` or ``logit``; for MPBench's columns also ``column``.
        output: Folder to write to.
        max_fpr: Rate of the operating points of the verdicts; None for that of each test.
        prevalence: Share of generated images for which the share of wrong verdicts is stated; None
            for 0.01.

    Returns:
        Entries with the best first, the paper's rows among them.

    Raises:
        FileNotFoundError: If a result does not exist.
        ValueError: If a file is not a valid result, two results have the same name, or the
            prevalence is no share.
    """
    check_prevalence(prevalence)
    entries = [read_entry(path) for path in results]

    # A folder's or file's name identifies its entry.
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = (
            f"two results are called {twice}: rename a folder or file, for that is an entry's name"
        )
        raise ValueError(msg)

    ordered = sorted([*entries, *references()], key=_place)
    parts = tables(ordered, max_fpr, PREVALENCE if prevalence is None else prevalence)
    write_text(output / "leaderboard.md", markdown(ordered, parts))
    write_page(output / "leaderboard.html", ordered, parts)
    return ordered


def _place(entry: Entry) -> tuple[bool, bool, bool, float]:
    """Key of the order: flipped labels last, then detectors not scored on all of MPBench."""
    rank = entry.rank
    partly = entry.table["balanced"] is None
    return bool(entry.trouble), partly, rank is None, 0.0 if rank is None else -rank


def ranking_rows(entries: Sequence[Entry]) -> list[list[str]]:
    """Rows of the ranking: figures and intervals of each entry."""
    rows = []
    for position, entry in enumerate(entries, start=1):
        if entry.record is None:
            rows.append([entry.name, *["-"] * (len(RANKING) - 1)])
            continue
        record = entry.record
        figures = calibrated_metrics(record)
        bounds = record["intervals"] or {}
        rows.append(
            [
                entry.name,
                "-" if entry.trouble else str(position),
                image_counts(record["pictures"]),
                figure(record["ranking"]["auc"]),
                span(bounds.get("auc")),
                figure(figures["balanced_accuracy"]),
                span(interval_of(record, "balanced_accuracy")),
                calibration_words(figures),
                oracle_words(record),
                worst_words(record["worst"]),
            ]
        )
    return rows


RANKING = [
    "detector",
    "rank",
    "real + generated",
    "AUC",
    "95 % interval",
    "balanced accuracy",
    "95 % interval of it",
    "calibration error",
    "oracle TPR at 1 % FPR (95 %)",
    "worst generator (AUC)",
]
"""Columns of the ranking."""


def table_rows(entries: Sequence[Entry]) -> list[list[str]]:
    """Rows of MPBench's table.

    Entries that were scored on none of its sets have no row.
    """
    rows = []
    for entry in entries:
        values = [entry.table["real"].get(name) for name in columns("real")]
        values.append(entry.table["real_average"])
        values += [entry.table["generated"].get(name) for name in columns("generated")]
        values += [entry.table["generated_average"], entry.table["total"], entry.table["balanced"]]
        if any(value is not None for value in values):
            rows.append([entry.name, *map(per_cent, values)])
    return rows


def bounds_rows(entries: Sequence[Entry]) -> list[list[str]]:
    """Intervals of MPBench's columns, in per cent, and numbers of images.

    The paper's rows have no intervals.
    """
    rows = []
    for entry in entries:
        bounds = entry.table.get("bounds") or {}
        values = [bounds.get(name) for name in (*columns("real"), *columns("generated"))]
        if any(values):
            rows.append([entry.name, *map(bounds_cell, values)])
    return rows


def table_head() -> list[str]:
    """Columns of MPBench's table."""
    return [
        "detector",
        *columns("real"),
        "avg real",
        *columns("generated"),
        "avg generated",
        "total (11 to 3)",
        "balanced",
    ]


def unranked(entries: Sequence[Entry]) -> list[str]:
    """Sentences that explain the entries without a rank."""
    return [f"{entry.name} is not ranked: {entry.trouble}." for entry in entries if entry.trouble]


def tables(entries: Sequence[Entry], max_fpr: float | None, prevalence: float) -> list[Table]:
    """Name, head and rows of the leaderboard's tables.

    The tables of ranking, verdicts and intervals list only entries with a record.

    Args:
        entries: Entries in their order.
        max_fpr: Rate of the verdicts; None for that of each test.
        prevalence: Share of generated images for the share of wrong verdicts.
    """
    ranked = []
    for row, entry in zip(ranking_rows(entries), entries, strict=True):
        if entry.record is not None:
            ranked.append(row)
    parts = [("Ranking", RANKING, ranked)]
    judged = [(entry.name, row_at(entry.record, max_fpr)) for entry in entries if entry.record]
    verdicts = [[name, *verdict_cells(row, prevalence)] for name, row in judged if row]
    if verdicts:
        parts.append(("Verdicts", verdict_head(prevalence), verdicts))
    parts.append(("MPBench", table_head(), table_rows(entries)))
    bounds = bounds_rows(entries)
    if bounds:
        head = ["detector", *columns("real"), *columns("generated")]
        parts.append(("MPBench, 95 % intervals and numbers of images", head, bounds))
    return parts


def markdown(entries: Sequence[Entry], listed: Sequence[Table]) -> str:
    """Format the tables as Markdown."""
    parts = ["# Leaderboard\n", f"{NOTE}\n"]
    parts += [f"{sentence}\n" for sentence in unranked(entries)]
    parts += [markdown_table(head, rows) + "\n" for _, head, rows in listed]
    return "\n".join(parts)


def write_page(file: Path, entries: Sequence[Entry], listed: Sequence[Table]) -> None:
    """Write the tables as one self-contained page."""
    known = {entry.name for entry in entries if entry.record is not None}
    flipped = [entry.name for entry in entries if entry.trouble]
    parts = []
    for name, head, rows in listed:
        kinds = ["ours" if row[0] in known else "reference" for row in rows]
        parts.append(
            (name, head, rows, kinds, best_cells(rows, wanted_directions(name, head), flipped))
        )
    shell.write_page(
        file, "detectors/leaderboard.html", note=NOTE, unranked=unranked(entries), tables=parts
    )
