"""Similarities of a system's outputs to all sentinels, and how often it searched and found them, by key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import share_interval
from images.io import open_photo
from images.kinds import UnreadableImage
from models.embedders import Embedder
from sentinels.decide_config import DecideConfig
from sentinels.record import Record
from sentinels.retrieve import Hits
from sentinels.trials import Trials, retrieved, triggered


@dataclass
class Compared:
    """One system's outputs against all sentinels.

    Attributes:
        names: Keys' sources that could be compared, n of them.
        cosines: (n, n) outputs by sentinels, means over trials.
        facts: Counts, trigger rate and hits.
        missing: What could not be compared, and why.
    """

    names: list[str]
    cosines: NDArray[np.float64]
    facts: dict[str, Any]
    missing: dict[str, str]

    @property
    def own(self) -> dict[str, float]:
        """Each output's similarity to its own sentinel."""
        return {
            name: float(value)
            for name, value in zip(self.names, np.diag(self.cosines), strict=True)
        }


def compare(
    trials: Trials,
    record: Record,
    sentinels: dict[str, NDArray[np.float64]],
    embedder: Embedder,
    config: DecideConfig,
) -> Compared:
    """Similarities of a system's outputs to all sentinels, an untriggered trial's first picture included.

    Args:
        trials: The system's answers.
        record: The sentinels.
        sentinels: Unit vectors of the sentinels, by source.
        embedder: Compares.
        config: How.

    Raises:
        ValueError: If fewer than two keys can be compared.
    """
    vectors: dict[str, NDArray[np.float64]] = {}
    missing: dict[str, str] = {}
    woken: list[int] = []
    hits: list[Hits] = []
    for name in trials.entries:
        if name not in record.sentinels:
            missing[name] = "not in the record"
            continue
        if name not in sentinels:
            missing[name] = "its sentinel is not there"
            continue
        outputs = list(trials.outputs(name))[: 1 if config.compat else None]
        if outputs:
            woken.append(sum(triggered(trial) for trial, _ in outputs))
            wanted = Path(record.sentinels[name].generated).name
            rankings = [[Path(path).name for path in retrieved(trial)] for trial, _ in outputs]
            hits.append(Hits.of(rankings, [wanted] * len(outputs)))
        paths = {f"{place}": path for place, (_, path) in enumerate(outputs) if path is not None}
        if len(paths) < len(outputs) or not outputs:
            missing[name] = (
                f"{len(outputs) - len(paths)} of {len(outputs)} pictures are not there"
                if outputs
                else "never asked"
            )
        if paths:
            try:
                mean = np.mean(list(embedded(paths, embedder, config.batch_size).values()), axis=0)
            except UnreadableImage as error:
                missing[name] = str(error)
            else:
                vectors[name] = mean
    if len(vectors) < 2:
        msg = f"{trials.folder}: outputs of {len(vectors)} keys could be compared with their sentinels; at least two are needed"
        raise ValueError(msg)
    names = list(vectors)
    cosines = (
        np.stack([vectors[name] for name in names])
        @ np.stack([sentinels[name] for name in names]).T
    )
    trials_of_key = [hit.total for hit in hits]
    facts = {
        "keys": len(names),
        "asked_keys": len(hits),
        "trials": sum(trials_of_key),
        "triggered": share_of_keys(woken, trials_of_key),
        "hits": {
            f"hit@{depth}": share_of_keys([hit.at[depth] for hit in hits], trials_of_key)
            for depth in hits[0].at
        },
    }
    return Compared(names, cosines, facts, missing)


def share_of_keys(counts: list[int], trials: list[int]) -> dict[str, Any]:
    """Share of trials with its interval over keys, since the trials of one key are alike.

    Args:
        counts: Trials of each key that count.
        trials: Trials of each key.
    """
    sizes = np.array(trials)
    share = np.array(counts) / sizes
    return {"share": sum(counts) / sum(trials), "interval": share_interval(share, sizes)}


def embedded(
    paths: dict[str, Path], embedder: Embedder, batch_size: int
) -> dict[str, NDArray[np.float64]]:
    """Unit vectors of images, by name.

    Args:
        paths: Images by name.
        embedder: Compares.
        batch_size: Images embedded at a time.
    """
    pictures = [open_photo(path).rgb for path in paths.values()]
    if not pictures:
        return {}
    return dict(
        zip(paths, embedder.embed_arrays(pictures, batch_size).double().numpy(), strict=True)
    )
