"""Groups of copies within a collection, by file, by PDQ hash and by descriptor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.progress import progress
from images.inputs import ImageInput
from images.kinds import UnreadableImage
from images.pdq import MIN_QUALITY, SAME, near_pairs, pdq
from indexing.background import open_background
from indexing.calibrate import from_background
from indexing.faiss_files import make_index
from indexing.index import Index
from indexing.similarity import UNIT_ROWS, Similarity, decimal, similarity_kind
from indexing.verdicts import Judge, check_rate
from models.store import VectorStore

BLOCK_VALUES = 2**23
"""Similarities computed at a time."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class Member:
    """One image of a group, a row of the table.

    Attributes:
        group: Number of the group, from 1; the largest first.
        image: Name of the image.
        similarity: Greatest similarity of its descriptor to that of another member that was found
            by it; None if none was.
        pdq: Smallest PDQ distance to another member, in bits of 256, if within the published limit.
        evidence: ``file``, ``pdq`` and ``descriptor``, joined by plus signs.
    """

    group: int
    image: str
    similarity: float | None
    pdq: int | None
    evidence: str


COLUMNS = [*(field_.name for field_ in fields(Member)), "notes", "error"]
"""Columns of the table; after the members of groups, it has a row without a group for each other
image of which there is a note or an error."""

FLAT = f"not compared by PDQ: too flat, of a quality below {MIN_QUALITY} of 100"
"""Note of images without a usable hash."""


@dataclass
class Evidence:
    """Pairs of copies, by what shows them; the smaller index first.

    Attributes:
        files: Pairs of equal files.
        hashes: PDQ distance of each pair.
        descriptors: Similarity of each pair.
    """

    files: set[Pair] = field(default_factory=set)
    hashes: dict[Pair, int] = field(default_factory=dict)
    descriptors: dict[Pair, float] = field(default_factory=dict)


@dataclass
class Hashed:
    """Hashes of images.

    Attributes:
        names: Full names of the N readable images.
        digests: sha256 of each.
        bits: (N, 256) PDQ hashes; all False for images that are too flat.
        usable: (N,) whether the hash says anything.
        failed: Error message of each unreadable image, by name.
    """

    names: list[str]
    digests: list[str]
    bits: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    failed: dict[str, str]

    @property
    def flat(self) -> list[str]:
        """Names of the images whose hash says nothing."""
        return [name for name, usable in zip(self.names, self.usable, strict=True) if not usable]


def hash_images(images: Sequence[ImageInput]) -> Hashed:
    """Hash images, and name those that cannot be read."""
    hashed = Hashed([], [], np.zeros((0, 256), bool), np.zeros(0, bool), {})
    bits = []
    usable = []
    for image in progress(images, unit="image"):
        try:
            rgb = image.open().on_white().rgb
            digest = image.digest()
        except (UnreadableImage, OSError) as error:
            hashed.failed[image.name] = str(error)
            continue
        code, quality = pdq(rgb)
        hashed.names.append(image.full_name)
        hashed.digests.append(digest)
        bits.append(code)
        usable.append(quality >= MIN_QUALITY)
    if bits:
        hashed.bits = np.stack(bits)
        hashed.usable = np.array(usable)
    return hashed


