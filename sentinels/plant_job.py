"""The job that plants sentinels: attempts, checks, files and record."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.devices import Process
from engine.files import name_bytes, write_bytes
from engine.http_status import RunEnds
from engine.job import Batch, Job
from images.imitation import encode_like
from images.inputs import ImageInput
from images.io import decode_photo
from images.job import count_pixels
from images.kinds import UnreadableImage
from images.photo import Photo
from images.transforms.protocol import RGBImage
from sentinels.client import Client
from sentinels.keys import Keys
from sentinels.names import sentinel_names
from sentinels.plant_config import PlantConfig
from sentinels.planters import Planted, Planter
from sentinels.reader import AsyncReader, reads_as
from sentinels.record import Record, Sentinel
from sentinels.view import VIEW_SIDE_PX, retriever_view
from sentinels.word_keys import is_word_key

MAX_RIVALS = 64
"""Number of other sources that a sentinel is compared with."""

APPEARANCE_SIZE = 16
"""Height and width of an image in :func:`appearance_vector`, in pixels."""

BYTES_PER_PIXEL = 24
"""Memory of a source in work, in bytes per pixel."""

Row = dict[str, Any]
"""The outcome of one source, for the journal."""


class PlantJob(Job[ImageInput, RGBImage, Row | BaseException, Row]):
    """Plant sentinels for batches of sources.

    The sources of a batch are processed concurrently, each with several attempts. The record is
    written after every success.

    Args:
        sources: Chosen sources.
        seed: Seed of keys, places and names.
        keys: Maker of keys.
        planter: Maker of candidates.
        config: Settings.
        reader: Reads the letters of a candidate; None accepts candidates unread.
        client: Service that planter and reader use, if they do.
        record: Record with the sentinels planted so far.
    """

    command = "sentinels plant"
    unit = "sentinel"
    steady_batches = False

    def __init__(
        self,
        sources: Sequence[ImageInput],
        seed: int,
        keys: Keys,
        planter: Planter,
        config: PlantConfig,
        reader: AsyncReader | None,
        client: Client | None,
        record: Record,
    ) -> None:
        self.sources = sources
        self.seed = seed
        self.planter = planter
        self.config = config
        self.reader = reader
        self.client = client
        self.record = record
        self.output = record.file.parent
        # First keys are drawn for all sources in order, so that they do not depend on the progress.
        self.keys = keys
        self.first_keys = {photo.name: self.keys.draw(f"{photo.name}/0") for photo in sources}
        self.keys.register(sentinel.key for sentinel in record.sentinels.values())
        self.names = sentinel_names(config.names, [photo.name for photo in sources])
        self.appearances: dict[str, NDArray[np.float32]] = {}

    def setup(self, process: Process) -> None:
        self.record.write()

    def input_bytes(self, source: ImageInput) -> int:
        return count_pixels(source) * BYTES_PER_PIXEL

    def prepare(self, source: ImageInput) -> RGBImage:
        return source.open().rgb

    def step(self, batch: Batch[ImageInput, RGBImage]) -> list[Row | BaseException]:
        return asyncio.run(self._plant_batch(batch))

    async def _plant_batch(self, batch: Batch[ImageInput, RGBImage]) -> list[Row | BaseException]:
        """Return the row or the error of every source.

        A reached limit or a rejected API key ends the job after all sources of the batch.
        """
        session: AbstractAsyncContextManager[Any] = self.client or nullcontext()
        async with session:
            results = await asyncio.gather(
                *map(self._plant_source, batch.inputs, batch.prepared), return_exceptions=True
            )
        for result in results:
            if isinstance(result, RunEnds):
                raise result
        return results

    def finish(self, prepared: RGBImage, result: Row | BaseException) -> Row:
        if isinstance(result, BaseException):
            raise result
        return result

    def write(self, source: ImageInput, finished: Row) -> Row:
        # The step has written the sentinel already, as it may have been paid for.
        return finished

    def exists(self, source: ImageInput, row: Row) -> bool:
        return (self.output / row["sentinel"]).is_file()

    async def _plant_source(self, photo: ImageInput, source: RGBImage) -> Row:
        """Make, check and write the sentinel of a source.

        Raises:
            RunEnds: If no further request of the run can succeed.
            ValueError: If no attempt gave a sentinel.
        """
        digest = hashlib.sha256(name_bytes(f"{self.seed}/{photo.name}")).digest()
        seed = int.from_bytes(digest[:4], "big")
        content = photo.path.read_bytes()
        fault = ""
        for attempt in range(self.config.attempts):
            key = self.first_keys[photo.name]
            if attempt:
                key = self.keys.draw(f"{photo.name}/{attempt}")
            try:
                candidate = await self.planter.plant(source, key, seed, attempt)
                encoded, differences = encode_like(candidate.rgb, content)
            except RunEnds:
                raise
            except ValueError as error:
                fault = str(error)
                continue
            # The file that is published is what is checked.
            shown = decode_photo(encoded, "the sentinel")
            fault, measures = await self._check(photo, shown, key)
            if not fault:
                measures |= {"differences": list(differences)} if differences else {}
                facts = {"attempt": attempt + 1, "seed": seed, "plate": candidate.plate} | measures
                return self._save(photo, candidate, encoded, key, facts)
        msg = f"{photo.name}: no sentinel after {self.config.attempts} attempts; the last: {fault}"
        raise ValueError(msg)

    async def _check(self, photo: ImageInput, shown: Photo, key: str) -> tuple[str, dict[str, Any]]:
        """Check the legibility of a candidate and its similarity to its source.

        Returns:
            The first fault, empty for a good candidate; and the measured values.
        """
        faults = []
        measures: dict[str, Any] = {}
        if self.reader is not None and not is_word_key(key):
            text = await self.reader(retriever_view(shown))
            measures |= {"read": text, "read_in_view": VIEW_SIDE_PX}
            if not reads_as(text, key):
                faults.append(f"the key {key} is not legible in CLIP's view, read as '{text}'")
        vector = appearance_vector(shown.on_white().rgb)
        measures["similarity"] = round(float(vector @ self._appearance(photo)), 4)
        for rival in self.sources[:MAX_RIVALS]:
            is_other = rival.name != photo.name
            if is_other and float(vector @ self._appearance(rival)) > measures["similarity"]:
                faults.append(f"it looks more like {rival.name} than like its own source")
                break
        return (faults[0] if faults else ""), measures

    def _appearance(self, photo: ImageInput) -> NDArray[np.float32]:
        """Return the cached appearance vector of a source; zeros if it is unreadable."""
        if photo.name not in self.appearances:
            try:
                vector = appearance_vector(photo.open().on_white().rgb)
            except UnreadableImage:
                vector = np.zeros(3 * APPEARANCE_SIZE**2, np.float32)
            self.appearances[photo.name] = vector
        return self.appearances[photo.name]

    def _save(
        self,
        photo: ImageInput,
        candidate: Planted,
        encoded: bytes,
        key: str,
        facts: dict[str, Any],
    ) -> Row:
        """Write a sentinel and its entry in the record; return the row.

        Args:
            photo: The source.
            candidate: The sentinel.
            encoded: Its file.
            key: Its key.
            facts: Measured values, for the record.
        """
        # The file has the times and permissions of its source.
        target = self.output / "images" / self.names[photo.name]
        write_bytes(target, encoded)
        shutil.copystat(photo.path, target)
        # Record it.
        height, width = candidate.rgb.shape[:2]
        provenance = self.planter.settings() | {"width": width, "height": height} | facts
        provenance["replaces_source"] = self.config.names == "neutral"
        provenance["source_sha256"] = photo.digest()
        provenance["sentinel_sha256"] = hashlib.sha256(encoded).hexdigest()
        earlier = self.record.sentinels.get(photo.name)
        sentinel = Sentinel(
            key=key,
            original=self.record.relative(photo.path),
            generated=self.record.relative(target),
            description=candidate.description,
            prompt=candidate.prompt,
            timestamp=datetime.now().strftime("%Y-%m-%d %H:%M:%S.%f"),
            provenance=provenance,
        )
        self.record.sentinels[photo.name] = sentinel
        self.record.write()
        # Earlier versions gave sentinels other names.
        if earlier is not None and earlier.generated != sentinel.generated:
            (self.output / earlier.generated).unlink(missing_ok=True)
        row: Row = {"sentinel": sentinel.generated}
        if "differences" in facts:
            row["differences"] = facts["differences"]
        return row


def appearance_vector(rgb: RGBImage) -> NDArray[np.float32]:
    """Describe an image by its colors at 16 x 16 pixels.

    Returns:
        A centered unit vector, (768,); cosines of two compare images without a model.
    """
    size = (APPEARANCE_SIZE, APPEARANCE_SIZE)
    small = Image.fromarray(rgb).resize(size, Image.Resampling.BOX)
    values = np.asarray(small, np.float32).ravel()
    centered = values - values.mean()
    return centered / max(float(np.linalg.norm(centered)), 1e-6)
