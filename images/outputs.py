"""Outputs of image jobs: a file for each input in the same tree, a tar file for each tar file."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from engine.files import write_bytes
from images.archives import Member, index_tar
from images.formats import UNSUPPORTED
from images.inputs import ImageInput
from images.samples import Sample, group_samples, sample_key
from images.shard_writer import ShardWriter


def output_names(images: Sequence[ImageInput], ending: str) -> dict[str, str]:
    """Name each image's result, in the same place of the tree.

    It is the image's stem, or its whole name where two images share a stem; names that differ in capitals alone get
    numbers, as some file systems take them for one. An image in a tar file keeps its sample's key.

    Args:
        images: The images.
        ending: Of the results, such as ``png``.

    Raises:
        ValueError: If two images would get one name.
    """
    stems = Counter(sample_key(image.name).casefold() for image in images if image.member is None)
    alike: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for image in images:
        stem = sample_key(image.name)
        if image.member is not None:
            refused = PurePosixPath(image.name).suffix.lower() in UNSUPPORTED
            names[image.name] = f"{image.name if refused else stem}.{ending}"
            continue
        name = stem if stems[stem.casefold()] == 1 else image.name
        same = alike.setdefault(name.casefold(), [])
        same.append(name)
        number = same.index(name)  # of equal names: two of them are an error, below
        names[image.name] = f"{name}-{number + 1}.{ending}" if number else f"{name}.{ending}"
    if twice := next((name for name, count in Counter(names.values()).items() if count > 1), None):
        msg = f"two images would both be saved as {twice}: rename one of them"
        raise ValueError(msg)
    return names


class ImageTree:
    """Writes the results of a job into its output folder.

    The results of a tar file's images go into a tar file of the same name, each followed by the members that travel with
    it. Members that belong to no image are copied in their order. Samples of failed images are left out.

    Args:
        output: The folder.
        images: The job's inputs, in order.
        ending: Of the results, such as ``png``.

    Raises:
        ValueError: If two images would get one name.
    """

    def __init__(self, output: Path, images: Sequence[ImageInput], ending: str) -> None:
        self.output, self.ending = output, ending
        self.names = output_names(images, ending)
        self.images = images
        self._open: _OpenShard | None = None

    def target(self, image: ImageInput) -> Path:
        """The file that an image's result is, or is in."""
        return self.output / (image.group or self.names[image.name])

    def targets(self) -> list[Path]:
        """Every file that the job will write."""
        return list(dict.fromkeys(self.target(image) for image in self.images))

    def exists(self, image: ImageInput) -> bool:
        """Whether that file is there."""
        return self.target(image).is_file()

    def write(self, image: ImageInput, content: bytes) -> str:
        """Put a result in its place; results of a group come one after another, in order.

        Returns:
            Its name in the tree.

        Raises:
            OSError: If it cannot be written; the message names the target.
            ValueError: If the tar file that the image is in has changed.
        """
        name = self.names[image.name]
        if image.member is None:
            write_bytes(self.output / name, content)
            return name
        if self._open is None or self._open.group != image.group:
            self.close_group()
            self._open = _OpenShard(image, self.target(image))
        self._open.write(image.member, name.removeprefix(f"{image.group}/"), content)
        return name

    def close_group(self) -> None:
        """Finish the tar file of the group that was written last; it appears only now."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def abandon_group(self) -> None:
        """Leave out the tar file of a group that was stopped; the next run begins it anew."""
        if self._open is not None:
            self._open.writer.abandon()
            self._open = None


class _OpenShard:
    """A tar file that is being written after one that is read."""

    def __init__(self, image: ImageInput, target: Path) -> None:
        self.group, self.path = image.group, image.path
        samples, loose = group_samples(index_tar(image.path))
        self.samples: dict[int, Sample] = {member.offset: sample for sample in samples for member in sample.images}
        self.loose: deque[Member] = deque(member for member in loose if not member.fault)
        self.writer = ShardWriter(target)

    def write(self, member: Member, name: str, content: bytes) -> None:
        sample = self.samples.get(member.offset)
        if sample is None or member not in sample.images:
            msg = f"{self.path}: changed since the job began; run the command again"
            raise ValueError(msg)
        while self.loose and self.loose[0].offset < member.offset:
            self._copy(self.loose.popleft())
        self.writer.add(name, content)
        for other in sample.others:
            self._copy(other)

    def close(self) -> None:
        for member in self.loose:
            self._copy(member)
        self.writer.close()

    def _copy(self, member: Member) -> None:
        self.writer.add(member.name, member.read())
