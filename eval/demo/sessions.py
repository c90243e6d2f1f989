"""Files of a visitor: what they handed in and what was made of it, until they leave."""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import gradio as gr

from images.io import Photo, UnreadableImage
from images.uploads import open_upload

MOST_FILES = 8
T = TypeVar("T")


class Sessions:
    """Which files are whose.

    Args:
        root: The folder that uploads are in; results are written below it as well, and it is deleted when the demo stops.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uploads: dict[str, set[Path]] = defaultdict(set)
        self.kept: dict[str, Any] = {}
        self.lock = Lock()

    def files(self, label: str, name: str) -> gr.File:
        """The part of a page where pictures are handed in.

        Args:
            label: What for.
            name: Its id on the page.
        """
        files = gr.File(
            label=f"{label} (up to {MOST_FILES})",
            file_count="multiple",
            file_types=["image"],
            elem_id=name,
        )
        files.upload(self.took, files, None, show_progress="hidden")
        return files

    def folder(self, request: gr.Request) -> Path:
        """The visitor's folder for results, made if needed."""
        folder = self.root / f"results-{_name(request)}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def own(self, request: gr.Request, make: Callable[[], T]) -> T:
        """What is kept in memory for the visitor, made if needed; one thing each."""
        with self.lock:
            return self.kept.setdefault(_name(request), make())

    def took(self, paths: Sequence[str] | None, request: gr.Request) -> None:
        """Remember that these uploads are the visitor's."""
        with self.lock:
            self.uploads[_name(request)] |= {Path(path).resolve() for path in paths or ()}

    def end(self, request: gr.Request) -> None:
        """Delete all that the visitor handed in and was given."""
        with self.lock:
            uploads = self.uploads.pop(_name(request), set())
            self.kept.pop(_name(request), None)
        for path in uploads:
            if path.is_relative_to(self.root):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.root / f"results-{_name(request)}", ignore_errors=True)

    def open(
        self, paths: Sequence[str] | None, request: gr.Request
    ) -> tuple[list[tuple[str, Photo]], list[str]]:
        """Decode a visitor's uploads: names and pictures, and a line for each file that is refused.

        Raises:
            gradio.Error: If there are none, or too many.
        """
        if not paths:
            msg = "Choose a picture first."
            raise gr.Error(msg)
        if len(paths) > MOST_FILES:
            msg = f"At most {MOST_FILES} pictures at a time."
            raise gr.Error(msg)
        self.took(paths, request)
        photos, refused = [], []
        for path in map(Path, paths):
            try:
                if not path.resolve().is_relative_to(self.root) or not path.is_file():
                    msg = f"{path.name}: not there any more; choose it again"
                    raise UnreadableImage(msg)
                photos.append((path.name, open_upload(path)))
            except UnreadableImage as error:
                refused.append(str(error))
        return photos, refused


def _name(request: gr.Request) -> str:
    return hashlib.sha256(str(request.session_hash).encode()).hexdigest()[:32]
