"""Command ``python -m eval retrieval``: options and output."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Verb, add_job_arguments, job_options
from eval.studies.renamed import RETRIEVAL_RENAMED
from indexing.options import extractor_of, extractor_options

SETTINGS = (
    "index",
    "originals",
    "output",
    "arms",
    "distractor_queries",
    "suite",
    "pdq",
    "k",
    "parameters",
    "beta",
    "seed",
    "resamples",
)
"""Options that are arguments of the study."""


def options(parser: Parser) -> None:
    """Add the options of ``retrieval``."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_call("eval.studies.retrieval:run_retrieval", skip={"output", "extractor", "options"})
    add_job_arguments(
        parser, batch_size=16, per_batch="images processed together, each with all edits"
    )
    extractor_options(parser)


def act(settings: Any, output: Output) -> int:
    """Run the copy-detection study; return 0 only if complete."""
    from eval.reports.retrieval import text
    from eval.studies.retrieval import run_retrieval
    from indexing.target_indices import recorded_extractor

    outcome = run_retrieval(
        **{name: settings[name] for name in SETTINGS},
        extractor=extractor_of(settings, partial(recorded_extractor, settings.index)),
        options=job_options(settings),
    )
    if outcome is None:
        return 0
    summary, report = outcome
    output.result(text(summary), results=summary)
    code = output.report(report, f"images looked up in {settings.output}")
    page = settings.output / "report.html"
    output.result(f"report: {page}", report=page)
    return code


VERB = Verb(
    "Look up edited copies of released images in an index; write tables, plots and a report.",
    "eval retrieval -c configs/indexing/tiny_retrieval.yaml -o OUT/",
    options,
    act,
    renamed=RETRIEVAL_RENAMED,
)
