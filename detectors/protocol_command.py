"""Verb ``python -m detectors protocol``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detectors.protocol_options import ProtocolOptions
from detectors.scoring_command import report_answers
from engine.cli import Output, Parser, Verb, add_job_arguments, dataclass_from, job_options


def options(parser: Parser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "recipe",
        type=str,
        help="config of detectors fit (.yaml), trained on each split; or a detector's folder or "
        "Hub id, whose weights are tested as they are",
    )
    parser.add_class_arguments(ProtocolOptions, as_group=False)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; the same command continues a stopped run",
    )
    add_job_arguments(parser, batch_size=64, workers=4)


def act(settings: Any, output: Output) -> int:
    """Run the verb; return 0 only if every image could be read."""
    from detectors.protocol import run_protocol

    config = dataclass_from(settings, ProtocolOptions)
    outcome = run_protocol(settings.recipe, config, settings.output, job_options(settings))
    if outcome is None:
        return 0
    for row in outcome.rows:
        relation = f" ({row['relation']})" if row["relation"] else ""
        auc = "-" if row["auc"] is None else f"{row['auc']:.3f}"
        text = f"{row['split']} | {row['generator']}{relation}: AUC {auc}"
        output.row("rows", text, **row)
    output.result(f"page: {outcome.page}", page=outcome.page)
    codes = []
    for answers in outcome.answers:
        codes.append(report_answers(answers, f"generators scored in {settings.output}", output))
    return max(codes)


VERB = Verb(
    "Train a recipe, or take given weights, and test it by release date, without each generator, "
    "or by family: protocol.csv and a page.",
    "detectors protocol configs/detectors/npr.yaml --train '[SHARDS/train-*.tar]' "
    "--test '[SHARDS/test-*.tar]' -o OUT/",
    options,
    act,
)
