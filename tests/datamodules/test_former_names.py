"""Class paths of older configs, which people have in their files."""

import importlib

import pytest
from jsonargparse import ArgumentParser
from lightning import LightningDataModule
from torch.utils.data import Dataset

from datamodules.datamodule import ImageDataModule
from datamodules.image_files import ImageFiles


@pytest.mark.parametrize(
    ("base", "former", "now", "settings"),
    [
        (
            LightningDataModule,
            "datamodules.pictures.PictureDataModule",
            ImageDataModule,
            {"batch_size": 3},
        ),
        (Dataset, "datamodules.photos.PictureFiles", ImageFiles, {"sources": ["a"], "size": 8}),
    ],
)
def test_configs_may_name_a_class_by_its_former_path(base, former, now, settings):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(base, "data")
    read = parser.parse_object({"data": {"class_path": former, "init_args": settings}}).data
    module, _, name = read.class_path.rpartition(".")
    assert getattr(importlib.import_module(module), name) is now
    assert read.init_args.as_dict().items() >= settings.items()
