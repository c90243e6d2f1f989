"""Former path of :mod:`datamodules.image_files`, which older configs name."""

from datamodules.image_files import ImageFiles as PictureFiles

__all__ = ["PictureFiles"]
