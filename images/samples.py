"""WebDataset samples: the members of an archive that belong to one image.

A sample's key is the name of its image without the ending. Members named after the key, such as ``KEY.json``, travel
with the image. Names may have dots: ``holiday.2020.05.jpg`` has the key ``holiday.2020.05``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from images.archives import Member, index_tar
from images.formats import SUFFIXES, has_image_suffix

RECORD = ".json"
"""Ending of the member that says what is known of an image."""


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
        if has_image_suffix(member.name):
            images.setdefault(sample_key(member.name), []).append(member)
    others: dict[str, list[Member]] = {key: [] for key in images}
    loose: list[Member] = []
    for member in files:
        if not has_image_suffix(member.name):
            key = _key_among(member.name, images)
            (others[key] if key is not None else loose).append(member)
    return [sample for key in images for sample in _samples(key, images[key], others[key])], loose


def stream_samples(members: Iterable[Member]) -> Iterator[Sample]:
    """Samples of a stream, in which the members of a sample follow one another; little is held at a time.

    A record, ``KEY.json``, without an image is a sample without one. What else belongs to no image is passed over.
    """
    key: str | None = None
    images: list[Member] = []
    others: list[Member] = []
    for member in members:
        if member.skip:
            continue
        name = member.name
        if has_image_suffix(name) and (key is None or sample_key(name) != key):
            if key is not None:
                yield from _samples(key, images, others)
                others = []
            key = sample_key(name)
            yield from _without_images(other for other in others if not other.name.startswith(f"{key}."))
            images, others = (
                [member],
                [other for other in others if other.name.startswith(f"{key}.")],
            )
        elif has_image_suffix(name):
            images.append(member)
        elif key is not None and not name.startswith(f"{key}."):
            yield from _samples(key, images, others)
            key, images, others = None, [], [member]
        else:
            if key is None and others and _first_part(name) != _first_part(others[0].name):
                yield from _without_images(others)
                others = []
            others.append(member)
    if key is not None:
        yield from _samples(key, images, others)
    else:
        yield from _without_images(others)


def read_samples(shard: Path) -> list[Sample]:
    """The samples of a local shard, each with one image, in order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no whole, uncompressed tar file, or has no images, or several in one sample.
    """
    samples, _ = group_samples(index_tar(shard))
    for sample in samples:
        if len(sample.images) > 1:
            msg = f"{shard}: {several_images_message(sample)}"
            raise ValueError(msg)
    if not samples:
        msg = f"{shard}: {no_images_message()}"
        raise ValueError(msg)
    return samples


def several_images_message(sample: Sample) -> str:
    """Why a sample of several images is refused."""
    return f"sample {sample.key} has {len(sample.images)} images; one is expected"


def no_images_message() -> str:
    """Why an archive without images is refused."""
    return f"no images in this archive; looked for {', '.join(sorted(SUFFIXES))}"


def _samples(key: str, images: Sequence[Member], others: Sequence[Member]) -> Iterator[Sample]:
    """What the images of one key make."""
    read = [image for image in images if PurePosixPath(image.name).suffix.lower() in SUFFIXES]
    if read:
        yield Sample(key, tuple(read), tuple(others))
    for image in images:
        if image not in read:
            yield Sample(key, (image,), () if read else tuple(others))


def _without_images(members: Iterable[Member]) -> Iterator[Sample]:
    for member in members:
        if member.name.endswith(RECORD):
            yield Sample(member.name.removesuffix(RECORD), (), (member,))


def _first_part(name: str) -> str:
    """A name up to the first dot of its file name: all that members of one sample are sure to share."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _key_among(name: str, keys: Iterable[str]) -> str | None:
    """The longest key that a member is named after."""
    start = name.rfind("/") + 1
    cut = name.rfind(".", start)
    while cut > start:
        if name[:cut] in keys:
            return name[:cut]
        cut = name.rfind(".", start, cut)
    return None
