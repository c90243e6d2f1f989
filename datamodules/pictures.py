"""Former path of :mod:`datamodules.datamodule`, which older configs name."""

from datamodules.datamodule import ImageDataModule as PictureDataModule

__all__ = ["PictureDataModule"]
