"""``python -m detectors leaderboard``.

Our tests, anybody's score files and the paper's rows in one table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.mpbench import columns, paper_rows
from detectors.scores import Scores
from detectors.summary import figure, flipped, interval_of, judged, summarise
from detectors.summary_record import Record
from engine.files import write_text
from engine.pages import shell
from engine.pages.markdown import markdown_table
from engine.records import read_json
from engine.statistics import least_negatives

REFERENCE = "arXiv 2304.13023"


@dataclass(frozen=True)
class Entry:
    """One detector's line.

    Attributes:
        name: How it is called.
        table: As :func:`detectors.summary.table` gives it: MPBench's columns and averages, in per
            cent.
        record: The whole record of its test; None for what is only known from the paper's table.
    """

    name: str
    table: Mapping[str, Any]
    record: Mapping[str, Any] | None = None

    @property
    def rank(self) -> float:
        """What entries are ordered by.

        The mean of real and generated accuracy; over MPBench's sets, or else over the whole test.
        """
        if self.table["balanced"] is not None:
            return float(self.table["balanced"])
        told = self.record and judged(self.record)["balanced_accuracy"]
        return -1.0 if not told else 100 * float(told)

    @property
    def trouble(self) -> str:
        """Why the entry is not ranked; empty if it is."""
        return "" if self.record is None else flipped(self.record)


def leaderboard(results: Sequence[Path], output: Path) -> list[Entry]:
    """Rank tests and write ``leaderboard.md`` and ``leaderboard.html``; a test whose labels seem flipped comes last, unranked.

    Args:
        results: Folders of ``python -m detectors test``, and score files (.csv, .parquet) with
            ``label`` and ``score`` or ``logit``, and, for MPBench's columns, ``column``.
        output: Folder to write to.

    Returns:
        The entries, the best first; the paper's rows are among them.

    Raises:
        FileNotFoundError: If a result is not there.
        ValueError: If one is no result, or two have one name.
    """
    mine = [read_entry(path) for path in results]
    names = [entry.name for entry in mine]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = (
            f"two results are called {twice}: rename a folder or file, for that is an entry's name"
        )
        raise ValueError(msg)
    ordered = sorted(
        [*mine, *references()],
        key=lambda entry: (bool(entry.trouble), entry.table["balanced"] is None, -entry.rank),
    )
    write_text(output / "leaderboard.md", markdown(ordered))
    write_page(output / "leaderboard.html", ordered)
    return ordered


def read_entry(path: Path) -> Entry:
    """A test's folder, or a file of scores, called by its name."""
    if path.is_dir():
        file = path / "summary.json"
        if not file.is_file():
            msg = f"{path}: no summary.json here; run python -m detectors test with this output folder first"
            raise FileNotFoundError(msg)
        read = read_json(file, Record, "run python -m detectors test again")
        return Entry(path.resolve().name, read["mpbench"], read)
    record = summarise(Scores.read(path))
    return Entry(path.stem, record["mpbench"], record)


def references() -> list[Entry]:
    """The paper's rows."""
    made = []
    for name, row in paper_rows().items():
        averages = {
            key: getattr(row, key)
            for key in ("real_average", "generated_average", "total", "balanced")
        }
        made.append(
            Entry(
                f"{name} ({REFERENCE})", {"real": row.real, "generated": row.generated} | averages
            )
        )
    return made


def ranking_rows(entries: Sequence[Entry]) -> list[list[str]]:
    """What can be said of every entry, each figure with its interval."""
    rows = []
    for place, entry in enumerate(entries, start=1):
        if entry.record is None:
            rows.append([entry.name, *["-"] * (len(RANKING) - 1)])
            continue
        record = entry.record
        told = judged(record)
        bounds = record["intervals"] or {}
        rows.append(
            [
                entry.name,
                "-" if entry.trouble else str(place),
                counted(record["pictures"]),
                figure(record["ranking"]["auc"]),
                span(bounds.get("auc")),
                figure(told["balanced_accuracy"]),
                span(interval_of(record, "balanced_accuracy")),
                calibration_words(told),
                oracle_words(record),
                worst_words(record["worst"]),
            ]
        )
    return rows


def counted(pictures: Mapping[str, int]) -> str:
    """Numbers of real and generated images, and of the people who judged them."""
    words = f"{pictures.get('real', 0)} + {pictures.get('generated', 0)}"
    return f"{words}, {pictures['people']} people" if "people" in pictures else words


def span(interval: Sequence[float] | None) -> str:
    """An interval in words; a dash without one."""
    return "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def calibration_words(told: Mapping[str, Any]) -> str:
    """Calibration error beside what perfectly calibrated probabilities would have."""
    floor = told.get("calibration_error_floor")
    words = figure(told["calibration_error"])
    return words if floor is None else f"{words} (floor {floor:.3f})"


