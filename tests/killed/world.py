"""What the killed commands work on, made when it is first asked for."""

import io
import shutil
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.subset_writer import Limits
from engine.cli import run
from images.archives import Member
from images.shard_writer import ShardWriter
from indexing.__main__ import main as indexing
from tiny.export import export_portraits

TINY = Path("checkpoints") / "tiny"


class World:
    """Inputs of the cases, made when they are first asked for.

    Args:
        folder: Of all of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def photos(self) -> str:
        """Twenty-four drawn portraits of three people, and a file that is none."""
        export_portraits(self.folder / "photos", people=3, pictures=8, size=96)
        return str(self.folder / "photos")

    @cached_property
    def archive(self) -> str:
        """The same in two tar files, each portrait with a note that travels along."""
        files = sorted(Path(self.photos).rglob("*.png"))
        for number in range(2):
            writer = ShardWriter(self.folder / "archive" / f"{number}.tar")
            for file in files[12 * number : 12 * number + 12]:
                key = f"{file.parent.name}-{file.stem}"
                writer.add(f"{key}.png", file.read_bytes())
                writer.add(f"{key}.txt", key.encode())
            writer.close()
        return str(self.folder / "archive")

    @cached_property
    def captions(self) -> str:
        (self.folder / "captions.txt").write_text(
            "".join(f"photo of person {number}\n" for number in range(8))
        )
        return str(self.folder / "captions.txt")

    @cached_property
    def shards(self) -> str:
        """Write shards of photographs and of generated images, which are darker."""
        folder = self.folder / "shards"
        for split, count in (("train", 24), ("val", 12)):
            for name, label in (("photos", 0), ("copies", 1)):
                members = [
                    Member(f"{name}/{number}.png", _noise(label, split, number))
                    for number in range(count)
                ]
                origin = Origin(split, name, label)
                shard_images(
                    members, folder, lambda _, origin=origin: origin, limits=Limits(samples=8)
                )
        return str(folder)

    @cached_property
    def index(self) -> str:
        """The shipped index with the portraits in it."""
        features = self.folder / "features"
        index = self.folder / "index"
        shutil.copytree(TINY / "index", index)
        words = [
            "extract",
            self.photos,
            "-o",
            str(features),
            "--extractor.name",
            f"{TINY}/copies",
            "--workers",
            "0",
        ]
        assert run(indexing, words) == 0
        assert run(indexing, ["add", str(index), str(features)]) == 0
        return str(index)

    @cached_property
    def frozen(self) -> str:
        """A detector on a frozen backbone."""
        from detectors.detector import Detector
        from images.transforms.views import View

        torch.manual_seed(0)
        view = View("crop", size=32, resize=32)
        Detector("frozen_linear", {"name": "test_vit2", "size": 32}, view).save_pretrained(
            self.folder / "frozen"
        )
        return str(self.folder / "frozen")

    def config(self, name: str, settings: dict) -> str:
        """A file of settings."""
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(settings))
        return str(path)


def _noise(label: int, split: str, number: int) -> bytes:
    levels = np.random.default_rng(1000 * label + 500 * (split == "val") + number).integers(
        0, 120 if label else 255, (40, 36, 3)
    )
    buffer = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()
