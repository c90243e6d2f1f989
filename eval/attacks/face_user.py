"""Attacks with a face detector of their own."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Self

import torch

from eval.attacks.attack import Attack
from models.faces.backends import FaceBackend, face_files, load_faces


class FaceUser(Attack):
    """Attack whose attacker uses a face detector or embedder.

    Attributes:
        faces: Its name; see :func:`models.faces.backends.face_files`.
    """

    faces: str

    @cached_property
    def backend(self) -> FaceBackend:
        """The face detector and embedder, opened on first use."""
        backend = load_faces(self.faces)
        if hasattr(backend, "to"):
            backend.to(self.device)
        return backend

    def files(self) -> dict[str, tuple[str, Path]]:
        found = face_files(self.faces)
        of_faces = {f"attacker's {role}": (self.faces, file) for role, file in found.items()}
        return super().files() | of_faces

    def to(self, device: torch.device | str) -> Self:
        backend = vars(self).get("backend")
        if backend is not None and hasattr(backend, "to"):
            backend.to(device)
        return super().to(device)
