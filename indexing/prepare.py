"""The ``prepare`` job: DISC21 as folders of links (arXiv 2106.09672)."""

from __future__ import annotations

import csv
import io
import os
import random
from pathlib import Path

from engine.files import read_text
from images.io import list_images

QUERIES = 40_000


def prepare_disc(
    data: Path,
    output: Path,
    truth: Path | None = None,
    queries: int = QUERIES,
    seed: int = 0,
) -> dict[str, int]:
    """Link DISC21's images into the folders of active indexing's experiments.

    ``references_10k`` holds the references that match a development query, ``references_990k`` the
    others, and ``queries_40k`` random training images, which match nothing.
    Existing links are kept, so that the command can be repeated.

    Args:
        data: Folder with ``references/R000000.jpg`` and so on, and ``train/T000000.jpg``.
        output: Folder of the three folders.
        truth: List of matches with lines of ``query,reference``, with or without a header; None
            looks in ``data`` for ``groundtruth_matches.csv`` or ``dev_queries_groundtruth.csv``.
        queries: Number of training images to link.
        seed: Seed of their selection.

    Returns:
        Number of images in each folder.

    Raises:
        FileNotFoundError: If a folder, the list or a listed reference is missing.
        ValueError: If the list is malformed, there are too few training images, or another file has
            a link's name.
    """
    # references that match a query
    names = ("groundtruth_matches.csv", "dev_queries_groundtruth.csv")
    existing = [data / name for name in names if (data / name).is_file()]
    matches = truth or next(iter(existing), None)
    if matches is None or not matches.is_file():
        msg = (
            f"{matches or data}: no list of matches; looked for {' and '.join(names)}; or name it "
            "with --truth"
        )
        raise FileNotFoundError(msg)
    matched = read_matches(matches)
    references = {path.stem: path for path in list_images(data / "references")[0]}
    if missing := sorted(matched - set(references)):
        msg = (
            f"{data / 'references'}: {len(missing)} of the listed references are missing, the "
            f"first is {missing[0]}"
        )
        raise FileNotFoundError(msg)
    # random training images
    training = list_images(data / "train")[0]
    if len(training) < queries:
        msg = (
            f"{data / 'train'}: {len(training)} images, but {queries} are requested; lower "
            "--queries"
        )
        raise ValueError(msg)
    sampled = random.Random(seed).sample(training, queries)
    # links
    folders = {
        "references_10k": [path for stem, path in references.items() if stem in matched],
        "references_990k": [path for stem, path in references.items() if stem not in matched],
        "queries_40k": sampled,
    }
    return {name: link(paths, output / name) for name, paths in folders.items()}


def read_matches(file: Path) -> set[str]:
    """Read the references that match a query.

    A header, lines without a reference, and repeated lines are allowed.

    Raises:
        ValueError: If a line has fewer than two columns.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(read_text(file), newline="")) if row]
    except csv.Error as error:
        msg = f"{file}: not a table of query,reference ({error})"
        raise ValueError(msg) from error
    if rows and rows[0][0].strip().lower() in ("query_id", "query"):
        rows = rows[1:]
    if malformed := [row for row in rows if len(row) < 2]:
        msg = f"{file}: expected lines of query,reference, got {','.join(malformed[0])!r}"
        raise ValueError(msg)
    return {row[1].strip() for row in rows if row[1].strip()}


def link(paths: list[Path], folder: Path) -> int:
    """Link images into a folder under their own names.

    Links are absolute, and existing ones are kept.

    Returns:
        Number of images.

    Raises:
        ValueError: If another file has a link's name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        link_path = folder / path.name
        target = path.resolve()
        if link_path.is_symlink() and Path(os.readlink(link_path)) == target:
            continue
        if link_path.is_symlink() or link_path.exists():
            msg = (
                f"{link_path} exists already and is another image; choose another output folder or "
                "delete it"
            )
            raise ValueError(msg)
        link_path.symlink_to(target)
    return len(paths)
