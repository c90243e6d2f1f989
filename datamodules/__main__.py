"""``python -m datamodules VERB``: images into WebDataset shards, and a look at them."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from datamodules.fake2m import making_command
from datamodules.fake2m.catalogue import LABELS, groups
from datamodules.fake2m.splits import Split
from engine.cli import Output, Parser, Room, Training, Verb, run
from engine.files import locked, remove_partials
from engine.manifest import claim, write_manifest
from engine.progress import progress


def shard_options(parser: Parser) -> None:
    """What ``shard`` asks for."""
    about = "folder or URL (hf://datasets/...); a set's own place on the Hub if not given"
    parser.add_argument("source", type=str, nargs="?", default=None, help=about)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the shards; a stopped run goes on in it",
    )
    parser.add_argument(
        "--set",
        type=str | None,
        default=None,
        help=f"an archive of Fake2M or MPBench: {', '.join(groups())}",
    )
    parser.add_argument(
        "--label",
        type=Literal["real", "generated"] | None,
        default=None,
        help="what the images are, without --set",
    )
    parser.add_argument(
        "--name",
        type=str | None,
        default=None,
        help="name of the subset, without --set; the source's if not given",
    )
    parser.add_argument(
        "--split", type=Split, default="train", help="which split they are for, without --set"
    )
    parser.add_argument("--generator", type=str | None, default=None, help="model that made them")
    parser.add_argument(
        "--family",
        type=str,
        default="unknown",
        help="latent_diffusion, pixel_diffusion, autoregressive, gan, ...",
    )
    about = "set of captions whose numbers are the file names, such as cc3m-val"
    parser.add_argument("--captions", type=str | None, default=None, help=about)
    parser.add_argument(
        "--column",
        type=str | None,
        default=None,
        help="column of MPBench's table: ImageNet, CelebA-HQ or CC3M",
    )
    parser.add_argument(
        "--metadata", type=str | None, default=None, help="file with a path and a label in each row"
    )
    about = "what its labels mean: 1 is generated, 0 real; needed unless they are words such as real and fake, or --set says it"
    parser.add_argument("--label-map", type=dict[str, int] | None, default=None, help=about)
    parser.add_argument(
        "--calibration-share",
        type=float,
        default=0.02,
        help="share of a training set kept apart, named calibration-...",
    )
    parser.add_argument(
        "--dev-share",
        type=float,
        default=0.01,
        help="the same for watching training, named dev-...",
    )
    parser.add_call("datamodules.fake2m.sharding:Limits", "limits")
    parser.add_argument("--decode", type=bool, default=False, help="decode every image as a check")


def shard(settings: Any, output: Output) -> int:
    """Write shards; 0 only if every image of the source is in them."""
    from datamodules.fake2m.annotations import Annotations
    from datamodules.fake2m.sharding import (
        FAILED,
        GENERATED,
        REAL,
        SKIPPED,
        NoPictures,
        Origin,
        place_of,
        shard_images,
        slug,
    )
    from images.sources import read_source, read_text

    if settings.set is not None and settings.set not in groups():
        msg = f"no set '{settings.set}'; choose one of {', '.join(groups())}"
        raise ValueError(msg)
    if settings.set is None and (settings.label is None or settings.source is None):
        msg = "give --set with the name of a Fake2M or MPBench archive, or a source and --label real or generated"
        raise ValueError(msg)
    group = groups()[settings.set] if settings.set else None
    source, metadata = settings.source, settings.metadata
    if group is not None and source is None:
        source, metadata = group.images, metadata or group.metadata
    plain = Origin(
        split=settings.split,
        subset=slug(settings.name or Path(source.rstrip("/")).name or Path(source).resolve().name),
        label=REAL if settings.label == "real" else GENERATED,
        generator=settings.generator,
        family="real" if settings.label == "real" else settings.family,
        captions=settings.captions,
        column=settings.column,
    )

    def origin_of(path: str) -> Origin | None:
        subset = group.subset_of(path) if group else None
        origin = plain if group is None else None if subset is None else Origin.of(group, subset)
        if origin is None or origin.split != "train":
            return origin
        place = place_of(path)
        edges = (settings.calibration_share, settings.calibration_share + settings.dev_share)
        kept = "calibration" if place < edges[0] else "dev" if place < edges[1] else "train"
        return replace(origin, split=kept)

    annotations = (
        Annotations(
            read_text(metadata), settings.label_map or (LABELS if group else None), metadata
        )
        if metadata
        else None
    )
    name = settings.set or f"{plain.split}-{plain.subset}"
    keys = (
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
    )
    asked = {key: settings[key] for key in (*keys, "calibration_share", "dev_share")}
    asked |= {"source": source, "metadata": metadata, "limits": asdict(settings.limits)}
    record = settings.output / f"{name}.run"
    with locked(record):
        claim(
            record, "datamodules shard", asked
        )  # what is finished there would else be kept, whatever it was
        remove_partials(record)
        members = progress(read_source(source), unit="file")
        try:
            indices = shard_images(
                members, settings.output, origin_of, annotations, settings.limits, settings.decode
            )
        except NoPictures as error:
            msg = f"no pictures in the source {source}: {error}"
            raise ValueError(msg) from error
        first = next(iter(indices.values()))  # troubles are the source's, the same in every index
        left_out = first["left_out"]
        samples = {stem: index["samples"] for stem, index in indices.items()}
        failed, skipped = (
            sum(left_out.get(kind, 0) for kind in kinds) for kinds in (FAILED, SKIPPED)
        )
        counts = {"done": sum(samples.values()), "failed": failed, "skipped": skipped}
        facts = {"settings": asked, "counts": counts, "samples": samples, "left_out": left_out}
        write_manifest(record, command="datamodules shard", finished=True, **facts)
    for stem, index in indices.items():
        text = f"{stem}: {index['samples']} pictures in {len(index['shards'])} shards; {index['counts']['codec']}"
        output.row(
            "subsets",
            text,
            name=stem,
            samples=index["samples"],
            shards=len(index["shards"]),
            counts=index["counts"],
        )
    for kind, count in left_out.items():
        output.tell(f"{kind}: {count}")
    for kind in FAILED:
        for name in first["left_out_names"].get(kind, []):
            output.error(f"{kind}: {name}")
    output.result(left_out=left_out, **counts)
    return 1 if failed else 0


def inspect_options(parser: Parser) -> None:
    """What ``inspect`` asks for."""
    parser.add_argument(
        "shards", type=str, nargs="+", help="patterns of shards that are here: 'SHARDS/train-*.tar'"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of inspection.html and inspection.json",
    )
    parser.add_call(
        "datamodules.fake2m.inspection:inspect_shards", skip={"urls", "output", "scorer"}
    )
    about = "a CLIP's folder or Hub id: compute aesthetic scores (CLIP-IQA) with it"
    parser.add_argument("--clip", type=str | None, default=None, help=about)


def inspect(settings: Any, output: Output) -> int:
    """Look at shards; 0 only if headers do not tell the classes apart."""
    from datamodules.fake2m.inspection import inspect_shards

    scorer, clip = None, settings.pop("clip")
    if clip is not None:
        from models.clip import ClipMetrics

        scorer = ClipMetrics(clip).quality
    gate = inspect_shards(settings.pop("shards"), **settings.as_dict(), scorer=scorer)
    page = settings.output / "inspection.html"
    output.result(gate.words() if gate.passed else None, passed=gate.passed, gate=asdict(gate))
    if not gate.passed:
        output.tell(gate.words())
    output.result(f"page: {page}", page=page)
    return 0 if gate.passed else 1


VERBS: dict[str, Verb | Training] = {
    "shard": Verb(
        "Put images from archives, folders or shards into WebDataset shards, bytes unchanged.",
        "datamodules shard COCO/ --label real --split val --name coco -o data/fake2m",
        shard_options,
        shard,
    ),
    "synthesize": making_command.SYNTHESIZE,
    "reconstruct": making_command.RECONSTRUCT,
    "inspect": Verb(
        "Show what is in shards, and whether headers alone tell real and generated images apart.",
        "datamodules inspect 'SHARDS/train-*.tar' -o OUT/",
        inspect_options,
        inspect,
    ),
}

ROOM = Room(
    "datamodules",
    "Images on their way into training: WebDataset shards, made and inspected.",
    VERBS,
)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))
