"""Verb ``python -m datamodules shard``: options and output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from datamodules.fake2m.catalogue import LABELS, Group, groups
from datamodules.fake2m.splits import Split
from engine.cli import Output, Parser, Verb
from engine.files import locked, remove_partials
from engine.manifest import claim, write_manifest
from engine.progress import progress

if TYPE_CHECKING:
    from datamodules.fake2m.annotations import Annotations
    from datamodules.fake2m.origin import Origin

COMMAND = "datamodules shard"

RECORDED = (
    "set",
    "label",
    "name",
    "split",
    "generator",
    "family",
    "captions",
    "column",
    "label_map",
    "decode",
    "calibration_share",
    "dev_share",
)
"""Settings of the manifest; a run with other values does not continue an earlier one."""


def options(parser: Parser) -> None:
    """Add the verb's options."""
    _add_source_options(parser)
    _add_label_options(parser)
    parser.add_argument(
        "--calibration-share",
        type=float,
        default=0.02,
        help="share of a training set held out for calibration, in shards calibration-...",
    )
    parser.add_argument(
        "--dev-share",
        type=float,
        default=0.01,
        help="share of a training set held out for monitoring, in shards dev-...",
    )
    parser.add_call("datamodules.fake2m.subset_writer:Limits", "limits")
    parser.add_argument("--decode", type=bool, default=False, help="decode every image as a check")


def _add_source_options(parser: Parser) -> None:
    """Add the options for source, output and origin."""
    about = "folder or URL (hf://datasets/...); the set's location on the Hub if not given"
    parser.add_argument("source", type=str, nargs="?", default=None, help=about)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the shards; the same command continues a stopped run",
    )
    about = f"an archive of Fake2M or MPBench: {', '.join(groups())}"
    parser.add_argument("--set", type=str | None, default=None, help=about)
    parser.add_argument(
        "--label",
        type=Literal["real", "generated"] | None,
        default=None,
        help="class of the images, without --set",
    )
    about = "name of the subset, without --set; the source's name if not given"
    parser.add_argument("--name", type=str | None, default=None, help=about)
    parser.add_argument(
        "--split", type=Split, default="train", help="split of the images, without --set"
    )
    parser.add_argument(
        "--generator", type=str | None, default=None, help="model that generated the images"
    )
    about = "latent_diffusion, pixel_diffusion, autoregressive, gan, ..."
    parser.add_argument("--family", type=str, default="unknown", help=about)


def _add_label_options(parser: Parser) -> None:
    """Add the options for captions and labels of single images."""
    about = "set of captions whose numbers are the file names, such as cc3m-val"
    parser.add_argument("--captions", type=str | None, default=None, help=about)
    about = "column of MPBench's table: ImageNet, CelebA-HQ or CC3M"
    parser.add_argument("--column", type=str | None, default=None, help=about)
    about = "file with a path and a label in each row"
    parser.add_argument("--metadata", type=str | None, default=None, help=about)
    about = (
        "meaning of the file's labels: 1 is generated, 0 real; "
        "needed unless they are words such as real and fake, or --set is given"
    )
    parser.add_argument("--label-map", type=dict[str, int] | None, default=None, help=about)


def shard(settings: Any, output: Output) -> int:
    """Run the verb; return 0 only if no image is left out."""
    from datamodules.fake2m.sharding import FAILED, SKIPPED

    group = _find_group(settings)
    source = settings.source
    metadata = settings.metadata
    if group is not None and source is None:
        source = group.images
        metadata = metadata or group.metadata
    origin = _plain_origin(settings, source)
    recorded = {key: settings[key] for key in RECORDED}
    recorded |= {"source": source, "metadata": metadata, "limits": asdict(settings.limits)}
    annotations = _read_annotations(settings, metadata, group)
    record = settings.output / f"{settings.set or origin.stem}.run"
    with locked(record):
        # refuse other settings: finished shards would be kept whatever they hold
        claim(record, COMMAND, recorded)
        remove_partials(record)
        indices = _write_shards(
            settings, source, _origin_rule(settings, group, origin), annotations
        )
        # files left out belong to the source: every index lists the same ones
        first = next(iter(indices.values()))
        left_out = first["left_out"]
        samples = {stem: index["samples"] for stem, index in indices.items()}
        counts = {
            "done": sum(samples.values()),
            "failed": sum(left_out.get(reason, 0) for reason in FAILED),
            "skipped": sum(left_out.get(reason, 0) for reason in SKIPPED),
        }
        facts = {"settings": recorded, "counts": counts, "samples": samples, "left_out": left_out}
        write_manifest(record, command=COMMAND, finished=True, **facts)
    _print_outcome(indices, counts, output)
    return 1 if counts["failed"] else 0


