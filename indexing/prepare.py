"""Laying out DISC21 as folders of links (Douze et al., arXiv 2106.09672)."""

from __future__ import annotations

import csv
import os
import random
from pathlib import Path

from images.io import list_images

QUERIES = 40_000


def prepare_disc(data: Path, output: Path, truth: Path | None = None, queries: int = QUERIES, seed: int = 0) -> dict[str, int]:
    """Links to DISC21's pictures in the three folders of active indexing's experiments.

    ``references_10k`` holds the references that a development query shows, ``references_990k`` the others, ``queries_40k`` training
    pictures at random, which match nothing. Links that are there already are kept, so that it can be run again.

    Args:
        data: With ``references/R000000.jpg`` and so on, and ``train/T000000.jpg``.
        output: Folder of the three.
        truth: The list of matches, ``query,reference`` a line, with or without a header; by default it is looked for in ``data``
            as ``groundtruth_matches.csv`` or ``dev_queries_groundtruth.csv``.
        queries: How many pictures that match nothing.
        seed: Of their choice.

    Returns:
        Pictures in each folder.

    Raises:
        FileNotFoundError: If a folder or the list is missing, or a listed reference is not there.
        ValueError: If the list is none, there are too few training pictures, or another file is in a link's place.
    """
    names = ("groundtruth_matches.csv", "dev_queries_groundtruth.csv")
    given = truth or next((data / name for name in names if (data / name).is_file()), None)
    if given is None or not given.is_file():
        msg = f"{given or data}: no list of matches; looked for {' and '.join(names)}, or name it with truth"
        raise FileNotFoundError(msg)
    wanted = read_matches(given)
    references = {path.stem: path for path in list_images(data / "references")[0]}
    if missing := sorted(wanted - set(references)):
        msg = f"{data / 'references'}: {len(missing)} of the listed references are not there, the first is {missing[0]}"
        raise FileNotFoundError(msg)
    training = list_images(data / "train")[0]
    if len(training) < queries:
        msg = f"{data / 'train'}: {len(training)} pictures, but {queries} are to be chosen; give fewer queries"
        raise ValueError(msg)
    chosen = random.Random(seed).sample(training, queries)
    folders = {
        "references_10k": [path for stem, path in references.items() if stem in wanted],
        "references_990k": [path for stem, path in references.items() if stem not in wanted],
        "queries_40k": chosen,
    }
    return {name: link(paths, output / name) for name, paths in folders.items()}


def read_matches(file: Path) -> set[str]:
    """References that some query shows; a header, lines without a reference and repetitions do no harm.

    Raises:
        ValueError: If the file has lines of another kind.
    """
    with file.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.reader(stream) if row]
    if rows and rows[0][0].strip().lower() in ("query_id", "query"):
        rows = rows[1:]
    if wrong := [row for row in rows if len(row) < 2]:
        msg = f"{file}: expected lines of query,reference, got {','.join(wrong[0])!r}"
        raise ValueError(msg)
    return {row[1].strip() for row in rows if row[1].strip()}


def link(paths: list[Path], folder: Path) -> int:
    """Links with absolute goals, named as the pictures; how many.

    Raises:
        ValueError: If something else is in a link's place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        place, goal = folder / path.name, path.resolve()
        if place.is_symlink() and Path(os.readlink(place)) == goal:
            continue
        if place.is_symlink() or place.exists():
            msg = f"{place} is there already and is another picture; choose another output folder or delete it"
            raise ValueError(msg)
        place.symlink_to(goal)
    return len(paths)
