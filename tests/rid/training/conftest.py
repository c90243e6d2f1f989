"""A training run of the generator small enough for tests."""

import pytest
import yaml


@pytest.fixture
def config(pipelines, tmp_path):
    def write(**trainer):
        portraits = {
            "class_path": "tiny.dataset.PortraitDataset",
            "init_args": {"first": 0, "identities": 5, "pictures": 2},
        }
        settings = {
            "seed_everything": 7,
            "trainer": {
                "accelerator": "cpu",
                "devices": 1,
                "max_steps": 6,
                "default_root_dir": str(tmp_path / "run"),
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "callbacks": [
                    {
                        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
                        "init_args": {
                            "every_n_train_steps": 3,
                            "save_top_k": -1,
                            "filename": "{step}",
                        },
                    },
                    {"class_path": "eval.callbacks.PictureGrid"},
                ],
            }
            | trainer,
            "model": {
                "generator": {
                    "class_path": "rid.generator.PerturbationGenerator",
                    "init_args": {
                        "image_size": 64,
                        "patch_size": 16,
                        "width": 16,
                        "depth": 1,
                        "heads": 2,
                    },
                },
                "surrogates": pipelines,
                "warmup_steps": 2,
                "lr": 0.01,
            },
            "data": {
                "class_path": "datamodules.datamodule.ImageDataModule",
                "init_args": {"batch_size": 2, "train": portraits, "val": portraits},
            },
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(settings))
        return path

    return write
