"""Files of each visitor, kept until they leave."""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import gradio as gr

from images.kinds import UnreadableImage
from images.photo import Photo
from images.uploads import open_upload

EXAMPLES = Path(__file__).with_name("examples")
"""Drawn images that the tabs offer; :mod:`tiny.examples` draws them."""

MAX_FILES = 8
"""Files of one upload."""

T = TypeVar("T")


class Sessions:
    """Uploads, results and memory of each visitor.

    Args:
        root: Folder of uploads and results; the demo deletes it when it stops.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uploads: dict[str, set[Path]] = defaultdict(set)
        self.states: dict[str, Any] = {}
        self.lock = Lock()

    def files(self, label: str, name: str) -> gr.File:
        """Add an upload field for images to the page.

        Args:
            label: Label of the field.
            name: Id on the page.
        """
        files = gr.File(
            label=f"{label} (up to {MAX_FILES})",
            file_count="multiple",
            file_types=["image"],
            elem_id=name,
        )
        files.upload(self.register, files, None, show_progress="hidden", api_visibility="private")
        return files

    def folder(self, request: gr.Request) -> Path:
        """Create the visitor's folder of results, if missing."""
        folder = self.root / f"results-{_name(request)}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def examples(self, names: Sequence[str], request: gr.Request) -> list[str]:
        """Copy shipped examples into the visitor's folder.

        Args:
            names: Their names.
            request: The visitor's request.
        """
        folder = self.folder(request) / "examples"
        folder.mkdir(exist_ok=True)
        return [shutil.copy(EXAMPLES / name, str(folder / name)) for name in names]

    def own(self, request: gr.Request, make: Callable[[], T]) -> T:
        """Return the visitor's state in memory, created on first use."""
        with self.lock:
            return self.states.setdefault(_name(request), make())

    def register(self, paths: Sequence[str] | None, request: gr.Request) -> None:
        """Register uploads as the visitor's."""
        with self.lock:
            self.uploads[_name(request)] |= {Path(path).resolve() for path in paths or ()}

    def end(self, request: gr.Request) -> None:
        """Delete the visitor's uploads and results."""
        with self.lock:
            uploads = self.uploads.pop(_name(request), set())
            self.states.pop(_name(request), None)
        for path in uploads:
            if path.is_relative_to(self.root):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.root / f"results-{_name(request)}", ignore_errors=True)

    def open(
        self, paths: Sequence[str] | None, request: gr.Request
    ) -> tuple[list[tuple[str, Photo]], list[str]]:
        """Decode a visitor's uploads.

        Returns:
            Names and images, and an error message for each rejected file.

        Raises:
            gradio.Error: If there are no files, or too many.
        """
        if not paths:
            msg = "Choose an image first."
            raise gr.Error(msg)
        if len(paths) > MAX_FILES:
            msg = f"At most {MAX_FILES} images at a time."
            raise gr.Error(msg)
        self.register(paths, request)
        photos: list[tuple[str, Photo]] = []
        errors: list[str] = []
        for path in map(Path, paths):
            try:
                if not path.resolve().is_relative_to(self.root) or not path.is_file():
                    msg = f"{path.name}: no longer available; choose it again"
                    raise UnreadableImage(msg)
                photos.append((path.name, open_upload(path)))
            except UnreadableImage as error:
                errors.append(str(error))
        return photos, errors


def _name(request: gr.Request) -> str:
    """Name of a visitor's folder, which does not reveal the session."""
    return hashlib.sha256(str(request.session_hash).encode()).hexdigest()[:32]
