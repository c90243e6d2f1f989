"""Tables of an arena: every protection against every attack, one model after the other.

Run ``python -m benchmarks.arena MATRIX/ > TABLES.md``.

MATRIX/ is a folder of ``eval matrix`` with an arm ``clean``, such as that of
``configs/eval/tiny_arena_matrix.yaml``; it need not be finished. Several folders, or their
``results.parquet``, must be of the same people. For each attacked model there is
an overview of the paired differences to clean photos with the verdicts of ``eval redteam``, what
each protection survives there, and for each attack four figures of every protection.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.pages.markdown import markdown_table
from engine.pages.shell import in_brackets
from eval.reports.matrix import by_arm, by_person, figure, unique
from eval.reports.verdicts import CRITERIA, CellVerdict, headline, judge_cells
from eval.studies.rows import RESULTS, read_rows

BASELINE = "clean"

HEAD = ["protection", "ISM", "ISM - clean (95 %)", "verdict", "FDFR (95 %)", "minutes a person"]

Rows = Sequence[dict[str, Any]]

Judged = Mapping[str, Sequence[CellVerdict]]
"""Verdicts of every cell by protection."""


def overview(judged: Judged) -> str:
    """Write the mean differences, a column for each attack."""
    cells = next(iter(judged.values()))
    rows = []
    for arm, verdicts in judged.items():
        rows.append([arm, *(_difference(one) for one in verdicts)])
    clean = [f"{one.values.get(BASELINE, np.nan):.2f}" for one in cells]
    return markdown_table(
        ["ISM - clean", *(one.name for one in cells)], [[f"{BASELINE} (ISM)", *clean], *rows]
    )


def details(rows: Rows, judged: Judged) -> list[str]:
    """Write a table for each attack: four figures and the verdict of every protection.

    Args:
        rows: Rows of one model.
        judged: Their verdicts.
    """
    parts = []
    for place, cell in enumerate(next(iter(judged.values()))):
        key = (cell.attack, cell.purification)
        here = [row for row in rows if (row["attack"], row["purification"]) == key]
        lines = []
        for arm in (BASELINE, *judged):
            of_arm = [row for row in here if row["arm"] == arm]
            scores = by_arm(by_person(of_arm, "ism_all"))[arm]
            verdict = None if arm == BASELINE else judged[arm][place]
            lines.append(
                [
                    arm,
                    f"{np.nanmean(scores):.2f}",
                    "-" if verdict is None else _interval(verdict),
                    "-" if verdict is None else verdict.verdict,
                    figure([row["fdfr"] for row in of_arm], share=True),
                    f"{np.mean([row['minutes'] for row in of_arm]):.2f}",
                ]
            )
        parts += [f"### {cell.name}\n", markdown_table(HEAD, lines) + "\n"]
    return parts


def _difference(one: CellVerdict) -> str:
    """Mean difference, with the verdict if there is one."""
    if one.difference is None:
        return "-"
    words = "" if one.verdict == "not shown" else f" {one.verdict}"
    return f"{one.difference.mean:+.2f}{words}"


def _interval(one: CellVerdict) -> str:
    """Mean difference with its interval."""
    if one.difference is None:
        return "-"
    return f"{one.difference.mean:+.2f}{in_brackets(one.difference.interval, '+.2f')}"


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "results", type=Path, nargs="+", help="folders of eval matrix, or their results.parquet"
    )
    files = [path / RESULTS if path.is_dir() else path for path in parser.parse_args().results]
    rows = [row for file in files for row in read_rows(file)]
    if len({(row["person"], row.get("person_sha256")) for row in rows}) > len(
        unique(rows, "person")
    ):
        parser.error("these results are of different people")
    arms = [arm for arm in unique(rows, "arm") if arm != BASELINE]
    if BASELINE not in unique(rows, "arm") or not arms:
        parser.error(f"this matrix has no arm {BASELINE}, or no other one")
    print(f"{CRITERIA} {len(unique(rows, 'person'))} people.\n")
    for model in unique(rows, "model"):
        here = [row for row in rows if row["model"] == model]
        judged = {arm: judge_cells(here, arm, BASELINE) for arm in arms}
        print(f"## {Path(model).name}\n\n{overview(judged)}\n")
        for arm, verdicts in judged.items():
            print(f"* {arm}: {headline(verdicts, here, arm)}")
        print("\n" + "\n".join(details(here, judged)))


if __name__ == "__main__":
    main()
