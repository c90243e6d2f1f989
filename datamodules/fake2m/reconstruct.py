"""``python -m datamodules reconstruct``: aligned fakes, real pictures sent through an autoencoder and coded as the real ones were.

What is left to tell the classes apart is what the autoencoder does to a picture, the idea of AlignedForensics (ICLR 2025) and B-Free
(CVPR 2025): content, size, codec and quality are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import torch
import torch.nn.functional as F

from checkpoints.folders import model_folder
from datamodules.fake2m.facts import read_facts
from datamodules.fake2m.making import ReconstructionConfig
from datamodules.fake2m.shard_job import LeftOut, Sample, ShardInput, ShardJob, run_shard_job
from datamodules.fake2m.sharding import GENERATED, Origin, slug
from datamodules.shards import local_shards
from engine.devices import Process
from engine.files import file_digest
from engine.job import JobOptions, Report
from engine.manifest import fingerprint
from images.headers import read_header
from images.io import UnreadableImage, decode_photo, encode_as, to_uint8
from images.samples import read_samples
from models.pipelines import open_autoencoder

NEEDED = [
    f"{place}{file}"
    for place in ("", "vae/")
    for file in ("config.json", "diffusion_pytorch_model.safetensors")
] + ["taef2_*.pth"]
"""What is downloaded of a pipeline or an autoencoder."""


class Reconstruction(ShardJob):
    """Makes of every shard of real images one of their reconstructions, with the same keys.

    A reconstruction has its original's codec, quality, size and camera notes. Images that cannot be read, or cannot be coded
    as they were, are left out and counted.
    """

    command = "datamodules reconstruct"

    def __init__(self, config: ReconstructionConfig, output: Path) -> None:
        super().__init__(
            Origin(
                config.split,
                slug(config.name),
                GENERATED,
                generator=config.autoencoder,
                family="autoencoder",
            ),
            output,
        )
        self.config = config

    def open_models(self, process: Process) -> None:
        network = open_autoencoder(
            model_folder(self.config.autoencoder, patterns=NEEDED)
        ).requires_grad_(False)
        self.autoencoder: Any = network.to(process.device)

    def make(self, shard: ShardInput) -> Iterator[Sample | LeftOut]:
        assert shard.source is not None
        records = dict(read_facts(shard.source))
        samples = read_samples(shard.source)
        for number, sample in enumerate(samples):
            self.report_step(number, len(samples))
            key = str(PurePosixPath(sample.key))
            record = records.get(sample.key)
            if record is None:
                yield LeftOut(key, "without a record")
                continue
            try:
                photo = decode_photo(sample.image.read(), f"{shard.source}, {sample.key}")
            except UnreadableImage:
                yield LeftOut(key, "unreadable")
                continue
            levels = to_uint8(self._round_trip(photo.tensor()))
            content = encode_as(
                levels.permute(1, 2, 0).cpu().numpy(),
                record["codec"],
                record["jpeg_quality"],
                record["chroma"],
                photo.metadata.exif if record["exif"] else None,
            )
            if not coded_alike(content, record):  # a grey image, say
                yield LeftOut(key, "cannot be coded as it was")
                continue
            known = {
                "caption_id": record["caption_id"] or f"{record['subset']}/{record['source_path']}",
                "twin": record["sha256"],
            }
            yield Sample(key, record["codec"], content, known)

    @torch.no_grad()
    def _round_trip(self, image: torch.Tensor) -> torch.Tensor:
        """A (3, H, W) picture in [0, 1] through the autoencoder, at its own size."""
        vae = self.autoencoder
        multiple = 2 ** (len(vae.config.block_out_channels) - 1)
        height, width = image.shape[-2:]
        padding = (0, -width % multiple, 0, -height % multiple)
        mode = "reflect" if max(padding) < min(height, width) else "replicate"
        images = F.pad(image.unsqueeze(0), padding, mode=mode).to(next(vae.parameters()).device)
        output = vae.decode(vae.encode(images * 2 - 1).latent_dist.mode()).sample
        return (output[0, :, :height, :width].float() / 2 + 0.5).clamp(0, 1)


def coded_alike(content: bytes, record: dict[str, Any]) -> bool:
    """Whether an image file has the codec, chroma and size that a record tells of, upright or turned."""
    header = read_header(content)
    if header is None:
        return False
    sizes = sorted((header.width, header.height)) == sorted((record["width"], record["height"]))
    return sizes and header.codec == record["codec"] and header.chroma == record["chroma"]


def reconstruct(
    urls: Sequence[str],
    output: Path,
    config: ReconstructionConfig,
    options: JobOptions | None = None,
) -> tuple[dict[str, Any], Report] | None:
    """Make shards of reconstructions, one for each shard of real images; goes on with a stopped job.

    Args:
        urls: Patterns of shards that are here.
        output: Folder of the shards.
        config: How images are reconstructed.
        options: How the job runs; shards are shared out over processes.

    Returns:
        The subset's index and the outcome; None on every process but the first.

    Raises:
        FileNotFoundError: If shards or autoencoder are not there.
        ValueError: If the folder holds this subset made in another way, or no image could be reconstructed.
    """
    shards = local_shards(urls)
    settings = asdict(config) | {
        "weights": fingerprint(
            config.autoencoder, model_folder(config.autoencoder, patterns=NEEDED)
        ),
        "shards": {shard.name: file_digest(shard) for shard in shards},
    }
    return run_shard_job(
        Reconstruction(config, output), list(shards), settings, options or JobOptions()
    )
