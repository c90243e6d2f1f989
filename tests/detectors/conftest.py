"""Small shards and training runs."""

import io

import numpy as np
import pytest
import yaml
from PIL import Image

from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.subset_writer import Limits
from detectors.cli import main
from images.archives import Member


def picture(generated, seed):
    """Draw smooth clouds as PNG; generated ones are up-sampled by repeating pixels."""
    rng = np.random.default_rng(seed)
    side = 16 if generated else 32
    small = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    buffer = io.BytesIO()
    small.resize((32, 32), Image.Resampling.NEAREST).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for split, count, first in (("train", 80, 0), ("val", 20, 1000)):
        for name, label in (("photos", 0), ("copies", 1)):
            members = [Member(f"{name}/{n}.png", picture(label, first + n)) for n in range(count)]
            origin = Origin(
                split,
                name,
                label,
                generator="copies" if label else None,
                family="gan" if label else "real",
            )
            shard_images(
                members, folder, lambda path, origin=origin: origin, limits=Limits(samples=40)
            )
    return folder


@pytest.fixture
def config(shards, tmp_path):
    def write(network, options, trainer=None, **model):
        view = {"policy": "crop", "size": 32, "resize": 32}
        init = {
            "network": network,
            "options": options,
            "view": view,
            "train_view": view | {"random": True},
        }
        settings = {
            "seed_everything": 3,
            "trainer": {
                "accelerator": "cpu",
                "max_epochs": 2,
                "default_root_dir": str(tmp_path / "run"),
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "log_every_n_steps": 1,
            }
            | (trainer or {}),
            "model": {
                "detector": {"class_path": "detectors.detector.Detector", "init_args": init},
                "lr": 0.002,
            }
            | model,
            "data": {
                "real": [{"urls": f"{shards}/train-photos-*.tar"}],
                "generated": [{"urls": f"{shards}/train-copies-*.tar"}],
                "val": [f"{shards}/val-*.tar"],
                "batch_size": 16,
                "epoch_samples": 320,
                "num_workers": 0,
            },
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(settings))
        return str(path)

    return write


@pytest.fixture
def trained(config):
    return main(["fit", "-c", config("tiny_patches", {}, lr=0.02)])
