"""Commands ``python -m eval personalize`` and ``matrix``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Verb, add_job_arguments, job_options
from eval.studies.renamed import MATRIX_RENAMED, PROTECTION_MOVED

JOB = ("accelerator", "devices", "num_nodes", "precision", "batch_size", "workers")
"""Options of :func:`engine.cli.add_job_arguments`."""


def options_of_study(parser: Parser) -> None:
    """Add the options of ``personalize``."""
    _add_output(parser)
    parser.add_call("eval.studies.protection:run_study", skip={"output", "protected", "options"})
    add_job_arguments(parser, batch_size=1, workers=1, per_batch="people at a time")


def options_of_matrix(parser: Parser) -> None:
    """Add the options of ``matrix``."""
    _add_output(parser)
    parser.add_call("eval.studies.matrix:run_matrix", skip={"output", "options"})
    add_job_arguments(parser, batch_size=1, workers=1, per_batch="people at a time")


def _add_output(parser: Parser) -> None:
    """Add the option of the results' folder."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; the same command goes on in it",
    )


def personalize(settings: Any, output: Output) -> int:
    """Run the protection study."""
    from eval.reports.comparisons import count
    from eval.studies.protection import run_study

    outcome = run_study(**without_job(settings), options=job_options(settings))
    if outcome is not None:
        output.result(outcome.table.text(), table=outcome.table)
        people = count(outcome.table.people).partition(" ")[2]
        output.report(outcome.job, f"{people} in {settings.output}")
        report = settings.output / "report.html"
        output.result(f"report: {report}", report=report)
    return 0


def matrix(settings: Any, output: Output) -> int:
    """Run all combinations of arms, attacks and purifications."""
    from eval.studies.matrix import run_matrix

    table = run_matrix(**without_job(settings), options=job_options(settings))
    if table is not None:
        output.result(table)
        report = settings.output / "report.html"
        output.result(f"report: {report}", report=report)
    return 0


def without_job(settings: Any) -> dict[str, Any]:
    """Select the settings of the study, without those of the job."""
    return {name: value for name, value in settings.as_dict().items() if name not in JOB}


PERSONALIZE = Verb(
    "Protect people in several ways, attack them, measure, and write a report.",
    "eval personalize -c configs/eval/tiny_four_arms.yaml -o OUT/",
    options_of_study,
    personalize,
    moved=PROTECTION_MOVED,
)

MATRIX = Verb(
    "Protect people in several ways and attack them in every way; one table, one page.",
    "eval matrix -c configs/eval/tiny_matrix.yaml -o OUT/",
    options_of_matrix,
    matrix,
    renamed=MATRIX_RENAMED,
    moved=PROTECTION_MOVED,
)
