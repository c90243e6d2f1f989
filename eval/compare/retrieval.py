"""Comparison of two copy-detection studies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.journal import read_journal
from engine.manifest import read_manifest
from engine.tables import read_table
from eval.compare.compared import (
    Compared,
    Figure,
    differing_settings,
    paired_shares,
    paired_values,
    unpaired,
)
from eval.reports.comparisons import SHARES

TABLE = "retr_df.csv"


@dataclass(frozen=True)
class Recalls:
    """Images found first, of one arm.

    Attributes:
        images: Names of the originals; numbers of index entries if the run has no journal.
        edits: Names of the edits.
        found: (images, edits) True where the copy's own entry came first.
        named: True if images have names.
    """

    images: list[str]
    edits: list[str]
    found: NDArray[np.bool_]
    named: bool


def arms_of(run: Path) -> list[str]:
    """Names of the arms of a copy-detection study; empty for another folder."""
    return sorted(file.parent.name for file in run.glob(f"*/{TABLE}"))


def compare_retrieval(a: Path, b: Path) -> Compared:
    """Compare recall at 1 after every edit, paired over the originals of both runs.

    Args:
        a: Folder of run A.
        b: Folder of run B.

    Raises:
        ValueError: If a table is damaged, or the runs share no arm or no edit.
    """
    shared = [arm for arm in arms_of(a) if arm in arms_of(b)]
    figures: list[Figure] = []
    words = ""
    for arm in shared:
        one, other = read_recalls(a, arm), read_recalls(b, arm)
        edits = [edit for edit in one.edits if edit in other.edits]
        columns = [[side.edits.index(edit) for edit in edits] for side in (one, other)]
        rows = [{image: row for row, image in enumerate(side.images)} for side in (one, other)]
        both = [image for image in one.images if image in rows[1]]
        if not edits:
            continue
        if both and one.named and other.named:
            found = []
            for side, chosen, row_of in zip((one, other), columns, rows, strict=True):
                found.append(side.found[np.ix_([row_of[image] for image in both], chosen)])
            figures += _paired(arm, edits, found)
            left = len(one.images) + len(other.images) - 2 * len(both)
            words = f"Paired over {len(both)} originals of one name in both runs."
            words += f" {left} of one run only are left out." if left else ""
        else:
            found = [s.found[:, c] for s, c in zip((one, other), columns, strict=True)]
            means = [side.mean(axis=1) for side in found]
            figures.append(unpaired(f"{arm}: mean recall at 1", *means))
            for column, edit in enumerate(edits):
                shares = [side[:, column].astype(float) for side in found]
                figures.append(unpaired(f"{arm}: {edit}", *shares))
            words = (
                "Not paired: no original has the same name in both runs, or a run has no journal, "
                "so differences have no interval."
            )
    if not figures:
        msg = f"{a} and {b}: no arm with the same edits in both"
        raise ValueError(msg)
    settings = differing_settings(read_manifest(a), read_manifest(b))
    return Compared("retrieval", "image", words, figures, settings)


def _paired(arm: str, edits: list[str], found: list[NDArray[np.bool_]]) -> list[Figure]:
    """Figures of one arm, from the images found in both runs, (images, edits) each."""
    means = [side.mean(axis=1) for side in found]
    figures = [paired_values(f"{arm}: mean recall at 1", means[0], means[1], SHARES)]
    for column, edit in enumerate(edits):
        figures.append(paired_shares(f"{arm}: {edit}", *(side[:, column] for side in found)))
    return figures


def read_recalls(run: Path, arm: str) -> Recalls:
    """Read which images of an arm were found first after each edit.

    Raises:
        ValueError: If the table is damaged.
    """
    file = run / arm / TABLE
    try:
        rows = read_table(file)
        edits = list(dict.fromkeys(f"{r['attack']} {r['attack_param']}".strip() for r in rows))
        found = np.array([int(row["r@1"]) for row in rows], dtype=bool).reshape(-1, len(edits))
        entries = [row["image_index"] for row in rows[:: len(edits)]]
    except (KeyError, ValueError, ZeroDivisionError) as error:
        msg = f"{file}: damaged, or not a table of look-ups ({error}); run the study again"
        raise ValueError(msg) from error
    names = _originals(run, arm)
    named = len(names) == len(entries) == len(set(names))
    return Recalls(names if named else entries, edits, found, named)


def _originals(run: Path, arm: str) -> list[str]:
    """Names of the originals of an arm, in the order of its table."""
    entries = [entry for entry in read_journal(run).values() if entry.name.startswith("arms/")]
    lost = {entry.name.split("/", 2)[2] for entry in entries if entry.error}
    names = [entry.name.split("/", 2) for entry in entries]
    return [name for _, of_arm, name in names if of_arm == arm and name not in lost]
