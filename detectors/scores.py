"""What a detector said of every picture of a test, as it is kept on disk and as the metrics read it."""

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
)
"""What is known of a picture beside its label; empty where it is not."""


@dataclass(frozen=True)
class Scores:
    """One entry for each picture.

    Attributes:
        label: (N,) 1 generated, 0 real.
        logit: (N,) the detector's answer; above 0 it takes the picture for generated.
        facts: By name of :data:`FACTS`, (N,) strings.
    """

    label: NDArray[np.int64]
    logit: NDArray[np.float64]
    facts: dict[str, NDArray[np.str_]]

    def __post_init__(self) -> None:
        if (
            len(self.label) == 0
            or not np.isin(self.label, (0, 1)).all()
            or not np.isfinite(self.logit).all()
        ):
            msg = "scores need at least one picture, labels 0 (real) or 1 (generated), and finite answers"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def probability(self) -> NDArray[np.float64]:
        """P(generated) as the detector means it, not calibrated."""
        return sigmoid(self.logit)

    def where(self, chosen: NDArray[np.bool_]) -> Scores:
        """The entries that a mask chooses."""
        return Scores(
            self.label[chosen],
            self.logit[chosen],
            {name: values[chosen] for name, values in self.facts.items()},
        )

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The entries of one after another."""
        facts = {name: np.concatenate([part.facts[name] for part in parts]) for name in FACTS}
        return cls(
            np.concatenate([part.label for part in parts]),
            np.concatenate([part.logit for part in parts]),
            facts,
        )

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]]) -> Scores:
        """From rows with ``label``, ``logit`` or ``score`` (P(generated)), and any of :data:`FACTS`.

        Raises:
            ValueError: If a row lacks an answer, or an answer or label is none.
        """
        try:
            labels = np.array([int(row["label"]) for row in rows], dtype=np.int64)
            logits = np.array([_logit(row) for row in rows], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            msg = f"a row of scores needs a label (1 generated, 0 real) and a logit, or a score from 0 to 1: {error}"
            raise ValueError(msg) from error
        return cls(
            labels,
            logits,
            {name: np.array([str(row.get(name) or "") for row in rows]) for name in FACTS},
        )

    @classmethod
    def read(cls, file: Path) -> Scores:
        """From a ``.parquet`` or ``.csv`` file, of ours or anybody's with these columns.

        Raises:
            FileNotFoundError: If it is not there.
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
        """As a ``.parquet`` file, whole or not at all."""
        columns = {"label": self.label, "logit": self.logit, "score": self.probability} | self.facts
        with atomic_write(file) as partial:
            pq.write_table(
                pa.table({name: pa.array(values) for name, values in columns.items()}), partial
            )


def _csv_rows(file: Path) -> list[dict[str, Any]]:
    """Read the rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(read_text(file), newline="")))


def sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-logit)), without overflow."""
    return np.exp(
        -np.logaddexp(0, -logit)
    )  # scipy's expit differs in the last bit of saved tables, and takes a second to load


def log_odds(probability: float) -> float:
    """Inverse of :func:`sigmoid`; certainty counts as 1e-12 short of it."""
    within = min(max(probability, 1e-12), 1 - 1e-12)
    return float(np.log(within) - np.log1p(-within))


def _logit(row: dict[str, Any]) -> float:
    if row.get("logit") not in (None, ""):
        return float(row["logit"])
    score = float(row["score"])
    if not 0 <= score <= 1:
        msg = f"score {score}"
        raise ValueError(msg)
    return log_odds(score)
