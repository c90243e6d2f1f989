"""Index that describes images, judges matches, and keeps its threshold up to date."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from images.given import Images, given_images
from indexing.calibrate import from_entries
from indexing.entries import Inserted
from indexing.faiss_files import search_parameters
from indexing.matches import Match, match_queries
from indexing.named_index import CHUNK, NamedIndex
from indexing.strangers import Strangers
from indexing.verdicts import NO_VERDICTS, Judge
from models.embedder_config import EmbedderConfig
from models.embedders import Embedder, open_embedder
from models.store import VectorStore


class Index(NamedIndex):
    """A faiss index with named entries, its extractor and its threshold.

    Arguments are those of :class:`indexing.named_index.NamedIndex`.
    """

    def add(self, features: VectorStore, chunk: int = CHUNK) -> None:
        """Insert descriptors; the threshold is computed again.

        Raises:
            ValueError: If the extractor or length differs, or a name is in the index already.
        """
        self.admit(features)
        rows = np.arange(len(features))
        self.recalibrate([self.insert(features, rows, chunk)])

    def remove(self, names: Sequence[str]) -> None:
        """Remove entries; all other entries keep their ids, and the threshold is computed again.

        The descriptors stay in the files, without names, until the index is built in a new folder.

        Raises:
            KeyError: If no entry has one of the names.
        """
        self.entries.remove([self.id_of(name) for name in names])
        self.recalibrate([])

    def recalibrate(self, inserted: Sequence[Inserted]) -> None:
        """Compute the threshold again after a change of the entries; see :mod:`indexing.calibrate`.

        Args:
            inserted: New entries.
        """
        strangers = self.strangers
        if strangers is None:
            return
        if strangers.source == "index":
            strangers = from_entries(self, strangers, inserted)
        self.calibrate(strangers, strangers.parameters)

    def calibrate(self, strangers: Strangers, parameters: str = "") -> None:
        """Calibrate verdicts on strangers.

        Args:
            strangers: The strangers.
            parameters: faiss's search parameters, which become the default of searches; the
                present ones if empty.
        """
        self.tune(parameters)
        parameters = parameters or search_parameters(self.parts[0])
        self.strangers = strangers.scored(self, parameters)

    def judge(self, max_fpr: float = 0.01, parameters: str = "") -> Judge:
        """Return the judge of matches.

        Args:
            max_fpr: Rate of false matches, between 0 and 1.
            parameters: faiss's search parameters; those of the calibration if empty. With others,
                the strangers are searched again.
        """
        if self.strangers is None:
            return NO_VERDICTS
        if parameters and parameters != self.strangers.parameters:
            return self.strangers.scored(self, parameters).judge(self, max_fpr)
        return self.strangers.judge(self, max_fpr)

    @property
    def default_parameters(self) -> str:
        """Search parameters of the calibration; empty without one."""
        return "" if self.strangers is None else self.strangers.parameters

    @cached_property
    def embedder(self) -> Embedder:
        """Network of the index's descriptors; assign another instance to change its device.

        Raises:
            FileNotFoundError: If the network is missing.
            ValueError: If the index does not record its network, or the network is a TorchScript
                program; open a program you trust with ``open_embedder`` and assign it.
        """
        return open_embedder(EmbedderConfig.from_record(self.facts.get("extractor", {})))

    def describe(self, images: Images) -> VectorStore:
        """Compute descriptors of images, in memory; arguments and errors as of :meth:`find`."""
        given = given_images(images)
        rgb = [image.photo.on_white().rgb for image in given]
        names = [image.name for image in given]
        vectors = np.zeros((0, self.dimension), np.float32)
        if rgb:
            vectors = self.embedder.embed_arrays(rgb).numpy()
        described = VectorStore(vectors, names, self.embedder.record())
        self.check(described.fingerprint, described.dimension, "these images' descriptors")
        return described

    def find(
        self, images: Images, k: int = 10, parameters: str = "", max_fpr: float = 0.01
    ) -> list[list[Match]]:
        """Search the entries that images are copies of.

        Args:
            images: One or several: paths, Pillow images, (H, W, 3) uint8 arrays, or tensors
                (3, H, W) or (B, 3, H, W) in [0, 1].
            k: Matches per image.
            parameters: faiss's search parameters; see :meth:`search`. If empty, those of the
                calibration.
            max_fpr: Rate of false matches of the verdicts, between 0 and 1.

        Returns:
            Matches of each image, by rank.

        Raises:
            FileNotFoundError: If the index's network is missing.
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an image has another shape or range, or the index has no such parameter.
        """
        queries = self.describe(images)
        judge = self.judge(max_fpr, parameters)
        parameters = parameters or self.default_parameters
        similarity = self.similarity(queries.matrix)
        return match_queries(
            self, queries.names, queries.matrix, similarity, k, parameters, judge=judge
        )

    def add_images(self, names: Sequence[str], images: Images) -> None:
        """Insert images in memory; :meth:`save` writes them.

        Args:
            names: One name per image.
            images: As for :meth:`find`.

        Raises:
            ValueError: If a name is in the index already, or the numbers differ; otherwise as of
                :meth:`find`.
        """
        described = self.describe(images)
        if len(names) != len(described):
            msg = f"{len(names)} names for {len(described)} images; give one for each"
            raise ValueError(msg)
        self.add(VectorStore(described.matrix, list(names), described.embedder))
