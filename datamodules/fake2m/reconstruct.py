"""``python -m datamodules reconstruct``: aligned fakes, real pictures sent through an autoencoder and coded as the real ones were.

What is left to tell the classes apart is what the autoencoder does to a picture, the idea of AlignedForensics (ICLR 2025) and B-Free
(CVPR 2025): content, size, codec and quality are equal.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
import torch.nn.functional as F

from checkpoints.folders import model_folder
from datamodules.fake2m.shard_job import Made, ShardJob, run_job
from datamodules.fake2m.sharding import GENERATED, Origin, Split, read_facts, slug
from datamodules.streams import count_samples, local_shards
from engine.files import file_digest
from engine.manifest import fingerprint
from images.headers import read_header
from images.io import UnreadableImage, decode_photo, encode_as, to_levels
from images.samples import read_samples
from models.pipelines import open_autoencoder

NEEDED = [f"{place}{file}" for place in ("", "vae/") for file in ("config.json", "diffusion_pytorch_model.safetensors")] + ["taef2_*.pth"]
"""What is downloaded of a pipeline or an autoencoder."""


@dataclass(frozen=True)
class ReconstructionConfig:
    """How pictures are reconstructed.

    Attributes:
        autoencoder: Pipeline folder or Hub id, whose ``vae`` is used, or a folder with TAEF2's released files.
        name: Of the subset; part of the shards' names.
        split: Of the shards.
    """

    autoencoder: str
    name: str
    split: Split = "train"


class Reconstruction(ShardJob):
    """Makes of every shard of real pictures one of their reconstructions, with the same keys.

    Pictures that cannot be read, carry camera notes, or cannot be coded as they were are left out; the command says how many.
    """

    def __init__(self, config: ReconstructionConfig, shards: Sequence[Path], output: Path) -> None:
        super().__init__(Origin(config.split, slug(config.name), GENERATED, generator=config.autoencoder, family="autoencoder"), output)
        self.config, self.shards = config, shards
        self.parts: dict[str, Any] = {}  # the autoencoder, outside the module tree

    def setup(self, stage: str) -> None:
        network = open_autoencoder(model_folder(self.config.autoencoder, patterns=NEEDED)).requires_grad_(False)
        self.parts["autoencoder"] = network.to(self.trainer.strategy.root_device)

    def make(self, number: int) -> Iterator[Made]:
        shard = self.shards[number]
        records = dict(read_facts(shard))
        for sample in read_samples(shard):
            record = records.get(sample.key)
            if record is None or record["exif"]:  # what the camera noted cannot be given to a fake
                continue
            try:
                photo = decode_photo(io.BytesIO(sample.image.read()), f"{shard}, {sample.key}")
            except UnreadableImage:
                continue
            levels = to_levels(self._round_trip(photo.tensor()))
            content = encode_as(levels.permute(1, 2, 0).cpu().numpy(), record["codec"], record["jpeg_quality"], record["chroma"])
            header = read_header(content)
            if header is None or any(getattr(header, key) != record[key] for key in ("codec", "width", "height", "chroma")):
                continue  # a grey picture, say
            known = {"caption_id": record["caption_id"] or f"{record['subset']}/{record['source_path']}", "twin": record["sha256"]}
            yield str(PurePosixPath(sample.key)), record["codec"], content, known

    def _round_trip(self, image: torch.Tensor) -> torch.Tensor:
        """A (3, H, W) picture in [0, 1] through the autoencoder, at its own size."""
        vae = self.parts["autoencoder"]
        multiple = 2 ** (len(vae.config.block_out_channels) - 1)
        height, width = image.shape[-2:]
        padding = (0, -width % multiple, 0, -height % multiple)
        mode = "reflect" if max(padding) < min(height, width) else "replicate"
        images = F.pad(image.unsqueeze(0), padding, mode=mode).to(next(vae.parameters()).device)
        output = vae.decode(vae.encode(images * 2 - 1).latent_dist.mode()).sample
        return (output[0, :, :height, :width].float() / 2 + 0.5).clamp(0, 1)


def reconstruct(
    urls: Sequence[str], output: Path, config: ReconstructionConfig, accelerator: str = "auto", devices: int = 1
) -> dict[str, Any] | None:
    """Make shards of reconstructions, one for each shard of real pictures; a stopped job goes on shard by shard.

    Args:
        urls: Patterns of shards that are here.
        output: Folder of the shards.
        config: How.
        accelerator: Lightning's: auto, cpu, gpu.
        devices: Processes; shards are shared out among them.

    Returns:
        The subset's index; None on every process but the first.

    Raises:
        FileNotFoundError: If shards or autoencoder are not there.
        ValueError: If the folder holds this subset made in another way.
    """
    shards = local_shards(urls)
    settings = asdict(config) | {
        "weights": fingerprint(config.autoencoder, model_folder(config.autoencoder, patterns=NEEDED)),
        "shards": {shard.name: file_digest(shard) for shard in shards},
    }
    job = Reconstruction(config, shards, output)
    index = run_job(job, len(shards), "datamodules reconstruct", settings, accelerator, devices)
    if index is not None:
        index["left_out"] = {"without a twin": sum(count_samples(str(shard)) for shard in shards) - index["samples"]}
    return index
