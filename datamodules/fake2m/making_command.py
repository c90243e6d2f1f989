"""``python -m datamodules synthesize | reconstruct``: options, and what people are told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodules.fake2m.making import ReconstructionConfig, SynthesisConfig
from engine.cli import Output, Parser, Verb, add_job_arguments, dataclass_from, job_options

if TYPE_CHECKING:
    from engine.job import Report


def options_to_synthesize(parser: Parser) -> None:
    """Add the verb's options."""
    parser.add_argument("captions", type=Path, help="text file, one caption a line")
    _add(parser, SynthesisConfig)


def options_to_reconstruct(parser: Parser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "shards", type=str, nargs="+", help="patterns of shards that are here: 'SHARDS/train-*.tar'"
    )
    _add(parser, ReconstructionConfig)


def _add(parser: Parser, config: type[Any]) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the shards; the same command goes on in it",
    )
    parser.add_class_arguments(config, as_group=False)
    add_job_arguments(parser, batch_size=None, workers=None)


def synthesize(settings: Any, output: Output) -> int:
    """Generate images; 0 only if there is one for every caption."""
    from datamodules.fake2m.synthesize import read_captions
    from datamodules.fake2m.synthesize import synthesize as make

    captions = read_captions(settings.captions)
    return _tell(
        make(
            captions,
            settings.output,
            dataclass_from(settings, SynthesisConfig),
            job_options(settings),
        ),
        output,
    )


def reconstruct(settings: Any, output: Output) -> int:
    """Make aligned fakes; 0 only if every image has one."""
    from datamodules.fake2m.reconstruct import reconstruct as make

    return _tell(
        make(
            settings.shards,
            settings.output,
            dataclass_from(settings, ReconstructionConfig),
            job_options(settings),
        ),
        output,
    )


def _tell(outcome: tuple[dict[str, Any], Report] | None, output: Output) -> int:
    if outcome is None:
        return 0
    index, report = outcome
    name = f"{index['origin']['split']}-{index['origin']['subset']}"
    code = output.report(report, f"shards of {name}")
    output.result(
        f"{name}: {index['samples']} images in {len(index['shards'])} shards",
        samples=index["samples"],
    )
    for kind, count in index["left_out"].items():
        output.error(f"{count} images left out: {kind}, such as {index['left_out_names'][kind][0]}")
        code = 1
    return code


SYNTHESIZE = Verb(
    "Draw captions with any text-to-image pipeline of diffusers into WebDataset shards.",
    "datamodules synthesize captions.txt --model PIPELINE --name NAME -o OUT/",
    options_to_synthesize,
    synthesize,
)

RECONSTRUCT = Verb(
    "Send shards of real images through an autoencoder, coded as the real ones were.",
    "datamodules reconstruct 'data/real-*.tar' --autoencoder PIPELINE --name NAME -o OUT/",
    options_to_reconstruct,
    reconstruct,
)
