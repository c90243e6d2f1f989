"""Strangers of an index: images not in it, whose scores bound the rate of false matches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.statistics import conformal_bound, least_scores
from indexing.faiss_files import REMEDY
from indexing.index_facts import ThresholdFacts
from indexing.similarity import Similarity
from indexing.verdicts import UNSURE, Judge, Normalizer
from models.search import Metric, Neighbors
from models.store_files import Vectors

STRANGERS = "strangers.safetensors"

RATES = (0.1, 0.01, 0.001)
"""Rates whose thresholds ``index.json`` shows; :meth:`Strangers.judge` takes any."""

ALIKE_RATE = 0.01
"""Share of strangers that count as unlike the background set."""

BOUNDS = {
    "index": "share of new images like the entries, but not in the index, that are called copies",
    "background": "share of new images like the background set, but not in the index, that are "
    "called copies",
}
"""Quantity that a threshold bounds, by source of the strangers."""

LEFT_OUT = {
    "index": "of which there are copies",
    "background": "being copies of another one or of an entry",
}
"""Why images are left out of the strangers, by their source."""

ARRAYS = ("vectors", "ids", "background", "scores")
"""Arrays in the file of strangers."""

Source = Literal["index", "background"]


class Scoring(Protocol):
    """Index that scores strangers: :class:`indexing.named_index.NamedIndex`."""

    @property
    def metric(self) -> Metric: ...

    def search(self, queries: Vectors, k: int, parameters: str = "") -> Neighbors: ...

    def similarity(self, descriptors: Vectors) -> Similarity: ...


@dataclass(frozen=True, eq=False)
class Strangers:
    """Strangers of an index with their scores.

    Attributes:
        source: ``background``: images of a background set. ``index``: entries, each compared with
            all others.
        vectors: (n, D) float32 descriptors.
        ids: (n,) id of the entry that each one is; -1 for images of a background set.
        background: (m, D) float32 descriptors of other background images, which normalize scores.
        scores: (n,) score of each one's nearest entry; minus infinity if none was found.
        parameters: faiss's search parameters of the scores.
        excluded: Images left out. Of a background set, copies of another one, by file or
            descriptor, and of an entry; of the entries, those of which there are copies.
        date: Day of the scores, as in 2026-11-29.
    """

    source: Source
    vectors: NDArray[np.float32]
    ids: NDArray[np.int64]
    background: NDArray[np.float32]
    scores: NDArray[np.float64]
    parameters: str
    excluded: int
    date: str

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def spare(self) -> int:
        """Scores that a new image could raise above its own; see :func:`least_scores`."""
        return int(self.source == "index")

    def scored(self, index: Scoring, parameters: str) -> Strangers:
        """Compute the scores in an index, with these search parameters."""
        neighbors = 2 if self.source == "index" else 1  # an entry's nearest is itself
        distances, found = index.search(self.vectors, neighbors, parameters)
        others = np.where(found == self.ids[:, None], -1, found)
        similarities = index.similarity(self.vectors)(distances, others)
        scores = np.nan_to_num(similarities, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        scores = scores.max(axis=1, initial=-np.inf)
        normalizer = self._normalizer(index)
        if normalizer is not None and len(self):
            scores = scores - normalizer(self.vectors)
        date = datetime.now(UTC).date().isoformat()
        return replace(self, scores=scores, parameters=parameters, date=date)

    def judge(self, index: Scoring, max_fpr: float) -> Judge:
        """Return the judge of scores at a rate of false matches."""
        unsure = min(UNSURE * max_fpr, 0.5)
        normalizer = self._normalizer(index)
        least_alike = None
        if normalizer is not None:
            bound = conformal_bound(-normalizer(self.vectors), ALIKE_RATE)
            least_alike = None if bound is None else -bound
        return Judge(
            max_fpr,
            conformal_bound(self.scores, max_fpr, self.spare),
            conformal_bound(self.scores, max(max_fpr, unsure), self.spare),
            normalizer,
            self._words(max_fpr),
            least_alike,
        )

    def _words(self, max_fpr: float) -> str:
        """Describe the calibration."""
        kind = "images of a background set" if self.source == "background" else "entries"
        others = (
            f", scores normalized by {len(self.background)} others" if self.background.size else ""
        )
        needed = least_scores(max_fpr, self.spare)
        few = "" if len(self) >= needed else f"; this rate takes {needed}"
        left = f"; {self.excluded} left out, {LEFT_OUT[self.source]}" if self.excluded else ""
        return f"Calibrated on {len(self)} {kind}{others}, {self.date}{few}{left}."

    def _normalizer(self, index: Scoring) -> Normalizer | None:
        if not len(self.background):
            return None
        return Normalizer(self.background, index.metric, index.similarity(self.background))

    def record(self) -> ThresholdFacts:
        """Return the entry of ``index.json``."""
        bounds = {str(rate): conformal_bound(self.scores, rate, self.spare) for rate in RATES}
        return {
            "source": self.source,
            "strangers": len(self),
            "normalizers": len(self.background),
            "excluded": self.excluded,
            "parameters": self.parameters,
            "date": self.date,
            "bounds": BOUNDS[self.source],
            "thresholds": bounds,
        }

    def write(self, target: Path) -> None:
        """Write the descriptors and scores."""
        from safetensors.numpy import save_file

        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in ARRAYS}
        save_file(arrays, target)


def read_strangers(file: Path, record: ThresholdFacts) -> Strangers:
    """Read the strangers of an index.

    Args:
        file: The file of :meth:`Strangers.write`.
        record: Entry of ``index.json``; see :meth:`Strangers.record`.

    Raises:
        ValueError: If the file is damaged or does not match the record.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(file)
        vectors, ids, background, scores = (arrays[name] for name in ARRAYS)
        is_valid = (
            vectors.ndim == background.ndim == 2
            and ids.shape == scores.shape == (len(vectors),)
            and vectors.shape[1] == background.shape[1]
            and not np.isnan(scores).any()
            and np.isfinite(vectors).all()
        )
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        msg = f"{file}: damaged ({error}); {REMEDY}"
        raise ValueError(msg) from error
    if not is_valid:
        msg = f"{file}: arrays of wrong shapes or values; {REMEDY}"
        raise ValueError(msg)
    return Strangers(
        record["source"],
        vectors,
        ids,
        background,
        scores,
        record["parameters"],
        record["excluded"],
        record["date"],
    )
