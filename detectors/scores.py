"""Scores of a test, one per image, and their files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine.files import atomic_write, read_text

FACTS = (
    "key",
    "generator",
    "family",
    "sampler",
    "codec",
    "subset",
    "column",
    "caption_id",
    "source_path",
    "sha256",
    "participant",
)
"""Facts of an image beside its label; empty if unknown."""


DISTANCES = ("real_distance", "generated_distance")
"""Columns of :attr:`Scores.distances`."""


@dataclass(frozen=True)
class Scores:
    """Labels, logits and facts of N images.

    Attributes:
        label: (N,) 1 generated, 0 real.
        logit: (N,) output of the detector, above 0 for generated.
        facts: (N,) strings by name of :data:`FACTS`.
        distances: (N, 2) distances from the real and the generated images of the calibration, above
            1 for images unlike them; None if unknown.

    Raises:
        ValueError: If there are no images, or a label or logit is invalid.
    """

    label: NDArray[np.int64]
    logit: NDArray[np.float64]
    facts: dict[str, NDArray[np.str_]]
    distances: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        labels_valid = np.isin(self.label, (0, 1)).all()
        if len(self.label) == 0 or not labels_valid or not np.isfinite(self.logit).all():
            msg = (
                "scores need at least one image, labels 0 (real) or 1 (generated), "
                "and finite answers"
            )
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def probability(self) -> NDArray[np.float64]:
        """P(generated) by the network alone, (N,), not calibrated."""
        return sigmoid(self.logit)

    def where(self, mask: NDArray[np.bool_] | NDArray[np.int64]) -> Scores:
        """Select the entries of a mask, (N,), or of indices, (M,)."""
        facts = {name: values[mask] for name, values in self.facts.items()}
        distances = None if self.distances is None else self.distances[mask]
        return Scores(self.label[mask], self.logit[mask], facts, distances)

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """Concatenate scores."""
        label = np.concatenate([part.label for part in parts])
        logit = np.concatenate([part.logit for part in parts])
        facts = {}
        for name in FACTS:
            facts[name] = np.concatenate([part.facts[name] for part in parts])
        known = [part.distances for part in parts if part.distances is not None]
        distances = np.concatenate(known) if len(known) == len(parts) else None
        return cls(label, logit, facts, distances)

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]]) -> Scores:
        """Build scores from rows.

        A row has ``label``, ``logit`` or ``score`` (P(generated)), and any of :data:`FACTS`.

        Raises:
            ValueError: If a row lacks label or score, or one is invalid.
        """
        try:
            labels = np.array([int(row["label"]) for row in rows], dtype=np.int64)
            logits = np.array([_logit(row) for row in rows], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            msg = (
                "a row of scores needs a label (1 generated, 0 real) and a logit, "
                f"or a score from 0 to 1: {error}"
            )
            raise ValueError(msg) from error
        facts = {}
        for name in FACTS:
            facts[name] = np.array([str(row.get(name) or "") for row in rows])
        return cls(labels, logits, facts, _distances(rows))

    @classmethod
    def read(cls, file: Path) -> Scores:
        """Read a ``.parquet`` or ``.csv`` file with the columns of :meth:`of`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it holds no scores.
        """
        if not file.is_file():
            msg = f"{file}: no such file of scores"
            raise FileNotFoundError(msg)
        try:
            is_parquet = file.suffix == ".parquet"
            rows = pq.read_table(file).to_pylist() if is_parquet else _csv_rows(file)
            return cls.of(rows)
        except (ValueError, OSError, csv.Error, pa.ArrowException) as error:
            msg = f"{file}: {str(error).removeprefix(f'{file}: ')}"
            raise ValueError(msg) from error

    def write(self, file: Path) -> None:
        """Write a ``.parquet`` file atomically."""
        columns = {"label": self.label, "logit": self.logit, "score": self.probability} | self.facts
        if self.distances is not None:
            columns |= dict(zip(DISTANCES, self.distances.T, strict=True))
        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        with atomic_write(file) as partial:
            pq.write_table(table, partial)


def _csv_rows(file: Path) -> list[dict[str, Any]]:
    """Read the rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(read_text(file), newline="")))


def sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute 1 / (1 + exp(-logit)) without overflow."""
    # scipy's expit differs in the last bit of saved tables, and takes a second to load
    return np.exp(-np.logaddexp(0, -logit))


def log_odds(probability: float) -> float:
    """Invert :func:`sigmoid`; probabilities are clipped to [1e-12, 1 - 1e-12]."""
    clipped = min(max(probability, 1e-12), 1 - 1e-12)
    return float(np.log(clipped) - np.log1p(-clipped))


def _distances(rows: Sequence[dict[str, Any]]) -> NDArray[np.float64] | None:
    """Return the distances of rows, (N, 2); None if one has none."""
    values = [[row.get(name) for name in DISTANCES] for row in rows]
    if any(value in (None, "") for pair in values for value in pair):
        return None
    return np.array(values, dtype=np.float64)


def _logit(row: dict[str, Any]) -> float:
    """Return a row's logit, or that of its score.

    Raises:
        ValueError: If the score is not in [0, 1].
    """
    if row.get("logit") not in (None, ""):
        return float(row["logit"])
    score = float(row["score"])
    if not 0 <= score <= 1:
        msg = f"score {score}"
        raise ValueError(msg)
    return log_odds(score)
