"""``python -m datamodules shard | synthesize | reconstruct | inspect``: pictures into WebDataset shards, and a look at them.

A door, not part of the room: it alone here may call other rooms.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from engine.cli import dispatch, parser, run
from engine.manifest import claim, write_manifest

ABOUT = """usage: python -m datamodules VERB ...

  shard        archives, folders or shards of pictures into WebDataset shards with a record for each picture
  synthesize   draw captions with any text-to-image pipeline of diffusers into shards
  reconstruct  shards of real pictures through an autoencoder: fakes of the same content, codec and size
  inspect      contact sheet, histograms, and whether headers alone tell real and generated pictures apart

python -m datamodules VERB --help tells more."""


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code."""
    return dispatch(ABOUT, {"shard": shard, "synthesize": synthesize, "reconstruct": reconstruct, "inspect": inspect}, arguments)


def shard(arguments: list[str]) -> int:
    """Write shards; 0 only if every picture of the source is in them."""
    from tqdm import tqdm

    from datamodules.fake2m.annotations import Annotations
    from datamodules.fake2m.catalogue import LABELS, groups
    from datamodules.fake2m.sharding import GENERATED, REAL, Limits, Origin, place_of, shard_pictures, slug
    from datamodules.fake2m.splits import Split
    from images.sources import read_source, read_text

    made = parser("python -m datamodules shard", "Pictures from archives, folders or shards into WebDataset shards, bytes unchanged.")
    made.add_argument(
        "source", type=str, nargs="?", default=None, help="folder or URL (hf://datasets/...); a set's own place on the Hub if not given"
    )
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the shards; a stopped run goes on in it")
    made.add_argument("--set", type=str | None, default=None, help=f"an archive of Fake2M or MPBench: {', '.join(groups())}")
    made.add_argument("--label", type=Literal["real", "generated"] | None, default=None, help="what the pictures are, without --set")
    made.add_argument("--name", type=str | None, default=None, help="name of the subset, without --set; the source's if not given")
    made.add_argument("--split", type=Split, default="train", help="which split they are for, without --set")
    made.add_argument("--generator", type=str | None, default=None, help="model that made them")
    made.add_argument("--family", type=str, default="unknown", help="latent_diffusion, pixel_diffusion, autoregressive, gan, ...")
    made.add_argument(
        "--captions", type=str | None, default=None, help="set of captions whose numbers are the file names, such as cc3m-val"
    )
    made.add_argument("--column", type=str | None, default=None, help="column of MPBench's table: ImageNet, CelebA-HQ or CC3M")
    made.add_argument("--metadata", type=str | None, default=None, help="file with a path and a label in each row")
    made.add_argument("--label_map", type=dict[str, int], default=LABELS, help="what its labels mean: 1 is generated, 0 real")
    made.add_argument("--calibration_share", type=float, default=0.02, help="share of a training set kept apart, named calibration-...")
    made.add_argument("--dev_share", type=float, default=0.01, help="the same for watching training, named dev-...")
    made.add_class_arguments(Limits, "limits")
    made.add_argument("--decode", type=bool, default=False, help="decode every picture as a check")
    settings = made.instantiate_classes(made.parse_args(arguments))
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

    annotations = Annotations(read_text(metadata), settings.label_map, metadata) if metadata else None
    name = settings.set or f"{plain.split}-{plain.subset}"
    keys = ("set", "label", "name", "split", "generator", "family", "captions", "column", "label_map", "decode")
    asked = {key: settings[key] for key in (*keys, "calibration_share", "dev_share")}
    asked |= {"source": source, "metadata": metadata, "limits": asdict(settings.limits)}
    claim(settings.output / f"{name}.run", "datamodules shard", asked)  # what is finished there would else be kept, whatever it was
    members = tqdm(read_source(source), unit=" files", disable=not sys.stderr.isatty())
    indices = shard_pictures(members, settings.output, origin_of, annotations, settings.limits, settings.decode)
    for stem, index in indices.items():
        print(f"{stem}: {index['samples']} pictures in {len(index['shards'])} shards; {index['counts']['codec']}")
    left_out = next(iter(indices.values()))["left_out"]
    for kind, count in left_out.items():
        print(f"{kind}: {count}", file=sys.stderr)
    counts = {stem: index["samples"] for stem, index in indices.items()}
    facts = {"settings": asked, "counts": counts, "left_out": left_out}
    write_manifest(settings.output / f"{name}.run", command="datamodules shard", finished=True, **facts)
    return 1 if set(left_out) & {"unreadable", "damaged", "in no known folder"} else 0


def synthesize(arguments: list[str]) -> int:
    """Generate images."""
    from datamodules.fake2m.making_command import SYNTHESIZE

    return SYNTHESIZE.run("datamodules synthesize", arguments)


def reconstruct(arguments: list[str]) -> int:
    """Make aligned fakes."""
    from datamodules.fake2m.making_command import RECONSTRUCT

    return RECONSTRUCT.run("datamodules reconstruct", arguments)


def inspect(arguments: list[str]) -> int:
    """Look at shards; 0 only if headers do not tell the classes apart."""
    from datamodules.fake2m.inspection import inspect_shards

    made = parser("python -m datamodules inspect", "What is in shards, and whether headers alone tell real and generated pictures apart.")
    made.add_argument("shards", type=str, nargs="+", help="patterns of shards that are here: 'SHARDS/train-*.tar'")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of inspection.html and inspection.json")
    made.add_function_arguments(inspect_shards, skip={"urls", "output", "scorer"})
    made.add_argument(
        "--clip", type=str | None, default=None, help="a CLIP's folder or Hub id: compute aesthetic scores (CLIP-IQA) with it"
    )
    settings = made.parse_args(arguments)
    del settings.config
    scorer, clip = None, settings.pop("clip")
    if clip is not None:
        from models.clip import ClipMetrics

        scorer = ClipMetrics(clip).quality
    gate = inspect_shards(settings.pop("shards"), **settings.as_dict(), scorer=scorer)
    print(gate.words(), file=sys.stdout if gate.passed else sys.stderr)
    print(f"page: {settings.output / 'inspection.html'}")
    return 0 if gate.passed else 1


if __name__ == "__main__":
    sys.exit(run(main))
