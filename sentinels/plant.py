"""``python -m sentinels plant``: choose sources, draw keys, make sentinels, check each, and record it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.files import file_digest, write_bytes, write_text
from engine.manifest import claim, write_manifest
from engine.progress import progress
from images.headers import Header, read_header
from images.inputs import ImageInput, find_images, refuse_overlap
from images.io import UnreadableImage, encode_as
from sentinels.describe import DESCRIPTION_PROMPT
from sentinels.keys import KeyMaker
from sentinels.planters import Planted, Planter
from sentinels.reader import reads_as
from sentinels.record import Record, Sentinel
from sentinels.service import RunEnds

Levels = NDArray[np.uint8]
Letters = Callable[[Levels], Awaitable[str]]
"""From a picture (H, W, 3) to what is written in it."""

RIVALS = 64
"""Other sources a sentinel is compared with."""


@dataclass(frozen=True)
class PlantConfig:
    """What is planted.

    Attributes:
        count: Sentinels.
        order: Which sources: a random ``sample``, or the ``first`` by name.
        seed: Of sources, keys, places and names; None draws one from the system's secure source, which nobody can guess. It is kept beside
            the record, so that a stopped job goes on with the keys that it has paid for.
        key_length: Letters of a key.
        distance: Least edit distance of two keys.
        names: ``neutral`` names look like the source's; ``prefixed`` ones say sentinel_ as the published program's.
        attempts: Candidates for a source, with a new key each, before it is given up.
        concurrency: Sources worked on at a time.
    """

    count: int = 20
    order: Literal["sample", "first"] = "sample"
    seed: int | None = None
    key_length: int = 6
    distance: int = 3
    names: Literal["neutral", "prefixed"] = "neutral"
    attempts: int = 4
    concurrency: int = 4

    def __post_init__(self) -> None:
        if self.count < 1 or self.attempts < 1 or self.concurrency < 1:
            msg = f"count, attempts and concurrency must be at least 1, got {self.count}, {self.attempts} and {self.concurrency}"
            raise ValueError(msg)


@dataclass
class PlantReport:
    """What came of it: sentinels in the record, sources that were given up with the reason, whether the reading was checked."""

    record: Record
    failed: dict[str, str]
    read: bool


async def plant(inputs: Path, output: Path, planter: Planter, config: PlantConfig, letters: Letters | None) -> PlantReport:
    """Plant sentinels; in a folder with a stopped job's it goes on.

    Args:
        inputs: Folder of the collection, flat or nested.
        output: Folder of ``record.json`` and ``images/``; apart from the collection.
        planter: How sentinels are made.
        config: What is planted.
        letters: Reads what is written in a candidate; unread candidates are taken if None.

    Raises:
        FileNotFoundError: If there are no pictures.
        ValueError: If there are too few, or the folder holds another job.
    """
    found = find_images([inputs])
    photos = [photo for photo in found.images if photo.member is None]
    refuse_overlap(output, [inputs], found.images)
    if len(photos) < config.count:
        msg = f"{config.count} sentinels need as many sources, there are {len(photos)}: lower count"
        raise ValueError(msg)
    settings = {"inputs": str(inputs.resolve()), "config": asdict(config)} | planter.settings()
    claim(output, "sentinels plant", settings)
    chosen, seed = _chosen({photo.name: photo for photo in photos}, config, output / "sources.json")
    file = output / "record.json"
    record = Record.open(file) if file.is_file() else Record(file)
    if settings.get("planter") != "local":
        record.description_prompt = DESCRIPTION_PROMPT
    record.provenance = settings | {"key_length": config.key_length}
    record.write()
    job = _Planting(chosen, {Path(photo.name).name for photo in photos}, seed, planter, config, letters, record, output)
    try:
        await job.run()
    finally:
        counts = {"done": len(record.sentinels), "failed": len(job.failed), "wanted": config.count}
        finished = len(record.sentinels) + len(job.failed) >= len(chosen)
        facts: dict[str, Any] = {"counts": counts, "failed": job.failed, "keys_read_back": letters is not None}
        write_manifest(output, command="sentinels plant", settings=settings, finished=finished, **facts)
    return PlantReport(record, job.failed, letters is not None)


class _Planting:
    """The job: sources side by side, each with its attempts, the record written after every success."""

    def __init__(
        self,
        chosen: Sequence[ImageInput],
        used: set[str],
        seed: int,
        planter: Planter,
        config: PlantConfig,
        letters: Letters | None,
        record: Record,
        output: Path,
    ) -> None:
        self.chosen, self.seed, self.planter, self.config, self.letters = chosen, seed, planter, config, letters
        self.record, self.output = record, output
        self.failed: dict[str, str] = {}
        self.keys = KeyMaker(config.key_length, config.distance, seed)
        self.first = {photo.name: self.keys.draw(f"{photo.name}/0") for photo in chosen}  # in this order whatever is done already
        self.keys.know(sentinel.key for sentinel in record.sentinels.values())
        self.taken = used | {Path(sentinel.generated).name for sentinel in record.sentinels.values()}
        self.stems = Counter(Path(photo.name).stem for photo in chosen)
        self.looks: dict[str, NDArray[np.float32]] = {}

    async def run(self) -> None:
        todo = [photo for photo in self.chosen if photo.name not in self.record.sentinels]
        slots = asyncio.Semaphore(self.config.concurrency)
        with progress(total=len(self.chosen), initial=len(self.chosen) - len(todo), desc="plant", unit="sentinel") as bar:

            async def one(photo: ImageInput) -> None:
                async with slots:
                    await self._source(photo)
                    bar.update()

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._guarded(one, photo)) for photo in todo]
        if stop := next((error for task in tasks if (error := task.result()) is not None), None):
            raise stop

    async def _guarded(self, work: Callable[[ImageInput], Awaitable[None]], photo: ImageInput) -> RunEnds | None:
        """End the job, when what is under way is done, at a limit or a refused key."""
        try:
            await work(photo)
        except RunEnds as error:
            return error
        return None

    async def _source(self, photo: ImageInput) -> None:
        try:
            source = photo.open().rgb
        except UnreadableImage as error:
            self.failed[photo.name] = str(error)
            return
        own = int.from_bytes(hashlib.sha256(f"{self.seed}/{photo.name}".encode()).digest()[:4], "big")
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
                self._keep(photo, planted, key, {"attempt": attempt + 1, "seed": own} | checks)
                return
        self.failed[photo.name] = f"given up after {self.config.attempts} attempts, the last: {trouble}"

    async def _checks(self, photo: ImageInput, source: Levels, planted: Planted, key: str) -> dict[str, Any]:
        """What was measured of a candidate; ``trouble`` says why it will not do."""
        trouble = "" if planted.rgb.shape == source.shape else f"{planted.rgb.shape[:2]} where the source has {source.shape[:2]}"
        found: dict[str, Any] = {}
        if self.letters is not None:
            found["read"] = await self.letters(planted.rgb)
            if not reads_as(found["read"], key):
                trouble = trouble or f"the key {key} is not legible, read as '{found['read']}'"
        candidate = look(planted.rgb)
        rivals = {other.name: self._look(other) for other in self.chosen[:RIVALS] if other.name != photo.name}
        found["similarity"] = round(float(candidate @ look(source)), 4)
        nearer = [name for name, other in rivals.items() if float(candidate @ other) > found["similarity"]]
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

    def _keep(self, photo: ImageInput, planted: Planted, key: str, facts: dict[str, Any]) -> None:
        content = photo.path.read_bytes()
        header = read_header(content) or Header("png", 0, 0)
        name = self._name(photo.name, header.codec)
        target = self.output / "images" / name
        write_bytes(target, encode_as(planted.rgb, header.codec, header.jpeg_quality, header.chroma))
        hashes = {"source_sha256": hashlib.sha256(content).hexdigest(), "sentinel_sha256": file_digest(target)}
        size = {"width": planted.rgb.shape[1], "height": planted.rgb.shape[0]}
        self.record.sentinels[photo.name] = Sentinel(
            key=key,
            original=self.record.relative(photo.path),
            generated=self.record.relative(target),
            description=planted.description,
            prompt=planted.prompt,
            timestamp=datetime.now().strftime("%Y-%m-%d %H:%M:%S.%f"),
            provenance=self.planter.settings() | size | facts | hashes,
        )
        self.record.write()

    def _name(self, source: str, codec: str) -> str:
        """In the source's sub-folder; a neutral name has the source's kinds of characters and its ending, and six random ones at least."""
        path = PurePosixPath(source)
        ending = path.suffix if path.suffix.lower().lstrip(".") in (codec, {"jpg": "jpeg", "tif": "tiff"}.get(codec)) else f".{codec}"
        if self.config.names == "prefixed":
            stem = path.stem if self.stems[path.stem] == 1 else source.replace("/", "_").replace(".", "_")
            return str(path.with_name(f"sentinel_{stem}{ending}"))
        rng = random.Random(f"{self.seed}/{source}/name")
        while True:
            stem = "".join(_same_kind(letter, rng) for letter in path.stem)
            free = sum(letter.isascii() and letter.isalnum() for letter in path.stem)
            stem += "".join(rng.choices("0123456789", k=max(0, 6 - free)))
            if (name := f"{stem}{ending}") not in self.taken:
                self.taken.add(name)
                return str(path.with_name(name))


def look(rgb: Levels) -> NDArray[np.float32]:
    """A picture's colours in 16 x 16 places, centred, unit length, (768,): says what looks alike without any model."""
    small = np.asarray(Image.fromarray(rgb).resize((16, 16), Image.Resampling.BOX), np.float32).ravel()
    centred = small - small.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-6)


def _chosen(photos: dict[str, ImageInput], config: PlantConfig, file: Path) -> tuple[list[ImageInput], int]:
    """The sources of a job and its seed, the same after a stop."""
    if file.is_file():
        kept = json.loads(file.read_text())
        names, seed = kept["sources"], int(kept["seed"])
    else:
        seed = secrets.randbits(128) if config.seed is None else config.seed
        rng = random.Random(f"{seed}/sources")
        names = sorted(photos)[: config.count] if config.order == "first" else sorted(rng.sample(sorted(photos), config.count))
    if gone := [name for name in names if name not in photos]:
        msg = f"{gone[0]} was chosen as a source and is gone: put it back, or plant into another folder"
        raise ValueError(msg)
    write_text(file, json.dumps({"seed": seed, "sources": names}, indent=1) + "\n")
    return [photos[name] for name in names], seed


def _same_kind(letter: str, rng: random.Random) -> str:
    if letter.isdigit():
        return rng.choice("0123456789")
    if letter.isascii() and letter.isalpha():
        return rng.choice("abcdefghijklmnopqrstuvwxyz" if letter.islower() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return letter
