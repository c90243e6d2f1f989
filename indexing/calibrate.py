"""Choice of strangers: images of a background set, or a sample of the entries.

An entry is compared with all others. Similar entries, such as copies that nobody noticed, raise the
threshold then, and the bound still holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.statistics import first_occurrences, least_scores
from indexing.entries import Inserted, store_digests
from indexing.named_index import NamedIndex
from indexing.strangers import Strangers
from models.store import VectorStore

MAX_STRANGERS = 4000
"""Most strangers of an index, and most background images for score normalization."""

LEAST_TO_NORMALIZE = 2 * least_scores(0.01)
"""Fewest background images that are divided: half normalizes scores, half bounds a rate of 1 %."""


def from_background(index: NamedIndex, store: VectorStore, seed: int = 0) -> Strangers:
    """Choose strangers from a background set.

    Images whose descriptor is that of an entry are left out, and so are all but the first of those
    with equal files or descriptors: copies are not independent, and the bound counts on that. Half
    of a set that is large enough normalizes scores, the other half are the strangers.

    Args:
        index: The index, with its entries.
        store: Descriptors of the background set.
        seed: Seed of the choice.

    Raises:
        ValueError: If the descriptors are of another extractor or length.
    """
    index.check(store.fingerprint, store.dimension, "the background images")
    digests = store_digests(store)
    known = index.entries.digests
    files = [image.sha256 for image in store.images] or store.names
    first = np.intersect1d(first_occurrences(digests), first_occurrences(np.asarray(files)))
    new = np.isin(np.arange(len(digests)), first)
    if known is not None:
        new &= ~np.isin(digests, known)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(new))
    normalizers = len(rows) // 2 if len(rows) >= LEAST_TO_NORMALIZE and index.compares_values else 0
    background = rows[:normalizers][:MAX_STRANGERS]
    chosen = rows[normalizers:][:MAX_STRANGERS]
    return Strangers(
        "background",
        picked(store, chosen),
        np.full(len(chosen), -1),
        picked(store, background),
        np.zeros(len(chosen)),
        "",
        int((~new).sum()),
        "",
    )


def from_entries(
    index: NamedIndex, earlier: Strangers | None, inserted: Sequence[Inserted], seed: int = 0
) -> Strangers:
    """Choose strangers among the entries: a random sample of all, without those that have twins.

    Args:
        index: The index, with its entries.
        earlier: The sample before the last insertion.
        inserted: What was inserted since.
        seed: Seed of the choice.
    """
    rng = np.random.default_rng(seed)
    new = sum(len(part.ids) for part in inserted)
    old = len(index.entries) - new
    # the earlier sample, without removed entries, keeps its share of all entries
    vectors = [np.zeros((0, index.dimension), np.float32)]
    ids = [np.zeros(0, np.int64)]
    if earlier is not None and old > 0:
        live = np.flatnonzero(index.entries.is_live(earlier.ids))
        total = min(MAX_STRANGERS, len(live) + new)
        kept = rng.permutation(live)[: max(0, total - round(total * new / (new + old)))]
        vectors.append(earlier.vectors[kept])
        ids.append(earlier.ids[kept])
    # a sample of the new entries
    wanted = min(MAX_STRANGERS - len(ids[-1]), new)
    chosen = np.sort(rng.choice(new, wanted, replace=False)) if wanted else np.zeros(0, np.int64)
    offset = 0
    for part in inserted:
        here = chosen[(chosen >= offset) & (chosen < offset + len(part.ids))] - offset
        vectors.append(picked(part.store, part.rows[here]))
        ids.append(part.ids[here])
        offset += len(part.ids)
    # without twins
    all_ids = np.concatenate(ids)
    single = ~index.entries.has_twin(all_ids)
    return Strangers(
        "index",
        np.concatenate(vectors)[single],
        all_ids[single],
        np.zeros((0, index.dimension), np.float32),
        np.zeros(int(single.sum())),
        "",
        int((~single).sum()),
        "",
    )


def picked(store: VectorStore, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read rows of a store, (n, D), in this order."""
    return np.ascontiguousarray(store.matrix[rows], dtype=np.float32)
