"""Readers of the letters in images: the choice among them, and their interfaces."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from images.given import Images, given_images
from images.io import encode_as, to_uint8
from images.transforms.protocol import RGBImage
from models.image_text_net import ImageTextNet
from models.ocr import OCR, has_ocr, identify_ocr
from sentinels.keys import fold
from sentinels.reader_names import AUTO, NONE, OCR_READER, SERVICE, TOY_READER

if TYPE_CHECKING:
    from sentinels.client import Client

Reader = Callable[[Tensor], list[str]]
"""Function from images (B, 3, H, W) in [0, 1] to the text in each."""

AsyncReader = Callable[[RGBImage], Awaitable[str]]
"""Asynchronous function from an image (H, W, 3) uint8 to the text in it."""


def reads_as(text: str, key: str) -> bool:
    """Return True if a text contains the key, ignoring case, blanks and punctuation."""
    return fold(key) in fold(text)


def reader_name(name: str = AUTO) -> str:
    """Resolve ``auto``: OCR where it is installed, else the toy reader."""
    if name != AUTO:
        return name
    return OCR_READER if has_ocr() else TOY_READER


def identify_reader(name: str) -> dict[str, Any]:
    """Identify a reader for a record: its name, and the sha256 of its weights if it has any."""
    from models.embedders import identify_model

    name = reader_name(name)
    if name in (NONE, SERVICE):
        return {"name": name}
    return identify_ocr() if name == OCR_READER else identify_model(name)


def load_network(name: str) -> ImageTextNet:
    """Load an :class:`ImageTextNet` in float32 from a folder, a Hub id or a checkpoint."""
    return ImageTextNet.from_pretrained(name, dtype=torch.float32)


def load_reader(name: str = AUTO, client: Client | None = None) -> Reader:
    """Load a reader.

    Args:
        name: ``auto``, ``ocr``, ``service``, or a folder, Hub id or checkpoint of an
            :class:`ImageTextNet`.
        client: Client of the service, if that reads; it must not be open.

    Raises:
        OSError: If OCR is not installed, or there are no such weights.
        ValueError: If the weights are not of an :class:`ImageTextNet`, or the service has no
            client.
    """
    name = reader_name(name)
    if name == SERVICE:
        service = _client(client)
        return lambda images: asyncio.run(_ask_service(service, images))
    if name != OCR_READER:
        return load_network(name).read
    ocr = OCR()
    return lambda images: [ocr.read(rgb) for rgb in _arrays(images)]


def open_reader(name: str = AUTO, client: Client | None = None) -> AsyncReader | None:
    """Load a reader for asynchronous jobs; None for ``none``.

    Args:
        name: As of :func:`load_reader`, or ``none``.
        client: Client of the service, if that reads; it must be open when the reader is called.

    Raises:
        OSError: As of :func:`load_reader`.
        ValueError: As of :func:`load_reader`.
    """
    if name == NONE:
        return None
    if name == SERVICE:
        service = _client(client)
        return lambda rgb: _ask_letters(service, rgb)
    reader = load_reader(name)

    async def read(rgb: RGBImage) -> str:
        image = torch.from_numpy(rgb.copy()).permute(2, 0, 1).float() / 255
        return reader(image.unsqueeze(0))[0]

    return read


async def _ask_service(client: Client, images: Tensor) -> list[str]:
    async with client:
        return await asyncio.gather(*(_ask_letters(client, rgb) for rgb in _arrays(images)))


async def _ask_letters(client: Client, rgb: RGBImage) -> str:
    from sentinels.describe import ask_letters

    return await ask_letters(client, encode_as(rgb, "jpg"))


def _client(client: Client | None) -> Client:
    if client is None:
        msg = "the reader 'service' needs a service: give --service.base_url and its model"
        raise ValueError(msg)
    return client


def _arrays(images: Tensor) -> list[RGBImage]:
    """Convert (B, 3, H, W) in [0, 1] to (H, W, 3) uint8 arrays."""
    return list(to_uint8(images).permute(0, 2, 3, 1).cpu().numpy())


@dataclass(frozen=True)
class Reading:
    """Letters read in an image.

    Attributes:
        name: Name of the image file; ``image 1``, ``image 2``, ... for images without one.
        text: The text; empty for an image without letters.
    """

    name: str
    text: str

    def has(self, key: str) -> bool:
        """Return True if the text contains a key; see :func:`reads_as`."""
        return reads_as(self.text, key)


class KeyReader:
    """Read the keys of sentinels.

    Args:
        reader: The reader.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    @classmethod
    def from_pretrained(cls, name: str = AUTO) -> Self:
        """Load a reader; see :func:`load_reader` for names and errors."""
        return cls(load_reader(name))

    def read(self, images: Images) -> list[Reading]:
        """Read images.

        Args:
            images: One or several: paths, Pillow images, (H, W, 3) uint8 arrays, tensors (3, H, W)
                or (B, 3, H, W) in [0, 1].

        Returns:
            The letters of each image, in the same order.

        Raises:
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an array or a tensor has another shape or range.
        """
        readings = []
        for image in given_images(images):
            (text,) = self.reader(image.photo.on_white().tensor().unsqueeze(0))
            readings.append(Reading(image.name, text))
        return readings