def _find_group(settings: Any) -> Group | None:
    """Return the archive that ``--set`` names; None without ``--set``.

    Raises:
        ValueError: If there is no such archive, or label and source are missing instead.
    """
    if settings.set is None:
        if settings.label is None or settings.source is None:
            msg = (
                "give --set with the name of a Fake2M or MPBench archive, "
                "or a source and --label real or generated"
            )
            raise ValueError(msg)
        return None
    if settings.set not in groups():
        msg = f"no set '{settings.set}'; choose one of {', '.join(groups())}"
        raise ValueError(msg)
    return groups()[settings.set]


def _plain_origin(settings: Any, source: str) -> Origin:
    """Build the origin of images without ``--set``."""
    from datamodules.fake2m.origin import GENERATED, REAL, Origin, slug

    real = settings.label == "real"
    name = settings.name or Path(source.rstrip("/")).name or Path(source).resolve().name
    return Origin(
        split=settings.split,
        subset=slug(name),
        label=REAL if real else GENERATED,
        generator=settings.generator,
        family="real" if real else settings.family,
        captions=settings.captions,
        column=settings.column,
    )


def _origin_rule(
    settings: Any, group: Group | None, plain: Origin
) -> Callable[[str], Origin | None]:
    """Return the function from a path to its origin and split.

    Shares of a training set are held out for calibration and monitoring, by a hash of the file
    name.
    """
    from datamodules.fake2m.origin import Origin, hash_fraction

    calibration_end = settings.calibration_share
    dev_end = settings.calibration_share + settings.dev_share

    def origin_of(path: str) -> Origin | None:
        origin = plain
        if group is not None:
            subset = group.subset_of(path)
            if subset is None:
                return None
            origin = Origin.of(group, subset)
        if origin.split != "train":
            return origin
        fraction = hash_fraction(path)
        if fraction < calibration_end:
            return replace(origin, split="calibration")
        return replace(origin, split="dev") if fraction < dev_end else origin

    return origin_of


def _read_annotations(
    settings: Any, metadata: str | None, group: Group | None
) -> Annotations | None:
    """Read the labels of single images, if any."""
    from datamodules.fake2m.annotations import Annotations
    from images.sources import read_text

    if not metadata:
        return None
    labels = settings.label_map or (LABELS if group else None)
    return Annotations(read_text(metadata), labels, metadata)


def _write_shards(
    settings: Any,
    source: str,
    origin_of: Callable[[str], Origin | None],
    annotations: Annotations | None,
) -> dict[str, dict[str, Any]]:
    """Write shards, and return the indices by subset.

    Raises:
        ValueError: If the source has no images.
    """
    from datamodules.fake2m.sharding import NoImages, shard_images
    from images.sources import read_source

    members = progress(read_source(source), unit="file")
    try:
        return shard_images(
            members, settings.output, origin_of, annotations, settings.limits, settings.decode
        )
    except NoImages as error:
        msg = f"no images in the source {source}: {error}"
        raise ValueError(msg) from error


def _print_outcome(
    indices: dict[str, dict[str, Any]], counts: dict[str, Any], output: Output
) -> None:
    """Print the subsets and the files left out."""
    from datamodules.fake2m.sharding import FAILED

    for stem, index in indices.items():
        output.row(
            "subsets",
            f"{stem}: {index['samples']} images in {len(index['shards'])} shards; "
            f"{index['counts']['codec']}",
            name=stem,
            samples=index["samples"],
            shards=len(index["shards"]),
            counts=index["counts"],
        )
    first = next(iter(indices.values()))
    for reason, count in first["left_out"].items():
        output.tell(f"{reason}: {count}")
    for reason in FAILED:
        for name in first["left_out_names"].get(reason, []):
            output.error(f"{reason}: {name}")
    output.result(left_out=first["left_out"], **counts)


VERB = Verb(
    "Put images from archives, folders or shards into WebDataset shards, bytes unchanged.",
    "datamodules shard COCO/ --label real --split val --name coco -o data/fake2m",
    options,
    shard,
)
