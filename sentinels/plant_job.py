"""The job of ``python -m sentinels plant``."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.devices import Process
from engine.files import file_digest, name_bytes, write_bytes
from engine.job import Batch, Job
from images.headers import Header, read_header
from images.inputs import ImageInput
from images.io import UnreadableImage, encode_as
from images.job import count_pixels
from sentinels.client import Client
from sentinels.keys import KeyMaker
from sentinels.names import Names
from sentinels.plant_config import PlantConfig
from sentinels.planters import Planted, Planter
from sentinels.reader import reads_as
from sentinels.record import Record, Sentinel
from sentinels.service import RunEnds

Levels = NDArray[np.uint8]
Letters = Callable[[Levels], Awaitable[str]]
"""From a picture (H, W, 3) to what is written in it."""

RIVALS = 64
"""Other sources a sentinel is compared with."""

BYTES_PER_PIXEL = 24
"""Memory that a source takes while it is worked on."""


class PlantJob(Job[ImageInput, Levels, dict[str, Any] | BaseException, dict[str, Any]]):
    """Plants sentinels, a batch of sources side by side, each with its attempts; the record is written after every success."""

    command = "sentinels plant"
    unit = "sentinel"
    steady_batches = False

    def __init__(
        self,
        chosen: Sequence[ImageInput],
        used: set[str],
        seed: int,
        planter: Planter,
        config: PlantConfig,
        letters: Letters | None,
        client: Client | None,
        record: Record,
    ) -> None:
        self.chosen, self.seed, self.planter, self.config, self.letters, self.client = (
            chosen,
            seed,
            planter,
            config,
            letters,
            client,
        )
        self.record, self.output = record, record.file.parent
        self.keys = KeyMaker(config.key_length, config.distance, seed)
        self.first = {
            photo.name: self.keys.draw(f"{photo.name}/0") for photo in chosen
        }  # in this order whatever is done already
        self.keys.know(sentinel.key for sentinel in record.sentinels.values())
        taken = dict.fromkeys(used, "") | {
            Path(sentinel.generated).name: source for source, sentinel in record.sentinels.items()
        }
        self.names = Names(config.names, seed, [photo.name for photo in chosen], taken)
        self.looks: dict[str, NDArray[np.float32]] = {}

    def setup(self, process: Process) -> None:
        self.record.write()

    def input_bytes(self, source: ImageInput) -> int:
        return count_pixels(source) * BYTES_PER_PIXEL

    def prepare(self, source: ImageInput) -> Levels:
        return source.open().rgb

    def step(self, batch: Batch[ImageInput, Levels]) -> list[dict[str, Any] | BaseException]:
        return asyncio.run(self._side_by_side(batch))

    async def _side_by_side(
        self, batch: Batch[ImageInput, Levels]
    ) -> list[dict[str, Any] | BaseException]:
        """The row of every source, or what went wrong; a limit or a refused key ends the job when all are through."""
        asking: AbstractAsyncContextManager[Any] = self.client or nullcontext()
        async with asking:
            found = await asyncio.gather(
                *map(self._source, batch.inputs, batch.prepared), return_exceptions=True
            )
        if over := next((error for error in found if isinstance(error, RunEnds)), None):
            raise over
        return found

    def finish(self, prepared: Levels, result: dict[str, Any] | BaseException) -> dict[str, Any]:
        if isinstance(result, BaseException):
            raise result
        return result

    def write(self, source: ImageInput, finished: dict[str, Any]) -> dict[str, Any]:
        return finished  # the sentinel is in its place already, as it may have been paid for

    def exists(self, source: ImageInput, row: dict[str, Any]) -> bool:
        return (self.output / row["sentinel"]).is_file()

    async def _source(self, photo: ImageInput, source: Levels) -> dict[str, Any]:
        own = int.from_bytes(
            hashlib.sha256(name_bytes(f"{self.seed}/{photo.name}")).digest()[:4], "big"
        )
        trouble = ""
        for attempt in range(self.config.attempts):
            key = self.keys.draw(f"{photo.name}/{attempt}") if attempt else self.first[photo.name]
            try:
                planted = await self.planter.plant(source, key, own, attempt)
            except RunEnds:
                raise
            except ValueError as error:
                trouble = str(error)
                continue
            checks = await self._checks(photo, source, planted, key)
            trouble = str(checks.pop("trouble"))
            if not trouble:
                return self._keep(
                    photo, planted, key, {"attempt": attempt + 1, "seed": own} | checks
                )
        msg = f"{photo.name}: given up after {self.config.attempts} attempts, the last: {trouble}"
        raise ValueError(msg)

    async def _checks(
        self, photo: ImageInput, source: Levels, planted: Planted, key: str
    ) -> dict[str, Any]:
        """What was measured of a candidate; ``trouble`` says why it will not do."""
        trouble = (
            ""
            if planted.rgb.shape == source.shape
            else f"{planted.rgb.shape[:2]} where the source has {source.shape[:2]}"
        )
        found: dict[str, Any] = {}
        if self.letters is not None:
            found["read"] = await self.letters(planted.rgb)
            if not reads_as(found["read"], key):
                trouble = trouble or f"the key {key} is not legible, read as '{found['read']}'"
        candidate = look(planted.rgb)
        rivals = {
            other.name: self._look(other)
            for other in self.chosen[:RIVALS]
            if other.name != photo.name
        }
        found["similarity"] = round(float(candidate @ look(source)), 4)
        nearer = [
            name for name, other in rivals.items() if float(candidate @ other) > found["similarity"]
        ]
        if nearer:
            trouble = trouble or f"it looks more like {nearer[0]} than like its own source"
        return found | {"trouble": trouble}

    def _look(self, photo: ImageInput) -> NDArray[np.float32]:
        if photo.name not in self.looks:
            try:
                self.looks[photo.name] = look(photo.open().rgb)
            except UnreadableImage:
                self.looks[photo.name] = np.zeros(768, np.float32)
        return self.looks[photo.name]

    def _keep(
        self, photo: ImageInput, planted: Planted, key: str, facts: dict[str, Any]
    ) -> dict[str, Any]:
        content = photo.path.read_bytes()
        header = read_header(content) or Header("png", 0, 0)
        name = self.names.draw(photo.name, header.codec)
        target = self.output / "images" / name
        write_bytes(
            target, encode_as(planted.rgb, header.codec, header.jpeg_quality, header.chroma)
        )
        hashes = {
            "source_sha256": hashlib.sha256(content).hexdigest(),
            "sentinel_sha256": file_digest(target),
        }
        size = {"width": planted.rgb.shape[1], "height": planted.rgb.shape[0]}
        before = self.record.sentinels.get(photo.name)
        self.record.sentinels[photo.name] = made = Sentinel(
            key=key,
            original=self.record.relative(photo.path),
            generated=self.record.relative(target),
            description=planted.description,
            prompt=planted.prompt,
            timestamp=datetime.now().strftime("%Y-%m-%d %H:%M:%S.%f"),
            provenance=self.planter.settings() | size | facts | hashes,
        )
        self.record.write()
        if (
            before is not None and before.generated != made.generated
        ):  # its source has another format now
            (self.output / before.generated).unlink(missing_ok=True)
        return {"sentinel": made.generated}


def look(rgb: Levels) -> NDArray[np.float32]:
    """A picture's colours in 16 x 16 places, centred, unit length, (768,): says what looks alike without any model."""
    small = np.asarray(
        Image.fromarray(rgb).resize((16, 16), Image.Resampling.BOX), np.float32
    ).ravel()
    centred = small - small.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-6)
