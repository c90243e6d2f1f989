"""Options and report of every verb that scores shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli import Output, Parser, add_job_arguments

if TYPE_CHECKING:
    from detectors.scoring import Answers

DETECTOR = "the detector's folder or Hub id"


def scoring_options(parser: Parser) -> None:
    """Add the options of the shards and of the job."""
    parser.add_argument(
        "--data", type=list[str], required=True, help="patterns of shards: '[SHARDS/val-*.tar]'"
    )
    add_job_arguments(parser, batch_size=64, workers=4)


def report_answers(answers: Answers, done: str, output: Output) -> int:
    """Print the job's report and the unreadable images.

    Args:
        answers: Answers of a scoring job.
        done: Words after the number of finished inputs.
        output: Where to print.

    Returns:
        The exit code: 0 only if every image could be read.
    """
    code = output.report(answers.report, done)
    for error in answers.unread:
        output.error(f"not read: {error}")
    return 1 if answers.unread else code