def rows_of(
    members: Sequence[Member], notes: Mapping[str, str], errors: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the rows of the table, by :data:`COLUMNS`.

    Args:
        members: Members by group.
        notes: How an image was not compared, by its name.
        errors: Why an image was not compared, or not described, by its name.
    """
    rows = [asdict(member) for member in members]
    grouped = {member.image for member in members}
    others = [image for image in {**notes, **errors} if image not in grouped]
    rows += [dict.fromkeys(COLUMNS, "") | {"image": image} for image in others]
    for row in rows:
        row["notes"] = notes.get(row["image"], "")
        row["error"] = errors.get(row["image"], "")
    return rows


def equal_files(digests: Sequence[str]) -> set[Pair]:
    """Return pairs of equal digests, each with the first one."""
    first: dict[str, int] = {}
    pairs = set()
    for number, digest in enumerate(digests):
        if first.setdefault(digest, number) != number:
            pairs.add((first[digest], number))
    return pairs


def near_hashes(hashed: Hashed) -> dict[Pair, int]:
    """Return the PDQ distance of each pair within the published limit."""
    rows = np.flatnonzero(hashed.usable)
    bits = hashed.bits[rows]
    pairs = {}
    for one, other in near_pairs(bits, bits, SAME):
        if one < other:
            distance = int((bits[one] != bits[other]).sum())
            pairs[int(rows[one]), int(rows[other])] = distance
    return pairs


def calibrated(store: VectorStore, background: Path, max_fpr: float) -> Judge:
    """Calibrate a threshold on images of which a collection has no copies.

    Args:
        store: Descriptors of the collection.
        background: Descriptors or images.
        max_fpr: Share of such images that would be called a copy of one of the collection.

    Raises:
        ValueError: If there are too few background images, or they are of another extractor.
    """
    check_rate(max_fpr)
    kind = similarity_kind("l2", store.rows(0, UNIT_ROWS))
    facts = {"extractor": store.embedder, "similarity": kind}
    index = Index(make_index("Flat", store.dimension, "l2"), [], facts)
    index.insert(store, np.arange(len(store)))
    others = open_background(background, store.embedder)
    index.calibrate(from_background(index, others))
    judge = index.judge(max_fpr)
    if judge.copy is None:
        raise ValueError(judge.words())
    return judge


def near_descriptors(store: VectorStore, judge: Judge) -> dict[Pair, float]:
    """Return the similarity of each pair whose scores exceed the threshold in both directions.

    Args:
        store: Descriptors.
        judge: Judge with a threshold.
    """
    assert judge.copy is not None
    rows = store.rows(0, len(store))
    needed = np.full(len(rows), judge.copy)
    if judge.normalizer is not None:
        needed += judge.normalizer(rows)
    pairs = {}
    for start, similarities in _similarities(rows):
        block = slice(start, start + len(similarities))
        is_near = (similarities > needed[block, None]) & (similarities > needed[None])
        for one, other in np.argwhere(is_near):
            if start + one < other:
                pairs[int(start + one), int(other)] = float(similarities[one, other])
    return pairs


def _similarities(rows: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield blocks of similarities with all rows, and their first row."""
    similarity = Similarity(similarity_kind("l2", rows[:UNIT_ROWS]))
    squares = (rows.astype(np.float64) ** 2).sum(axis=1)
    step = max(1, BLOCK_VALUES // len(rows))
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        products = (rows[block] @ rows.T).astype(np.float64)
        distances = squares[block, None] + squares[None] - 2 * products
        yield start, similarity(distances, np.zeros(distances.shape, np.int64))


def group(names: Sequence[str], evidence: Evidence) -> list[Member]:
    """Join pairs to groups: whatever is connected by pairs is one group.

    Args:
        names: Names of the N images.
        evidence: Pairs of them.

    Returns:
        Members by group, the largest group first.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = [*evidence.files, *evidence.hashes, *evidence.descriptors]
    if not pairs:
        return []
    ends = np.array(pairs).T
    links = coo_matrix((np.ones(len(pairs), bool), (ends[0], ends[1])), (len(names), len(names)))
    labels = connected_components(links, directed=False)[1]
    by_label: dict[int, list[int]] = defaultdict(list)
    for image in sorted({image for pair in pairs for image in pair}):
        by_label[int(labels[image])].append(image)
    groups = sorted(by_label.values(), key=lambda images: (-len(images), names[images[0]]))
    in_file = {image for pair in evidence.files for image in pair}
    nearest_hash = _best(evidence.hashes, -1)
    nearest_descriptor = _best(evidence.descriptors, 1)
    members = []
    for number, images in enumerate(groups, start=1):
        for image in images:
            similarity = nearest_descriptor.get(image)
            shown = {
                "file": image in in_file,
                "pdq": image in nearest_hash,
                "descriptor": similarity is not None,
            }
            members.append(
                Member(
                    number,
                    names[image],
                    None if similarity is None else decimal(similarity),
                    None if image not in nearest_hash else int(nearest_hash[image]),
                    "+".join(kind for kind, is_shown in shown.items() if is_shown),
                )
            )
    return members


def _best(pairs: Mapping[Pair, float], sign: int) -> dict[int, float]:
    """Return the greatest value of each image's pairs, or the smallest for a negative sign."""
    best: dict[int, float] = {}
    for pair, value in pairs.items():
        for image in pair:
            if image not in best or sign * value > sign * best[image]:
                best[image] = value
    return best
