"""Reconstruction: aligned fakes, real images passed through an autoencoder.

A fake has its original's content, size, codec and quality. A detector can tell the classes apart
by the autoencoder's traces alone, as in AlignedForensics (ICLR 2025) and B-Free (CVPR 2025).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from checkpoints.folders import model_folder
from datamodules.fake2m.alignment import align, record_generator
from datamodules.fake2m.facts import read_facts
from datamodules.fake2m.making import ReconstructionConfig
from datamodules.fake2m.origin import GENERATED, Origin, slug
from datamodules.fake2m.shard_job import (
    NewSample,
    ShardInput,
    ShardJob,
    SkippedSample,
    run_shard_job,
)
from datamodules.shards import local_shards
from engine.devices import Process
from engine.files import file_digest
from engine.job import JobOptions, Report
from engine.manifest import fingerprint
from images.headers import read_header
from images.io import ENCODED, decode_photo, encode_as, to_rgb
from images.kinds import UnreadableImage
from images.photo import Photo
from images.samples import read_samples
from models.pipelines import AUTOENCODER_FILES, open_autoencoder, round_trip


class Reconstruction(ShardJob):
    """Job that writes a shard of reconstructions for each real shard.

    A reconstruction has its original's key, codec, quality, size and Exif data. Images that cannot
    be read, or cannot be coded like their originals, are left out and counted.
    """

    command = "datamodules reconstruct"
    implied: ClassVar = {"align": "none", "seed": 0}

    def __init__(self, config: ReconstructionConfig, output: Path) -> None:
        origin = Origin(
            config.split,
            slug(config.name),
            GENERATED,
            generator=config.autoencoder,
            family="autoencoder",
        )
        super().__init__(origin, output)
        self.config = config

    def open_models(self, process: Process) -> None:
        folder = model_folder(self.config.autoencoder, patterns=AUTOENCODER_FILES)
        autoencoder: Any = open_autoencoder(folder).requires_grad_(False)
        self.autoencoder = autoencoder.to(process.device)

    def make(self, shard: ShardInput) -> Iterator[NewSample | SkippedSample]:
        assert shard.source is not None
        records = dict(read_facts(shard.source))
        samples = read_samples(shard.source)
        for number, sample in enumerate(samples):
            self.report_step(number, len(samples))
            key = str(PurePosixPath(sample.key))
            record = records.get(sample.key)
            if record is None:
                yield SkippedSample(key, "without a record")
                continue
            try:
                photo = decode_photo(
                    sample.image.read(), f"{shard.source}, {sample.key}"
                ).on_white()
            except UnreadableImage:
                yield SkippedSample(key, "unreadable")
                continue
            if record["codec"] not in ENCODED:
                yield SkippedSample(key, "cannot be coded as it was")
                continue
            yield self._reconstruct(key, photo, record)

    def _reconstruct(
        self, key: str, photo: Photo, record: dict[str, Any]
    ) -> NewSample | SkippedSample:
        """Reconstruct an image, coded like its original."""
        rgb = to_rgb(round_trip(self.autoencoder, photo.tensor().unsqueeze(0))[0])
        facts = {
            "caption_id": record["caption_id"] or f"{record['subset']}/{record['source_path']}",
            "twin": record["sha256"],
        }
        if self.config.align == "dda":
            aligned = align(photo.rgb, rgb, record, record_generator(record, self.config.seed))
            rgb = aligned.rgb
            facts |= aligned.facts
        content = encode_as(
            rgb,
            record["codec"],
            record["jpeg_quality"],
            record["chroma"],
            photo.metadata.exif if record["exif"] else None,
            grayscale=is_gray_jpeg(photo.rgb, record),
        )
        # CMYK and rare kinds of chroma subsampling, for example, cannot be repeated
        if not coded_alike(content, record):
            return SkippedSample(key, "cannot be coded as it was")
        return NewSample(key, record["codec"], content, facts)


def is_gray_jpeg(rgb: NDArray[np.uint8], record: dict[str, Any]) -> bool:
    """Check whether an image, (H, W, 3), with a record is from a grayscale JPEG."""
    if record["codec"] != "jpg" or record["chroma"] is not None:
        return False
    return bool((rgb == rgb[..., :1]).all())


def coded_alike(content: bytes, record: dict[str, Any]) -> bool:
    """Check whether an image file has a record's codec, chroma and size.

    Width and height may be swapped.
    """
    header = read_header(content)
    if header is None:
        return False
    size = sorted((header.width, header.height))
    expected = sorted((record["width"], record["height"]))
    return (
        size == expected and header.codec == record["codec"] and header.chroma == record["chroma"]
    )


def reconstruct(
    urls: Sequence[str],
    output: Path,
    config: ReconstructionConfig,
    options: JobOptions | None = None,
) -> tuple[dict[str, Any], Report] | None:
    """Write a shard of reconstructions for each shard of real images.

    A stopped job is continued.

    Args:
        urls: Patterns of local shards.
        output: Folder of the shards.
        config: Settings of the images.
        options: Devices of the job; shards are split over processes.

    Returns:
        The subset's index and the job's report; None on every process but the first.

    Raises:
        FileNotFoundError: If shards or autoencoder are missing.
        ValueError: If the folder holds the subset with other settings, or no image could be
            reconstructed.
    """
    shards = local_shards(urls)
    folder = model_folder(config.autoencoder, patterns=AUTOENCODER_FILES)
    settings = asdict(config) | {
        "weights": fingerprint(config.autoencoder, folder),
        "shards": {shard.name: file_digest(shard) for shard in shards},
    }
    job = Reconstruction(config, output)
    return run_shard_job(job, list(shards), settings, options or JobOptions())
