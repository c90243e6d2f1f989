"""Output files of image jobs, including tar files."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from engine.files import write_bytes
from images.archives import Member, index_tar
from images.formats import UNSUPPORTED
from images.inputs import ImageInput
from images.samples import Sample, group_samples, sample_key, skip_reason
from images.shard_writer import ShardWriter


def output_names(images: Sequence[ImageInput], ending: str) -> dict[str, str]:
    """Name the output file of each image, keeping the folders.

    The name is the image's stem, or its full name if two images share a stem. Names that differ in
    case alone are numbered, because some file systems do not distinguish them. An image in a tar
    file keeps its sample's key.

    Args:
        images: The inputs.
        ending: File name ending of the results, such as ``png``.

    Returns:
        Output names by input name.

    Raises:
        ValueError: If two images would get the same name.
    """
    stems = Counter(sample_key(image.name).casefold() for image in images if image.member is None)
    similar: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for image in images:
        stem = sample_key(image.name)
        # Name members of tar files after their sample.
        if image.member is not None:
            unsupported = PurePosixPath(image.name).suffix.lower() in UNSUPPORTED
            names[image.name] = f"{image.name if unsupported else stem}.{ending}"
            continue
        # Name files after their stem, numbered where only the case differs.
        name = stem if stems[stem.casefold()] == 1 else image.name
        same = similar.setdefault(name.casefold(), [])
        same.append(name)
        number = same.index(name)  # equal names are an error, below
        names[image.name] = f"{name}-{number + 1}.{ending}" if number else f"{name}.{ending}"
    owners: dict[str, str] = {}
    for name, saved in names.items():
        if (other := owners.setdefault(saved, name)) != name:
            msg = f"{other} and {name} would both be saved as {saved}: rename one of them"
            raise ValueError(msg)
    return names


class FormerNames:
    """Names that results had in an earlier run, before an input of the same stem came or went.

    Args:
        names: Present names by input, of :func:`output_names`.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._former: dict[str, str] = {}

    def note(self, image: str, earlier: str) -> None:
        """Note the name of an image's earlier result; empty if there is none."""
        if earlier and earlier != self._names[image]:
            self._former[image] = earlier

    def take(self, image: str) -> str:
        """Return the former name whose file an image's new result replaces; empty if none does.

        A former name may be another image's present one.
        """
        former = self._former.pop(image, "")
        if PurePosixPath(former).parent != PurePosixPath(self._names[image]).parent:
            return ""
        taken = {name.casefold() for name in self._names.values()} if former else set()
        return "" if former.casefold() in taken else former


class ImageTree:
    """Writer of a job's results into its output folder.

    Results of a shard go into a tar file of the same name, each followed by the data of its sample.
    Data of no sample are copied in their order. Samples of failed images are left out, and so are
    members that :func:`images.samples.skip_reason` names.

    Args:
        output: The folder.
        images: The job's inputs, in order.
        ending: File name ending of the results, such as ``png``.

    Raises:
        ValueError: If two images would get the same name.
    """

    def __init__(self, output: Path, images: Sequence[ImageInput], ending: str) -> None:
        self.output = output
        self.ending = ending
        self.names = output_names(images, ending)
        self.images = images
        self._former = FormerNames(self.names)
        self._open: _OpenShard | None = None

    def target(self, image: ImageInput) -> Path:
        """Return the output file that will contain an image's result."""
        return self.output / (image.group or self.names[image.name])

    def targets(self) -> list[Path]:
        """List all files that the job will write."""
        return list(dict.fromkeys(self.target(image) for image in self.images))

    def exists(self, image: ImageInput, earlier: str = "") -> bool:
        """Return True if the output file of an image exists.

        Args:
            image: The input.
            earlier: Name of its result in an earlier run. It is another one if an input of the same
                stem came or went since; :meth:`write` then deletes the earlier file.
        """
        if image.member is None:
            self._former.note(image.name, earlier)
        return self.target(image).is_file()

    def write(self, image: ImageInput, content: bytes) -> str:
        """Write a result; results of a group must arrive together, in order.

        Args:
            image: The input.
            content: The encoded result.

        Returns:
            The result's name, relative to the output folder.

        Raises:
            OSError: If writing fails; the message names the file.
            ValueError: If the input's tar file has changed.
        """
        name = self.names[image.name]
        if image.member is None:
            write_bytes(self.output / name, content)
            if former := self._former.take(image.name):
                (self.output / former).unlink(missing_ok=True)
            return name
        if self._open is None or self._open.group != image.group:
            self.close_group()
            self._open = _OpenShard(image, self.target(image))
        self._open.write(image.member, name.removeprefix(f"{image.group}/"), content)
        return name

    def close_group(self) -> None:
        """Finish the current tar file, which appears only now."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def abandon_group(self) -> None:
        """Delete the unfinished tar file; the next run starts it again."""
        if self._open is not None:
            self._open.writer.abandon()
            self._open = None


class _OpenShard:
    """Unfinished output tar file and its input samples."""

    def __init__(self, image: ImageInput, target: Path) -> None:
        self.group = image.group
        self.path = image.path
        samples, loose = group_samples(index_tar(image.path))
        self.samples: dict[int, Sample] = {}
        for sample in samples:
            self.samples.update((member.offset, sample) for member in sample.images)
        self.loose: deque[Member] = deque(member for member in loose if not skip_reason(member))
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
            if not skip_reason(other):
                self._copy(other)

    def close(self) -> None:
        for member in self.loose:
            self._copy(member)
        self.writer.close()

    def _copy(self, member: Member) -> None:
        self.writer.add(member.name, member.read())
