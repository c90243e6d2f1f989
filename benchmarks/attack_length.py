"""Cost of a protection to the attacker: steps to learn as much as from clean photos.

Run ``python -m benchmarks.attack_length MATRIX/``.

MATRIX/ is a finished ``eval matrix`` with attacks that differ in their steps alone, such as that of
``configs/eval/tiny_survival_matrix.yaml``. The table shows the identity score (ISM, images without
a face count as 0) after each number of steps, and its paired difference over people to that of
clean photos after the fewest steps. A last line for each protection says after how many steps the
mean of this difference is above -0.05, the margin of ``eval redteam``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.pages.shell import in_brackets
from engine.statistics import PairedDifference, paired_difference
from eval.reports.comparisons import SHARES, Values
from eval.reports.matrix import by_arm, by_person
from eval.reports.verdicts import MARGIN
from eval.studies.rows import ProtectionResults, open_results

BASELINE = "clean"

Lengths = Mapping[int, Mapping[str, Values]]
"""ISM of each person by steps and arm, (n,) each, in one order of people."""


def by_length(results: ProtectionResults) -> dict[str, Lengths]:
    """Find attacks on images that were not purified, which differ in their steps alone.

    Returns:
        The scores of each such group, in order of steps, by the name of its shortest attack.
    """
    groups: dict[str, dict[int, tuple[str, Mapping[str, Values]]]] = {}
    for cell in results.cells:
        settings = results.settings.get(cell) or {}
        attack = dict(settings.get("attack") or {})
        if settings.get("purification") is not None or "steps" not in attack:
            continue
        steps = int(attack.pop("steps"))
        rest = {key: settings.get(key) for key in ("weights", "seed", "clean_fraction")}
        key = json.dumps(rest | {"attack": attack}, sort_keys=True)
        scores = by_arm(by_person(results.of_cell(cell), "ism_all"))
        groups.setdefault(key, {})[steps] = (cell[0], scores)
    found: dict[str, Lengths] = {}
    for group in groups.values():
        lengths = sorted(group)
        if len(lengths) > 1:
            found[group[lengths[0]][0]] = {steps: group[steps][1] for steps in lengths}
    return found


def difference(lengths: Lengths, arm: str, steps: int) -> PairedDifference | None:
    """Compare an arm with clean photos after the fewest steps; None without common people."""
    values, clean = lengths[steps].get(arm), lengths[min(lengths)].get(BASELINE)
    if values is None or clean is None:
        return None
    known = np.isfinite(values) & np.isfinite(clean)
    return paired_difference(values[known], clean[known], SHARES) if known.any() else None


def steps_to_clean(lengths: Lengths, arm: str) -> int | None:
    """Return the fewest measured steps that reach the score of clean photos; None if none do."""
    for steps in sorted(lengths):
        compared = difference(lengths, arm, steps)
        if compared is not None and compared.mean > -MARGIN:
            return steps
    return None


def table(lengths: Lengths) -> list[str]:
    """Write the lines of a group's table, and what each protection costs."""
    shortest = min(lengths)
    arms = list(dict.fromkeys(arm for scores in lengths.values() for arm in scores))
    lines = [f"| steps | arm | ISM | - clean after {shortest} steps (95 %) | p |", "|---" * 5 + "|"]
    for steps in lengths:
        for arm in arms:
            compared = difference(lengths, arm, steps)
            if compared is None:
                continue
            cells: list[Any] = [steps, arm, f"{np.nanmean(lengths[steps][arm]):.3f}"]
            cells.append(f"{compared.mean:+.3f}{in_brackets(compared.interval, '+.3f')}")
            cells.append(f"{compared.p:.4f}")
            lines.append(f"| {' | '.join(map(str, cells))} |")
    lines.append("")
    for arm in arms:
        if arm == BASELINE:
            continue
        reached = steps_to_clean(lengths, arm)
        words = f"{reached} steps" if reached else f"more than {max(lengths)} steps"
        lines.append(f"{arm}: {words} for what {shortest} steps learn from clean photos")
    return lines


def main() -> None:
    """Print a table for each attack that was run for several numbers of steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("matrix", type=Path, help="folder of eval matrix")
    found = by_length(open_results(parser.parse_args().matrix))
    if not found:
        parser.error("no two attacks of this matrix differ in their steps alone")
    for attack, lengths in found.items():
        print(f"{attack}\n")
        print("\n".join(table(lengths)))


if __name__ == "__main__":
    main()
