"""Guard against jobs that overwrite their inputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from images.inputs import ImageInput


def refuse_overlap(
    output: Path, inputs: Sequence[Path], images: Iterable[ImageInput], targets: Iterable[Path] = ()
) -> None:
    """Refuse an output folder that overlaps with the inputs.

    Args:
        output: Folder of the results.
        inputs: Inputs as given on the command line.
        images: Images of these inputs.
        targets: Files that the job will write.

    Raises:
        ValueError: If the output folder is an input or lies in one, an input lies in the output
            folder, or a target is an input, by its path or as another link to the same file.
    """
    # Refuse an output folder in an input folder.
    folder = output.resolve()
    overwrite = "choose another, or results would overwrite inputs"
    for root in inputs:
        if folder == root.resolve():
            msg = f"the output folder {output} is the input {root}: {overwrite}"
            raise ValueError(msg)
        if folder.is_relative_to(root.resolve()):
            remedy = "choose another, or the next run would take results for inputs"
            msg = f"the output folder {output} lies inside the input {root}: {remedy}"
            raise ValueError(msg)
    # Refuse an input in the output folder.
    named_files = [root for root in inputs if root.is_file()]
    files = dict.fromkeys([*named_files, *(image.path for image in images)])
    if inside := _first_inside(files, folder):
        msg = f"the input {inside} lies inside the output folder {output}: {overwrite}"
        raise ValueError(msg)
    # Refuse a target that is a link to an input.
    existing = [target for target in targets if os.path.exists(target)]
    sources = {_identity(file): file for file in files} if existing else {}
    for target in existing:
        if source := sources.get(_identity(target)):
            msg = (
                f"the result {target} would overwrite the input {source}: "
                "choose another output folder"
            )
            raise ValueError(msg)


def _first_inside(files: Iterable[Path], folder: Path) -> Path | None:
    """Find the first file in a folder, following links.

    Each parent is resolved only once.
    """
    parents: dict[Path, bool] = {}
    for file in files:
        if file.parent not in parents:
            parents[file.parent] = file.parent.resolve().is_relative_to(folder)
        if parents[file.parent] or (os.path.islink(file) and file.resolve().is_relative_to(folder)):
            return file
    return None


def _identity(file: Path) -> tuple[int, int]:
    """Return device and inode, equal for every link to a file."""
    status = os.stat(file)
    return status.st_dev, status.st_ino
