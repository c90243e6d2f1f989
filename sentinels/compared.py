"""Similarities of a system's outputs to sources, with retrieval rates over keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.statistics import share_interval
from images.kinds import UnreadableImage
from models.embedders import Embedder
from sentinels.decide_config import DecideConfig
from sentinels.record import Record
from sentinels.references import Kind, References, embed_files
from sentinels.retrieve import Hits
from sentinels.trials import Trials, retrieved, triggered


@dataclass
class Compared:
    """Similarities of one system's outputs to all sources.

    Attributes:
        names: Source images of the n compared keys.
        cosines: (n, n) cosine similarities, outputs by references; outputs are means over trials.
        facts: Number of keys and trials, trigger rate and Hit@k.
        missing: Reason for each source that could not be compared.
        compared_with: What the references are.
    """

    names: list[str]
    cosines: NDArray[np.float64]
    facts: dict[str, Any]
    missing: dict[str, str]
    compared_with: Kind = "sources"

    @property
    def own(self) -> dict[str, float]:
        """Return the similarity of each output to its own reference, by source."""
        return {
            name: float(value)
            for name, value in zip(self.names, np.diag(self.cosines), strict=True)
        }


def compare(
    trials: Trials,
    record: Record,
    references: References,
    embedder: Embedder,
    config: DecideConfig,
) -> Compared:
    """Compare a system's outputs with all references.

    The first image of an untriggered trial counts as its output.

    Args:
        trials: Answers of the system.
        record: Record of the sentinels in the system's database; hits are counted by their files.
        references: Images that outputs are compared with.
        embedder: Model that compares images.
        config: Settings of the decision.

    Raises:
        ValueError: If fewer than two keys can be compared.
    """
    vectors: dict[str, NDArray[np.float64]] = {}
    missing: dict[str, str] = {}
    triggered_trials: list[int] = []
    hits: list[Hits] = []
    for name in trials.entries:
        if name not in record.sentinels:
            missing[name] = "not in the record"
            continue
        if name not in references.vectors:
            missing[name] = references.missing.get(name, "not in the record")
            continue
        # Trigger rate and hits, over all trials of the key.
        outputs = list(trials.outputs(name))[: 1 if config.compat else None]
        if outputs:
            triggered_trials.append(sum(triggered(trial) for trial, _ in outputs))
            hits.append(_hits_of_key(outputs, record, name))
        # Mean vector of the output images.
        vector, reason = _mean_vector([path for _, path in outputs], embedder, config.batch_size)
        if reason:
            missing[name] = reason
        if vector is not None:
            vectors[name] = vector
    if len(vectors) < 2:
        raise ValueError(_too_few_keys(trials, references, len(vectors)))
    # Similarity of every output to every reference.
    names = list(vectors)
    output_vectors = np.stack([vectors[name] for name in names])
    reference_vectors = np.stack([references.vectors[name] for name in names])
    cosines = output_vectors @ reference_vectors.T
    facts = _rates(len(names), triggered_trials, hits)
    return Compared(names, cosines, facts, missing, references.kind)


def _too_few_keys(trials: Trials, references: References, count: int) -> str:
    """Say what is missing for a decision, and what to do."""
    kind = references.kind
    text = f"{trials.folder}: a decision needs outputs and {kind} of at least two keys, got {count}"
    gone = [name for name in trials.entries if name in references.missing]
    if not gone:
        return text
    text += f"; {len(gone)} {kind} cannot be used, such as that of {gone[0]}: "
    text += references.missing[gone[0]]
    remedy = "give the folder of the original collection with --sources"
    return f"{text}; {remedy}" if kind == "sources" else text


def _mean_vector(
    outputs: list[Path | None], embedder: Embedder, batch_size: int
) -> tuple[NDArray[np.float64] | None, str]:
    """Average the vectors of a key's output images.

    Args:
        outputs: Image of each trial; None if it is missing.
        embedder: Model that compares images.
        batch_size: Number of images in one batch.

    Returns:
        The mean vector, None without a readable image; and the reason if images are missing or
        unreadable, else an empty text.
    """
    if not outputs:
        return None, "no trials"
    paths = [path for path in outputs if path is not None]
    reason = ""
    if len(paths) < len(outputs):
        reason = f"{len(outputs) - len(paths)} of {len(outputs)} output images are missing"
    if not paths:
        return None, reason
    try:
        vectors = embed_files(paths, embedder, batch_size)
    except UnreadableImage as error:
        return None, str(error)
    return vectors.mean(axis=0), reason


def _hits_of_key(
    outputs: list[tuple[dict[str, Any], Path | None]], record: Record, name: str
) -> Hits:
    """Count the trials of a key that retrieved its sentinel.

    Paths are compared from their ends, as far as both go. The source may have the sentinel's name,
    and is told apart by its place.
    """
    wanted = PurePath(record.sentinels[name].published).parts[::-1]
    source = record.locate(record.sentinels[name].original)
    rankings = []
    for trial, _ in outputs:
        found = []
        for path in map(Path, retrieved(trial)):
            pairs = zip(path.parts[::-1], wanted, strict=False)
            is_source = source is not None and path.is_absolute() and path.resolve() == source
            found.append("" if is_source or any(a != b for a, b in pairs) else name)
        rankings.append(found)
    return Hits.of(rankings, [name] * len(outputs))


def _rates(keys: int, triggered_trials: list[int], hits: list[Hits]) -> dict[str, Any]:
    """Compute the trigger rate and Hit@k over keys.

    Args:
        keys: Number of compared keys.
        triggered_trials: Number of triggered trials of each key with trials.
        hits: Hits of each key with trials.
    """
    trials = [hit.total for hit in hits]
    hit_rates = {}
    for depth in hits[0].at:
        hit_rates[f"hit@{depth}"] = share_of_keys([hit.at[depth] for hit in hits], trials)
    return {
        "keys": keys,
        "asked_keys": len(hits),
        "trials": sum(trials),
        "triggered": share_of_keys(triggered_trials, trials),
        "hits": hit_rates,
    }


def share_of_keys(counts: list[int], trials: list[int]) -> dict[str, Any]:
    """Compute a share of trials with its interval over keys.

    Keys are the units, because the trials of one key are similar.

    Args:
        counts: Number of trials of each key that count, such as triggered ones.
        trials: Number of trials of each key.
    """
    sizes = np.array(trials)
    share = np.array(counts) / sizes
    return {"share": sum(counts) / sum(trials), "interval": share_interval(share, sizes)}
