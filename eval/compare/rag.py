"""Comparison of two retrieval attacks on planted sentinels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.manifest import read_manifest
from engine.records import read_json
from eval.compare.compared import (
    Compared,
    Figure,
    differing_settings,
    paired_shares,
    paired_values,
    unpaired,
)
from sentinels.trials import Trials, triggered

COSINES = (-2.0, 2.0)
"""Range of a difference of cosines."""


def arms_of(run: Path) -> list[str]:
    """Names of the arms of a retrieval attack; empty for another folder."""
    return sorted(file.parent.name for file in run.glob("*/out.json"))


def compare_rag(a: Path, b: Path) -> Compared:
    """Compare triggered searches and similarities, paired over the sentinels of both runs.

    Args:
        a: Folder of run A.
        b: Folder of run B.

    Raises:
        ValueError: If answers are damaged, or the runs share no arm.
    """
    figures: list[Figure] = []
    sentinels: set[str] = set()
    for arm in arms_of(a):
        if arm not in arms_of(b):
            continue
        one, other = (_triggered(Trials.open(run / arm)) for run in (a, b))
        shared = [name for name in one if name in other]
        sentinels |= set(shared)
        label = f"{arm}: keys that triggered a search"
        if shared:
            found = [np.array([side[name] for name in shared]) for side in (one, other)]
            figures.append(paired_shares(label, *found))
        elif one and other:
            figures.append(
                unpaired(label, *(np.array(list(s.values()), float) for s in (one, other)))
            )
    figures += _similarity_figures(a, b)
    if not figures:
        msg = f"{a} and {b}: no arm with answers in both"
        raise ValueError(msg)
    words = (
        f"Paired over {len(sentinels)} sentinels of one source in both runs."
        if sentinels
        else "Not paired: no sentinel has the same source in both runs, so no difference has an "
        "interval."
    )
    settings = differing_settings(read_manifest(a), read_manifest(b))
    return Compared("retrieval-augmented generator", "sentinel", words, figures, settings)


def _triggered(trials: Trials) -> dict[str, bool]:
    """Tell by sentinel if any trial triggered a search; sentinels need a trial."""
    return {
        name: any(triggered(trial) for trial in entry["trials"])
        for name, entry in trials.entries.items()
        if entry["trials"]
    }


def _similarity_figures(a: Path, b: Path) -> list[Figure]:
    """Similarity of outputs to their own sources, by each model that compared both runs."""
    figures = []
    for file in sorted((a / "decision").glob("*_similarities.json")):
        if not (b / "decision" / file.name).is_file():
            continue
        one, other = (_similarities(run / "decision" / file.name) for run in (a, b))
        shared = [name for name in one if name in other]
        label = f"similarity to the own source ({file.name.removesuffix('_similarities.json')})"
        if shared:
            values = [np.array([side[name] for name in shared]) for side in (one, other)]
            figures.append(paired_values(label, values[0], values[1], COSINES))
        elif one and other:
            figures.append(unpaired(label, *(np.array(list(s.values())) for s in (one, other))))
    return figures


def _similarities(file: Path) -> dict[str, float]:
    """Similarity of each sentinel's outputs to its source.

    Raises:
        ValueError: If the file is damaged.
    """
    entries = read_json(file, dict[str, dict[str, Any]], "run python -m sentinels decide again")
    values = {}
    for name, entry in entries.items():
        value = entry.get("similarity")
        if isinstance(value, int | float) and np.isfinite(value):
            values[name] = float(value)
    return values
