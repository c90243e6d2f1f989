"""WebDataset samples: the members of an archive that belong to one image.

A sample's key is the name of its image without the ending. Members named after the key, such as ``KEY.json``, travel
with the image. Names may have dots: ``holiday.2020.05.jpg`` has the key ``holiday.2020.05``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from images.archives import Member, index_tar
from images.formats import SUFFIXES, names_image


@dataclass(frozen=True)
class Sample:
    """An image and the members that travel with it.

    Attributes:
        key: Name of the image without its ending.
        images: The image; several, or none, is a fault of the archive.
        others: Members named ``KEY.something``.
    """

    key: str
    images: tuple[Member, ...]
    others: tuple[Member, ...]

    @property
    def image(self) -> Member:
        """Its only image."""
        (image,) = self.images
        return image

    def content(self, ending: str) -> Member | None:
        """The member ``KEY.ending``; None if there is none."""
        wanted = f"{self.key}.{ending}"
        return next((member for member in self.others if member.name == wanted), None)


def sample_key(name: str) -> str:
    """An image's name without its ending."""
    return str(name)[: -len(suffix)] if (suffix := PurePosixPath(name).suffix) else name


def group_samples(members: Iterable[Member]) -> tuple[list[Sample], list[Member]]:
    """All samples, in the order of their images, and the members that belong to none.

    Images of formats that are not read are samples of their own, but leave the key to one that is.
    """
    files = [member for member in members if not member.skip]
    images: dict[str, list[Member]] = {}
    for member in files:
        if names_image(member.name):
            images.setdefault(sample_key(member.name), []).append(member)
    others: dict[str, list[Member]] = {key: [] for key in images}
    loose: list[Member] = []
    for member in files:
        if not names_image(member.name):
            key = _key_among(member.name, images)
            (others[key] if key is not None else loose).append(member)
    samples = []
    for key, found in images.items():
        read = [image for image in found if PurePosixPath(image.name).suffix.lower() in SUFFIXES]
        refused = [image for image in found if image not in read]
        if read:
            samples.append(Sample(key, tuple(read), tuple(others[key])))
        samples += [Sample(key, (image,), () if read else tuple(others[key])) for image in refused]
    return samples, loose


def read_samples(shard: Path) -> list[Sample]:
    """The samples of a local shard, each with one image, in order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no whole, uncompressed tar file, or has no images, or several in one sample.
    """
    samples, _ = group_samples(index_tar(shard))
    for sample in samples:
        if len(sample.images) > 1:
            msg = f"{shard}: {several_images(sample)}"
            raise ValueError(msg)
    if not samples:
        msg = f"{shard}: {no_images()}"
        raise ValueError(msg)
    return samples


def several_images(sample: Sample) -> str:
    """Why a sample of several images is refused."""
    return f"sample {sample.key} has {len(sample.images)} images; one is expected"


def no_images() -> str:
    """Why an archive without images is refused."""
    return f"no images in this archive; looked for {', '.join(sorted(SUFFIXES))}"


def _key_among(name: str, keys: Iterable[str]) -> str | None:
    """The longest key that a member is named after."""
    start = name.rfind("/") + 1
    cut = name.rfind(".", start)
    while cut > start:
        if name[:cut] in keys:
            return name[:cut]
        cut = name.rfind(".", start, cut)
    return None
