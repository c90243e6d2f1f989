"""Command ``python -m eval redteam``: options and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Verb, add_job_arguments, job_options
from eval.studies.protection_command import without_job

OWN = ("protected", "clean", "output", "options")


def options(parser: Parser) -> None:
    """Add the options of ``redteam``."""
    parser.add_argument(
        "protected", type=Path, help="protected photos: a sub-folder for each person, or one's"
    )
    parser.add_argument(
        "--clean", type=Path, required=True, help="the clean photos, under the same names"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; the same command goes on in it",
    )
    parser.add_call("eval.studies.redteam:run_redteam", skip=set(OWN))
    add_job_arguments(parser, batch_size=1, workers=1, per_batch="people at a time")


def act(settings: Any, output: Output) -> int:
    """Run the attacks; return 0 if all cells are finished."""
    from eval.reports.comparisons import span
    from eval.reports.redteam import leftover_names
    from eval.reports.verdicts import NAMES
    from eval.studies.redteam import run_redteam

    outcome = run_redteam(**without_job(settings), options=job_options(settings))
    if outcome is None:
        return 0
    for words, files in leftover_names(vars(outcome.leftovers)).items():
        output.tell(f"not used, {words}: {', '.join(files)}")
    for one in outcome.verdicts:
        difference = one.difference
        change = "no difference"
        if difference is not None:
            within = span(difference.interval, signed=True) or "no interval"
            change = f"{NAMES[one.metric]} {difference.mean:+.3f} ({within})"
        facts = {"difference": difference, "minutes": one.minutes, "verdict": one.verdict}
        words = f"{one.name}: {change}: {one.verdict}"
        output.row("cells", words, attack=one.attack, purification=one.purification, **facts)
    output.result(outcome.headline, headline=outcome.headline)
    names = ["/".join(cell) for cell in outcome.not_run]
    if names:
        output.warning(f"not run, to stay within the minutes given: {', '.join(names)}")
    output.result(f"page: {outcome.page}", page=outcome.page, not_run=names)
    return 1 if names else 0


VERB = Verb(
    "Attack photos that another program protected, beside the clean ones; one page says what the "
    "protection survives.",
    "eval redteam PROTECTED/ --clean CLEAN/ -c configs/eval/redteam_tiny.yaml -o OUT/",
    options,
    act,
)