def oracle_words(record: Mapping[str, Any]) -> str:
    """The oracle's true-positive rate.

    A dash below the real images that it takes, in older records, too.
    """
    value = record["oracle"]["tpr_at_fpr_1"]
    if value is None or record["pictures"].get("real", 0) < least_negatives(0.01):
        return "-"
    bounds = (record["intervals"] or {}).get("oracle_tpr_at_fpr_1")
    return figure(value) + (f" ({span(bounds)})" if bounds else "")


def worst_words(worst: Mapping[str, Any] | None) -> str:
    """The worst generator: AUC, what is left of it after correction for selection, and numbers."""
    if worst is None:
        return "-"
    words = f"{worst['generator']} ({worst['auc']:.3f}"
    if worst.get("corrected_auc") is not None:
        words += f"; corrected {worst['corrected_auc']:.3f}, {span(worst.get('interval'))}"
    if worst.get("generated") is not None:
        words += f"; n = {worst['generated']}; lowest of {worst['of']}"
    return words + ")"


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


def table_rows(entries: Sequence[Entry]) -> list[list[str]]:
    """MPBench's columns of the entries that have any."""
    rows = []
    for entry in entries:
        real, generated = (
            [entry.table[kind].get(name) for name in columns(kind)]
            for kind in ("real", "generated")
        )
        values = [*real, entry.table["real_average"], *generated]
        values += [entry.table["generated_average"], entry.table["total"], entry.table["balanced"]]
        if any(value is not None for value in values):
            rows.append([entry.name, *(_per_cent(value) for value in values)])
    return rows


def bounds_rows(entries: Sequence[Entry]) -> list[list[str]]:
    """Intervals of MPBench's columns, in per cent, and numbers of images.

    The paper's rows have none.
    """
    rows = []
    for entry in entries:
        bounds = entry.table.get("bounds") or {}
        values = [bounds.get(name) for kind in ("real", "generated") for name in columns(kind)]
        if any(values):
            cells = [f"{v[0]:.1f} to {v[1]:.1f}, n = {v[2]}" if v else "-" for v in values]
            rows.append([entry.name, *cells])
    return rows


def table_head() -> list[str]:
    """Names of the columns."""
    return [
        "detector",
        *columns("real"),
        "avg real",
        *columns("generated"),
        "avg generated",
        "total (11 to 3)",
        "balanced",
    ]


NOTE = (
    "Ordered by balanced accuracy: the mean over real and over generated sets, so that predicting 'generated' everywhere does "
    "not help. The paper's own total weighs generated sets 11 to 3. Accuracies of the table are at P = 0.5 "
    "without calibration, as the paper's. Detectors that were not scored on "
    "all of MPBench's sets come last, in the order of their own tests, which cannot be compared. "
    "Intervals are over images (DeLong, Korn and Graubard), of people over people and images; they are each detector's own and not "
    "adjusted for how many are compared. The oracle's threshold is chosen on the test itself, and a dash stands below "
    "300 real images. The floor is the calibration error of perfectly calibrated probabilities of this number. "
    "The lowest of several AUCs is too low by "
    "selection: corrected by re-selection, with an interval that holds for all generators at once."
)


def unranked(entries: Sequence[Entry]) -> list[str]:
    """A sentence for each entry that is not ranked."""
    return [f"{entry.name} is not ranked: {entry.trouble}." for entry in entries if entry.trouble]


def tables(entries: Sequence[Entry]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Tables.

    Name, head and rows; in the first and the last only entries with a record of their own.
    """
    ours = [
        row
        for row, entry in zip(ranking_rows(entries), entries, strict=True)
        if entry.record is not None
    ]
    found = [("Ranking", RANKING, ours), ("MPBench", table_head(), table_rows(entries))]
    bounds = bounds_rows(entries)
    head = ["detector", *columns("real"), *columns("generated")]
    return (
        [*found, ("MPBench, 95 % intervals and numbers of images", head, bounds)]
        if bounds
        else found
    )


def markdown(entries: Sequence[Entry]) -> str:
    """The tables as Markdown."""
    notes = [f"{words}\n" for words in (NOTE, *unranked(entries))]
    parts = [
        "# Leaderboard\n",
        *notes,
        *(markdown_table(head, rows) + "\n" for _, head, rows in tables(entries)),
    ]
    return "\n".join(parts)


def write_page(file: Path, entries: Sequence[Entry]) -> None:
    """Write the tables as one page that needs nothing beside it."""
    known = {entry.name for entry in entries if entry.record is not None}
    shown = [
        (name, head, rows, ["ours" if row[0] in known else "reference" for row in rows])
        for name, head, rows in tables(entries)
    ]
    shell.write_page(
        file, "detectors/leaderboard.html", note=NOTE, unranked=unranked(entries), tables=shown
    )


def _per_cent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
