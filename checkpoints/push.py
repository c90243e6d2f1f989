"""Sending a model to the Hub: first as a folder that anybody can look at, then as it lies there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from checkpoints.card import Purpose, bare, model_card, record
from checkpoints.digests import DIGEST, write_digest
from checkpoints.golden import GOLDEN, Exercised, answers, save_answers
from checkpoints.hub import asked, explained, faults
from engine.files import write_text
from engine.records import to_json

RECORDS = ("training.json", "manifest.json", "summary.json")
"""What a run leaves beside weights and the card is made of; the folders in it stay here."""

TRAVELS = (
    "config.json",
    "model.safetensors",
    DIGEST,
    "calibration.json",
    "README.md",
    GOLDEN,
    *RECORDS,
)
"""Everything that goes to the Hub; nothing else of a folder does."""


OURS = "apache-2.0"
"""Licence of what this project trained."""


class Pushable(Exercised, Protocol):
    """A model that saves and opens itself, and says what it is for."""

    FORMAT: ClassVar[int]
    PURPOSE: ClassVar[Purpose]
    TAGS: ClassVar[tuple[str, ...]]

    def save_pretrained(self, save_directory: Path) -> str | None: ...

    @classmethod
    def from_pretrained(cls, name: Path) -> Self: ...


def licence_of(source: Path, given: str | None) -> str:
    """Name the licence a model is pushed under.

    Raises:
        ValueError: If the weights are someone else's, converted, and none was given.
    """
    if given is None and record(source, "manifest.json").get("command") == "checkpoints convert":
        msg = f"the weights in {source} are someone else's: give their licence, as the Hub abbreviates it, such as --licence mit"
        raise ValueError(msg)
    return given or OURS


def stage(
    model: Pushable, target: Path, name: str, source: Path | None = None, licence: str = OURS
) -> list[str]:
    """Write the folder that goes to the Hub: weights, settings, calibration, answers to compare with, records and the card.

    Args:
        model: The model.
        target: The folder; must not exist.
        name: What the model will be opened by.
        source: The folder it was opened from, whose weights, records and card are taken over; None for one in memory only.
        licence: Of the weights; see :func:`licence_of`.

    Returns:
        Names of the files of ``source`` that stay behind.

    Raises:
        ValueError: If the target exists, or a record is damaged.
        FloatingPointError: If a weight is not finite.
    """
    if target.exists():
        msg = f"{target} exists already: choose another name or delete it"
        raise ValueError(msg)
    model.save_pretrained(target)
    left: list[str] = []
    if source is not None:
        if record(source, "config.json").get("format", 0) == model.FORMAT:
            shutil.copyfile(
                source / "model.safetensors", target / "model.safetensors"
            )  # in the precision they are stored in
            write_digest(target)
        for file in RECORDS:
            if (source / file).is_file():
                write_text(target / file, to_json(without_folders(record(source, file))))
        if (source / "README.md").is_file():
            write_text(target / "README.md", (source / "README.md").read_text())
        left = sorted(
            path.relative_to(source).as_posix()
            for path in source.rglob("*")
            if path.is_file() and path.name not in TRAVELS
        )
    save_answers(target, answers(type(model).from_pretrained(target)))
    write_text(target / "README.md", model_card(target, model.PURPOSE, name, licence, model.TAGS))
    return left


def push(folder: Path, repository: str, private: bool = True, message: str | None = None) -> str:
    """Upload a folder that :func:`stage` wrote, in one commit.

    Args:
        folder: The folder.
        repository: ``org/model``; made if it is not there.
        private: Whether it is made for you alone; one that is there stays as it is.
        message: Of the commit.

    Returns:
        The commit's address.

    Raises:
        ValueError: If the Hub cannot be reached or refuses it, with what to do.
    """
    from huggingface_hub import HfApi

    api = HfApi()

    def send() -> Any:
        made = api.create_repo(repository, private=private, exist_ok=True).repo_id
        return api.upload_folder(
            repo_id=made,
            folder_path=folder,
            commit_message=message or "Weights, settings and card",
            allow_patterns=list(TRAVELS),
        )

    expected: tuple[type[Exception], ...] = (
        *faults(),
        RuntimeError,
    )  # the client hides a failed upload in a RuntimeError
    try:
        commit = asked(send, repository)
    except expected as error:
        msg = f"not pushed: {explained(error, repository)}"
        raise ValueError(msg) from error
    return str(commit.commit_url)


def without_folders(value: Any) -> Any:
    """Copy a record, its absolute paths shortened to their last parts: whose machine it was is nobody's business."""
    if isinstance(value, dict):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_folders(inner) for inner in value]
    return bare(value) if isinstance(value, str) else value
