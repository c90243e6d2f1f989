"""Upload of models to the Hub, from a staged folder that can be inspected first."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from checkpoints.card import Purpose, model_card, record
from checkpoints.digests import DIGEST, write_digest
from checkpoints.golden import GOLDEN, HasExampleInputs, compute_outputs, save_outputs
from checkpoints.hub import call_with_retries, hub_errors
from checkpoints.hub_errors import explain_error
from engine.files import refuse_existing, write_text
from engine.records import to_json, without_folders

RECORDS = ("training.json", "manifest.json", "summary.json")
"""Records of a run that the card is written from; the folders in them are removed."""

PUSHED_FILES = (
    "config.json",
    "model.safetensors",
    DIGEST,
    "calibration.json",
    "domain.safetensors",
    "README.md",
    GOLDEN,
    *RECORDS,
)
"""Files that are uploaded; all others stay behind."""

DEFAULT_LICENSE = "apache-2.0"
"""License of the models that this project trained."""


class Pushable(HasExampleInputs, Protocol):
    """Model that can be saved, loaded and described."""

    FORMAT: ClassVar[int]
    PURPOSE: ClassVar[Purpose]
    TAGS: ClassVar[tuple[str, ...]]

    def save_pretrained(self, save_directory: Path) -> str | None: ...

    @classmethod
    def from_pretrained(cls, name: Path) -> Self: ...


def choose_license(source: Path, chosen: str | None) -> str:
    """Return the license of a pushed model.

    Args:
        source: Folder of the model.
        chosen: License that the user gave; None for the default.

    Raises:
        ValueError: If the weights were converted from someone else's, and no license was given, or
            a license is no abbreviation.
    """
    if chosen is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", chosen):
        msg = f"'{chosen}' is no license as the Hub abbreviates it; give one such as --license mit"
        raise ValueError(msg)
    if chosen is None and record(source, "manifest.json").get("command") == "checkpoints convert":
        msg = (
            f"the weights in {source} are someone else's: give their license, "
            "as the Hub abbreviates it, such as --license mit"
        )
        raise ValueError(msg)
    return chosen or DEFAULT_LICENSE


def check_place(source: Path, repository: str, target: Path | None) -> None:
    """Refuse names and folders that a model cannot be pushed to, before any work.

    Args:
        source: Folder of the model.
        repository: Repository on the Hub.
        target: Folder to write in place of uploading; None uploads.

    Raises:
        ValueError: If the repository is no Hub id, or the target exists or lies in the model's
            folder.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        msg = f"'{repository}' is not a Hub id to push to; give org/model"
        raise ValueError(msg) from error
    if target is not None:
        refuse_existing(target)
        if target.resolve().is_relative_to(source.resolve()):
            msg = f"{target} lies inside the model's folder {source}: choose another"
            raise ValueError(msg)


def stage(
    model: Pushable,
    target: Path,
    name: str,
    source: Path | None = None,
    license_id: str = DEFAULT_LICENSE,
) -> list[str]:
    """Write the folder to upload: weights, settings, golden outputs, records and card.

    Args:
        model: The model.
        target: The folder to write; it must not exist.
        name: Name that the card uses for loading the model.
        source: Folder that the model was loaded from; its weights, records and card are copied.
            None for a model in memory.
        license_id: License of the weights; see :func:`choose_license`.

    Returns:
        Names of the files of ``source`` that stay behind.

    Raises:
        ValueError: If the target exists, or a record is damaged.
        FloatingPointError: If a weight is not finite.
    """
    refuse_existing(target)
    model.save_pretrained(target)
    left_behind = [] if source is None else _copy_source(model, source, target)
    save_outputs(target, compute_outputs(type(model).from_pretrained(target)))
    card = model_card(target, model.PURPOSE, name, license_id, model.TAGS)
    write_text(target / "README.md", card)
    return left_behind


def _copy_source(model: Pushable, source: Path, target: Path) -> list[str]:
    """Copy weights, records and card of a model folder, and list the files left behind."""
    # weights in their stored precision
    if record(source, "config.json").get("format", 0) == model.FORMAT:
        shutil.copyfile(source / "model.safetensors", target / "model.safetensors")
        write_digest(target)

    # records and card
    for file in RECORDS:
        if (source / file).is_file():
            write_text(target / file, to_json(without_folders(record(source, file))))
    if (source / "README.md").is_file():
        write_text(target / "README.md", (source / "README.md").read_text())

    left_behind = []
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.name not in PUSHED_FILES:
            left_behind.append(path.relative_to(source).as_posix())
    return sorted(left_behind)


def push(folder: Path, repository: str, private: bool = True, message: str | None = None) -> str:
    """Upload a folder that :func:`stage` wrote, in one commit.

    Args:
        folder: The folder.
        repository: ``org/model``; created if it does not exist.
        private: Create a private repository; an existing one keeps its visibility.
        message: Message of the commit; None for a default.

    Returns:
        Address of the commit.

    Raises:
        ValueError: If the Hub cannot be reached or refuses the upload.
    """
    from huggingface_hub import HfApi

    api = HfApi()

    def upload() -> Any:
        repository_id = api.create_repo(repository, private=private, exist_ok=True).repo_id
        return api.upload_folder(
            repo_id=repository_id,
            folder_path=folder,
            commit_message=message or "Weights, settings and card",
            allow_patterns=list(PUSHED_FILES),
        )

    # the client wraps the error of a failed upload in a RuntimeError
    expected: tuple[type[Exception], ...] = (*hub_errors(), RuntimeError)
    try:
        commit = call_with_retries(upload, repository)
    except expected as error:
        msg = f"not pushed: {explain_error(error, repository)}"
        raise ValueError(msg) from error
    return str(commit.commit_url)
