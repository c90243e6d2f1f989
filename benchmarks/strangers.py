"""False matches among strangers, and copies found, at stated rates.

Run ``python -m benchmarks.strangers FACES/ PHOTOS/``: two folders of real images.

A third of the faces and half of the photos are entries. Another third of the faces is the
background set. The others are strangers. Every photo that is an entry is looked up after the
paper's 15 edits. Intervals are of 95 %: exact for strangers, over photos for copies.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.job import JobOptions
from engine.pages.shell import in_brackets
from engine.statistics import mean_interval, proportion_interval, share_interval
from images.inputs import find_images
from images.transforms import SUITES, edit_generator, flatten_suite
from indexing.build import build
from indexing.extract import extract
from indexing.index import Index
from indexing.search import search
from models.embedder_config import EmbedderConfig
from models.embedders import open_embedder
from models.store import VectorStore

RATES = (0.01, 0.05)

INDICES = {
    "Flat, entries": ("Flat", "", False),
    "Flat, background": ("Flat", "", True),
    "IVF16,PQ16x6, nprobe=4, entries": ("IVF16,PQ16x6", "nprobe=4", False),
    "IVF16,PQ16x6, nprobe=4, background": ("IVF16,PQ16x6", "nprobe=4", True),
}
"""Factory, search parameters, and whether strangers are a background set."""


def described(folder: Path, output: Path) -> VectorStore:
    """Describe the images of a folder."""
    options = JobOptions(batch_size=64, workers=0)
    report = extract([folder], output, EmbedderConfig("checkpoints/tiny/copies"), options)
    assert report is not None
    return report.store


def part(store: VectorStore, chosen: NDArray[np.int64], folder: Path | None = None) -> VectorStore:
    """Take rows of a store, and write them."""
    names = [store.names[row] for row in chosen]
    taken = VectorStore(np.array(store.matrix[chosen]), names, store.embedder)
    if folder is not None:
        taken.write(folder)
    return taken


def edited_copies(paths: list[str]) -> tuple[list[str], VectorStore]:
    """Describe images after every edit of the paper; names begin with the edit's number."""
    embedder = open_embedder(EmbedderConfig("checkpoints/tiny/copies"))
    edits = flatten_suite(SUITES["paper"])
    names = []
    vectors = []
    for image in find_images([Path(path) for path in paths]).images:
        rgb = image.open().rgb
        for number, (_, _, edit) in enumerate(edits):
            edited = edit(rgb, edit_generator(0, image.name, number))
            vectors.append(embedder.embed_arrays([edited]).numpy())
            names.append(f"{number}:{image.full_name}")
    labels = [f"{kind} {parameter}".strip() for kind, parameter, _ in edits]
    return labels, VectorStore(np.concatenate(vectors), names, embedder.record())


def called_copies(index: Index, queries: VectorStore, rate: float) -> dict[str, str]:
    """Return the entry of each query that is called a copy."""
    matches, _ = search(index, queries, k=1, max_fpr=rate)
    return {match.query: match.match for match in matches if match.verdict == "copy"}


def recall(found: NDArray[np.bool_]) -> str:
    """Format the share of copies found, (photos, edits), with its interval over photos."""
    return f"{found.mean():.3f}{in_brackets(share_interval(found.mean(axis=1)))}"


def paired_gain(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> str:
    """Format how many more copies are found, (photos, edits), with the interval over photos."""
    gain = one.mean(axis=1) - other.mean(axis=1)
    interval = mean_interval(gain, (-1.0, 1.0))
    return f"{gain.mean():+.3f}{in_brackets(interval, '+.3f')}"


def main(faces: Path, photos: Path) -> None:
    """Print the tables."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        stores = {"faces": described(faces, root / "f"), "photos": described(photos, root / "p")}
        face_parts = np.array_split(rng.permutation(len(stores["faces"])), 3)
        photo_parts = np.array_split(rng.permutation(len(stores["photos"])), 2)
        part(stores["faces"], face_parts[0], root / "entries")
        entries = part(stores["photos"], photo_parts[0], root / "entry photos")
        part(stores["faces"], face_parts[1], root / "background")
        strangers = {
            "faces": part(stores["faces"], face_parts[2]),
            "photos": part(stores["photos"], photo_parts[1]),
        }
        labels, copies = edited_copies(entries.names)
        print(f"{sum(map(len, face_parts[:1])) + len(entries)} entries\n")
        print("| index, strangers of | rate | faces called copies | photos | copies found |")
        print("|---|---|---|---|---|")
        tables = {}
        for title, (factory, parameters, with_background) in INDICES.items():
            background = root / "background" if with_background else None
            folders = [root / "entries", root / "entry photos"]
            index = build(
                folders, root / title, factory, background=background, parameters=parameters
            )
            for rate in RATES:
                shares = []
                for queries in strangers.values():
                    count = len(called_copies(index, queries, rate))
                    interval = proportion_interval(count, len(queries))
                    shares.append(
                        f"{count} of {len(queries)}, {count / len(queries):.2%} "
                        f"({interval.low:.2%} to {interval.high:.2%})"
                    )
                found = called_copies(index, copies, rate)
                right = [query.partition(":")[2] == found.get(query) for query in copies.names]
                of_copies = np.array(right).reshape(-1, len(labels))
                tables[title, rate] = of_copies
                print(f"| {title} | {rate:g} | {' | '.join(shares)} | {recall(of_copies)} |")
        print("\nCopies found with a background set, minus those found with the entries:")
        for title in INDICES:
            if title.endswith("background"):
                entries_title = title.replace("background", "entries")
                for rate in RATES:
                    gain = paired_gain(tables[title, rate], tables[entries_title, rate])
                    print(f"{title}, {rate:g}: {gain}")
        print(f"\n| edit | {' | '.join(INDICES)} |\n|---|{'---|' * len(INDICES)}")
        for number, label in enumerate(labels):
            cells = [f"{tables[title, RATES[0]][:, number].mean():.2f}" for title in INDICES]
            print(f"| {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
