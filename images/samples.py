"""WebDataset samples: an image and the archive members that belong to it.

A sample's key is the name of its image without the ending. Members named after the key, such as
``KEY.json``, belong to the sample. Keys may have dots: ``holiday.2020.05.jpg`` has the key
``holiday.2020.05``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from images.archives import Member, index_tar
from images.formats import DATA_SUFFIXES, NOT_AN_IMAGE, SUFFIXES, has_image_suffix

RECORD = ".json"
"""Ending of the member with an image's record."""


@dataclass(frozen=True)
class Sample:
    """A WebDataset sample.

    Attributes:
        key: Name of the image without its ending.
        images: The image; none or several in a faulty archive.
        others: Other members, named ``KEY.something``.
    """

    key: str
    images: tuple[Member, ...]
    others: tuple[Member, ...]

    @property
    def image(self) -> Member:
        """The image of a sample with exactly one."""
        (image,) = self.images
        return image

    def content(self, ending: str) -> Member | None:
        """Return the member ``KEY.ending``; None if missing."""
        wanted = f"{self.key}.{ending}"
        return next((member for member in self.others if member.name == wanted), None)


def sample_key(name: str) -> str:
    """Return an image's name without its ending."""
    return str(name)[: -len(suffix)] if (suffix := PurePosixPath(name).suffix) else name


def skip_reason(member: Member) -> str:
    """Return why jobs over images leave a member of a tar file out; empty if they do not.

    Jobs take images, and pass on the data beside them. All else is named and left out: it may be an
    image under a name that says nothing of it.
    """
    if member.skip or has_image_suffix(member.name):
        return member.skip
    is_data = PurePosixPath(member.name).suffix.lower() in DATA_SUFFIXES
    return member.fault if is_data else NOT_AN_IMAGE


def group_samples(members: Iterable[Member]) -> tuple[list[Sample], list[Member]]:
    """Group the members of an archive into samples.

    An image of an unsupported format is a separate sample if a supported image has the same key.

    Returns:
        The samples in the order of their images, and the members of no sample.
    """
    # Collect images by key.
    files = [member for member in members if not member.skip]
    images: dict[str, list[Member]] = {}
    for member in files:
        if has_image_suffix(member.name):
            images.setdefault(sample_key(member.name), []).append(member)
    # Assign the other members.
    others: dict[str, list[Member]] = {key: [] for key in images}
    loose: list[Member] = []
    for member in files:
        if not has_image_suffix(member.name):
            key = _key_among(member.name, images)
            (others[key] if key is not None else loose).append(member)
    samples: list[Sample] = []
    for key in images:
        samples += _samples(key, images[key], others[key])
    return samples, loose


def stream_samples(members: Iterable[Member]) -> Iterator[Sample]:
    """Group a stream of members into samples, with bounded memory.

    Members of a sample must follow one another. A record, ``KEY.json``, without an image is a
    sample without images. Other members without an image are skipped.
    """
    key: str | None = None
    images: list[Member] = []
    others: list[Member] = []
    for member in members:
        if member.skip:
            continue
        name = member.name
        # The first image of a sample: finish the sample before.
        if has_image_suffix(name) and (key is None or sample_key(name) != key):
            if key is not None:
                yield from _samples(key, images, others)
                others = []
            key = sample_key(name)
            yield from _without_images(
                other for other in others if not other.name.startswith(f"{key}.")
            )
            images = [member]
            others = [other for other in others if other.name.startswith(f"{key}.")]
        # A further image of the sample.
        elif has_image_suffix(name):
            images.append(member)
        # The first member of the next sample, before its image.
        elif key is not None and not name.startswith(f"{key}."):
            yield from _samples(key, images, others)
            key = None
            images = []
            others = [member]
        # A further member of the sample.
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
    """List the samples of a local shard, in order.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not a complete, uncompressed tar file, has no images, or has a
            sample with several images.
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
    """Describe the fault of a sample with several images."""
    return f"sample {sample.key} has {len(sample.images)} images; one is expected"


def no_images_message() -> str:
    """Describe the fault of an archive without images."""
    return f"no images in this archive; looked for {', '.join(sorted(SUFFIXES))}"


def _samples(key: str, images: Sequence[Member], others: Sequence[Member]) -> Iterator[Sample]:
    """Yield the samples of one key."""
    supported = [image for image in images if PurePosixPath(image.name).suffix.lower() in SUFFIXES]
    if supported:
        yield Sample(key, tuple(supported), tuple(others))
    for image in images:
        if image not in supported:
            yield Sample(key, (image,), () if supported else tuple(others))


def _without_images(members: Iterable[Member]) -> Iterator[Sample]:
    """Yield a sample without images for each record."""
    for member in members:
        if member.name.endswith(RECORD):
            yield Sample(member.name.removesuffix(RECORD), (), (member,))


def _first_part(name: str) -> str:
    """Return a name up to the first dot of its file name.

    All members of a sample share this part.
    """
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _key_among(name: str, keys: Iterable[str]) -> str | None:
    """Find the longest key that a member is named after."""
    start = name.rfind("/") + 1
    cut = name.rfind(".", start)
    while cut > start:
        if name[:cut] in keys:
            return name[:cut]
        cut = name.rfind(".", start, cut)
    return None
