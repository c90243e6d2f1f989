"""Is a model on this machine whole, and the one it says it is? Hashes, shapes, and one forward pass against answers kept beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from checkpoints.digests import check_digest
from checkpoints.folders import model_path, read_config
from checkpoints.golden import TOLERATED, Answers, answers, difference
from checkpoints.pull import PICKLED, WEIGHTS, checked, here, unverified
from checkpoints.registry import registry
from checkpoints.safe import is_program, read_pickled
from checkpoints.saved import SavedModel, read_checkpoint
from checkpoints.whole import refuse_incomplete

Opener = Callable[[dict[str, Any]], type[SavedModel] | None]
"""From a folder's settings to its model class; None for a foreign one."""

PipelineAnswers = Callable[[Path], Answers]
"""From a diffusion pipeline's folder to its answers."""


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes:
        folder: Where the model is.
        files: How many weight files were hashed.
        unverified: Those whose hash nobody but this machine vouches for.
        opened: As what it was opened, strictly; empty if it is no model that this project opens as a whole.
        difference: From the answers kept beside the weights, in shares of the largest; None if none are kept.
    """

    folder: Path
    files: int
    unverified: tuple[str, ...]
    opened: str
    difference: float | None


def verify(name: str, opener: Opener, pipeline_answers: PipelineAnswers) -> Verified:
    """Check a model that is here.

    Args:
        name: A folder, a Lightning checkpoint, a name of the registry, or ``hf://org/model``.
        opener: Finds model classes.
        pipeline_answers: Asks diffusion pipelines.

    Raises:
        FileNotFoundError: If it is not here, or a file of it is missing.
        ValueError: If anything is not as it should be.
    """
    given, found = Path(name), registry().get(name)
    if given.is_file() or name.endswith(".ckpt"):
        return verify_checkpoint(model_path(name), opener)
    folder = given if given.is_dir() else here(name)
    refuse_incomplete(folder, name)
    files = found.files if found is not None and not given.is_dir() else ()
    hashes = checked(name, folder, files)
    if not hashes:
        msg = f"{folder} holds no weights; name a model's folder, get it with python -m checkpoints pull, or export it again"
        raise FileNotFoundError(msg)
    check_digest(folder)
    for file in sorted(
        path for path in folder.rglob("*") if path.is_file() and path.suffix in WEIGHTS
    ):
        check_readable(file)
    opened, said = exercise(folder, opener, pipeline_answers)
    apart = difference(folder, said) if said else None
    if apart is not None and not apart <= TOLERATED:
        msg = f"{folder}: its answers differ by {apart:.1%} from those kept beside its weights, {TOLERATED:.1%} at most is allowed"
        raise ValueError(msg)
    return Verified(folder, len(hashes), unverified(files, hashes), opened, apart)


def verify_checkpoint(file: Path, opener: Opener) -> Verified:
    """Check a Lightning checkpoint: read it, and open the models of this project in it; no answers are kept of them.

    Args:
        file: The checkpoint.
        opener: Finds model classes.

    Raises:
        ValueError: If it is damaged, or holds what it does not say.
    """
    _, remembered = read_checkpoint(file)
    kinds = [kind for kind in map(opener, remembered.values()) if kind is not None]
    for kind in kinds:
        kind.from_pretrained(file)
    return Verified(file, 1, (file.name,), " and a ".join(kind.__name__ for kind in kinds), None)


def exercise(
    folder: Path, opener: Opener, pipeline_answers: PipelineAnswers
) -> tuple[str, Answers]:
    """Open a model folder as what it is, and ask it; nothing for folders of other kinds.

    Raises:
        FileNotFoundError: If a file of it is missing.
        ValueError: If it cannot be opened as what it says it is.
    """
    if (folder / "model_index.json").is_file():
        return "diffusion pipeline", pipeline_answers(folder)
    kind = opener(read_config(folder)) if (folder / "config.json").is_file() else None
    return ("", {}) if kind is None else (kind.__name__, answers(kind.from_pretrained(folder)))


def check_readable(file: Path) -> None:
    """Open a weight file without running anything in it.

    Raises:
        ValueError: If it is damaged or holds more than tensors; a TorchScript program is not opened.
    """
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, "pt") as opened:
                list(opened.keys())
        except SafetensorError as error:
            msg = f"{file} is damaged ({error}); get it again"
            raise ValueError(msg) from error
    elif file.suffix in PICKLED and not is_program(file):
        read_pickled(file)
