"""Verb ``python -m datamodules shard``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from datamodules.fake2m.catalogue import groups
from datamodules.fake2m.published import published_sets
from datamodules.fake2m.splits import Split
from engine.cli import Output, Parser, Verb
from engine.files import locked, remove_partials
from engine.manifest import MANIFEST, claim, write_manifest
from engine.progress import progress

if TYPE_CHECKING:
    from datamodules.fake2m.shard_plan import Plan

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
    "columns",
    "decode",
    "calibration_share",
    "dev_share",
)
"""Settings of the manifest; a run with other values does not continue an earlier one."""


IMPLIED = {"columns": None}
"""Settings that earlier versions did not have."""


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
    about = (
        "folder, .tar, .zip or .parquet file, or URL (hf://datasets/...); "
        "the set's location on the Hub if not given"
    )
    parser.add_argument("source", type=str, nargs="?", default=None, help=about)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the shards; the same command continues a stopped run",
    )
    about = f"a published set: {', '.join([*published_sets(), *groups()])}"
    parser.add_argument("--set", type=str | None, default=None, help=about)
    about = (
        "class of the images, without --set; folders or column: each image has its own, "
        "from the names of its folders or a column of the table"
    )
    parser.add_argument(
        "--label",
        type=Literal["real", "generated", "folders", "column"] | None,
        default=None,
        help=about,
    )
    about = "name of the subset, without an archive's --set; the source's name if not given"
    parser.add_argument("--name", type=str | None, default=None, help=about)
    about = "split of the images; that of their folder or table (train, val, test), or train"
    parser.add_argument("--split", type=Split | None, default=None, help=about)
    about = "model that generated the images; that of their folder or column if not given"
    parser.add_argument("--generator", type=str | None, default=None, help=about)
    about = "latent_diffusion, pixel_diffusion, autoregressive, gan, ..."
    parser.add_argument("--family", type=str, default="unknown", help=about)
    about = "columns of .parquet files: image, label, generator and released"
    parser.add_argument("--columns", type=dict[str, str] | None, default=None, help=about)


def _add_label_options(parser: Parser) -> None:
    """Add the options for captions and labels of single images."""
    about = "set of captions whose numbers are the file names, such as cc3m-val"
    parser.add_argument("--captions", type=str | None, default=None, help=about)
    about = "column of MPBench's table: ImageNet, CelebA-HQ or CC3M"
    parser.add_argument("--column", type=str | None, default=None, help=about)
    about = "file with a path and a label in each row"
    parser.add_argument("--metadata", type=str | None, default=None, help=about)
    about = (
        "meaning of the labels of files, folders or rows: 1 is generated, 0 real; "
        "needed unless they are words such as real and fake, or --set is given"
    )
    parser.add_argument("--label-map", type=dict[str, int] | None, default=None, help=about)


def shard(settings: Any, output: Output) -> int:
    """Run the verb; return 0 only if no image is left out."""
    from datamodules.fake2m.shard_plan import make_plan
    from datamodules.fake2m.sharding import FAILED, SKIPPED

    plan = make_plan(settings)
    recorded = {key: settings[key] for key in RECORDED} | plan.recorded
    record = settings.output / f"{settings.set or plan.name}.run"
    with locked(record):
        # refuse other settings: finished shards would be kept whatever they hold
        is_new = not claim(record, COMMAND, recorded, implied=IMPLIED)
        remove_partials(record)
        before = set(settings.output.glob("*.tar"))
        try:
            indices = _write_shards(settings, plan)
        except ValueError:
            # nothing was written with these settings, so that others may follow
            if is_new and set(settings.output.glob("*.tar")) == before:
                (record / MANIFEST).unlink()
            raise
        # files left out belong to the source: every index lists the same ones
        first = next(iter(indices.values()))
        left_out = first["left_out"]
        samples = {stem: index["samples"] for stem, index in indices.items()}
        counts = {
            "done": sum(samples.values()),
            "failed": sum(left_out.get(reason, 0) for reason in FAILED),
            "skipped": sum(left_out.get(reason, 0) for reason in SKIPPED),
        }
        facts = {
            "settings": recorded,
            "counts": counts,
            "samples": samples,
            "labels": plan.labels.used,
            "left_out": left_out,
        }
        write_manifest(record, command=COMMAND, finished=True, **facts)
    _print_outcome(indices, counts, output)
    if plan.labels.used:
        output.result(f"labels: {plan.labels}", labels=plan.labels.used)
    if plan.terms:
        output.tell(plan.terms)
    return 1 if counts["failed"] else 0


def _write_shards(settings: Any, plan: Plan) -> dict[str, dict[str, Any]]:
    """Write shards, and return the indices by subset.

    Raises:
        ValueError: If the source has no images.
    """
    from datamodules.fake2m.sharding import NoImages, shard_images
    from images.sources import read_source

    members = progress(read_source(plan.source, plan.columns), unit="file")
    try:
        return shard_images(
            members,
            settings.output,
            plan.origin_of,
            plan.annotations,
            settings.limits,
            settings.decode,
        )
    except NoImages as error:
        msg = f"no images in the source {plan.source}: {error}"
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
            f"{_classes(index)}; {index['counts']['codec']}",
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


def _classes(index: dict[str, Any]) -> str:
    """Describe the classes of a subset."""
    counts = index["counts"]["label"]
    return f"{counts.get('0', 0)} real, {counts.get('1', 0)} generated"


VERB = Verb(
    "Put images from archives, tables, folders or shards into WebDataset shards, bytes unchanged.",
    "datamodules shard COCO/ --label real --split val --name coco -o data/fake2m",
    options,
    shard,
)
