"""Verbs ``python -m datamodules synthesize | reconstruct``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodules.fake2m.making import ReconstructionConfig, SynthesisConfig
from engine.cli import Output, Parser, Verb, add_job_arguments, dataclass_from, job_options

if TYPE_CHECKING:
    from engine.job import Report


def synthesize_options(parser: Parser) -> None:
    """Add the options of ``synthesize``."""
    parser.add_argument("captions", type=Path, help="text file, one caption a line")
    _add_common_options(parser, SynthesisConfig)


def reconstruct_options(parser: Parser) -> None:
    """Add the options of ``reconstruct``."""
    parser.add_argument(
        "shards", type=str, nargs="+", help="patterns of local shards: 'SHARDS/train-*.tar'"
    )
    _add_common_options(parser, ReconstructionConfig)


def _add_common_options(parser: Parser, config: type[Any]) -> None:
    """Add the output folder, a config's fields, and the job options."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the shards; the same command continues a stopped run",
    )
    parser.add_class_arguments(config, as_group=False)
    add_job_arguments(parser, batch_size=None, workers=None)


def synthesize(settings: Any, output: Output) -> int:
    """Run ``synthesize``; return 0 only if every caption has an image."""
    from datamodules.fake2m.synthesize import read_captions
    from datamodules.fake2m.synthesize import synthesize as make

    captions = read_captions(settings.captions)
    config = dataclass_from(settings, SynthesisConfig)
    return _report(make(captions, settings.output, config, job_options(settings)), output)


def reconstruct(settings: Any, output: Output) -> int:
    """Run ``reconstruct``; return 0 only if every image has a reconstruction."""
    from datamodules.fake2m.reconstruct import reconstruct as make

    config = dataclass_from(settings, ReconstructionConfig)
    return _report(make(settings.shards, settings.output, config, job_options(settings)), output)


def _report(outcome: tuple[dict[str, Any], Report] | None, output: Output) -> int:
    """Print the outcome of a shard job.

    Returns:
        The exit code: 0 only if no image is missing.
    """
    if outcome is None:
        return 0
    index, report = outcome
    name = f"{index['origin']['split']}-{index['origin']['subset']}"
    code = output.report(report, f"shards of {name}")
    output.result(
        f"{name}: {index['samples']} images in {len(index['shards'])} shards",
        samples=index["samples"],
    )
    for reason, count in index["left_out"].items():
        example = index["left_out_names"][reason][0]
        output.error(f"{count} images left out: {reason}, such as {example}")
        code = 1
    return code


SYNTHESIZE = Verb(
    "Generate images from captions with any text-to-image pipeline of diffusers, into shards.",
    "datamodules synthesize captions.txt --model PIPELINE --name NAME -o OUT/",
    synthesize_options,
    synthesize,
)

RECONSTRUCT = Verb(
    "Pass shards of real images through an autoencoder, coded like the real ones.",
    "datamodules reconstruct 'data/real-*.tar' --autoencoder PIPELINE --name NAME -o OUT/",
    reconstruct_options,
    reconstruct,
)
