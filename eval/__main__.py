"""``python -m eval VERB``: attacks, studies and reports."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Room, Training, Verb, run
from eval.compare import command as compare_command
from eval.studies import (
    leaderboard_command,
    protection_command,
    purify_command,
    redteam_command,
    remover_command,
    retrieval_command,
)


def rag_options(parser: Parser) -> None:
    """Add the options of ``rag``."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; a stopped run goes on",
    )
    parser.add_argument(
        "--estimate", action="store_true", help="only estimate the requests to a service, and stop"
    )
    parser.add_call("sentinels.decide_config:DecideConfig", "decide")
    parser.add_call("eval.studies.rag:run_rag", skip={"output"})


def rag(settings: Any, output: Output) -> int:
    """Run the retrieval attack, and decide; return 0 if complete."""
    import numpy as np

    from eval.reports.rag import write_rag_report
    from eval.studies.rag import DECOYS, estimate, run_rag, summary
    from sentinels.decide import MATRIX, check_decision, decide
    from sentinels.decision_text import in_words, not_compared
    from sentinels.record import Record

    config = settings.pop("decide")
    only_estimate = settings.pop("estimate")

    # Estimate the requests.
    if settings.service is not None:
        keys = len(Record.open(settings.record).sentinels)
        words = estimate(
            keys,
            len(settings.arms),
            settings.flow,
            settings.generator,
            settings.judge,
            settings.service,
        )
        output.result(words, estimate=words)
    if only_estimate:
        return 0

    # Run the attack.
    if "protected" in settings.arms:
        check_decision(settings.record, config, with_control="control" in settings.arms)
    run = run_rag(**settings.as_dict())
    for arm, trials in run.arms.items():
        counts = summary(trials)
        words = ", ".join(f"{value} {key}" for key, value in counts.items())
        output.row("arms", f"{arm}: {words}", arm=arm, **counts)

    # Decide, and write the report.
    missing: list[str] = []
    arms: dict[str, Path] = {arm: trials.folder for arm, trials in run.arms.items()}
    if "protected" in arms:
        decoys = settings.output / DECOYS / "record.json"
        decision = decide(
            settings.record,
            arms["protected"],
            settings.output / "decision",
            config,
            control=arms.get("control"),
            sources=settings.database.originals,
            decoy=(arms["decoy"], decoys) if "decoy" in arms else None,
        )
        output.result(in_words(decision), decision=decision)
        missing = not_compared(decision)
        for error in missing:
            output.error(error)
        matrix = np.load(settings.output / "decision" / MATRIX, allow_pickle=False)
        page = write_rag_report(settings.output, settings.record, decision, arms, matrix)
        output.result(f"report: {page}", report=page)
    return 1 if run.failed or missing else 0


def rag_robustness_options(parser: Parser) -> None:
    """Add the options of ``rag-robustness``."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; a stopped run goes on",
    )
    parser.add_call("eval.studies.rag_robustness:run_robustness", skip={"output"})


def rag_robustness(settings: Any, output: Output) -> int:
    """Run the retrieval attack after edits; return 0 if complete."""
    from eval.studies.rag_robustness import run_robustness

    rows = run_robustness(**settings.as_dict())
    for row in rows:
        words = []
        for key, value in row.items():
            words.append(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}")
        output.row("rows", ", ".join(words), **row)
    return 1 if any(row.get("failed") for row in rows) else 0


def metrics(settings: Any, output: Output) -> int:
    """List the metrics."""
    from eval.metrics.catalog import CATALOG, text

    output.result(text(), metrics=[asdict(metric) for metric in CATALOG])
    return 0


def report_options(parser: Parser) -> None:
    """Add the options of ``report``."""
    parser.add_argument("output", type=Path, help="the study's folder")
    parser.add_argument("--pictures", type=int, default=4, help="images for each person and arm")


def report(settings: Any, output: Output) -> int:
    """Rewrite ``report.html`` from a study's folder."""
    from eval.reports.personalization import write_report

    table = write_report(settings.output, settings.pictures)
    output.result(table.text(), table=table, report=settings.output / "report.html")
    return 0


def study_options(parser: Parser) -> None:
    """Add the options of ``study``."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the answers and of the served images",
    )
    parser.add_call("eval.human.server:serve", skip={"output"})


def study(settings: Any, output: Output) -> int:
    """Serve a human test."""
    from eval.human.server import serve

    names = ("design", "pictures", "output", "seed", "host", "port", "per_address")
    serve(**{name: getattr(settings, name) for name in names})
    return 0


def answers_options(parser: Parser) -> None:
    """Add the options of ``answers``."""
    parser.add_argument("output", type=Path, help="the study's folder")
    parser.add_argument(
        "--detector",
        type=str,
        help="folder or Hub id of a detector to evaluate on the same images",
    )


def answers(settings: Any, output: Output) -> int:
    """Analyze a human test."""
    from eval.human.answers import analyse
    from eval.human.words import in_words

    record = analyse(settings.output, settings.detector)
    output.result(in_words(record), summary=record)
    return 0


def demo_options(parser: Parser) -> None:
    """Add the options of ``demo``."""
    parser.add_call("eval.demo.app:demo")


def demo(settings: Any, output: Output) -> int:
    """Serve the demo."""
    from eval.demo.app import demo as serve

    serve(**settings.as_dict())
    return 0


def serve_options(parser: Parser) -> None:
    """Add the options of ``serve``."""
    parser.add_call("eval.service.server:serve")


def serve(settings: Any, output: Output) -> int:
    """Serve protected photos, verdicts and matches over HTTP."""
    from eval.service.server import serve as run_server

    run_server(**settings.as_dict())
    return 0


VERBS: dict[str, Verb | Training] = {
    "personalize": protection_command.PERSONALIZE,
    "matrix": protection_command.MATRIX,
    "redteam": redteam_command.VERB,
    "leaderboard": leaderboard_command.VERB,
    "purify": purify_command.VERB,
    "remover": remover_command.VERB,
    "retrieval": retrieval_command.VERB,
    "rag": Verb(
        "Query a retrieval-augmented generator for every key, with and without the sentinels in "
        "its database; decide; write a report.",
        "eval rag -c configs/sentinels/tiny_rag.yaml -o OUT/",
        rag_options,
        rag,
    ),
    "rag-robustness": Verb(
        "Edit the collection as a thief may, query the keys, and decide; write robustness.csv.",
        "eval rag-robustness -c configs/sentinels/tiny_rag_robustness.yaml -o OUT/",
        rag_robustness_options,
        rag_robustness,
    ),
    "compare": compare_command.VERB,
    "metrics": Verb(
        "List all metrics with their meaning, the direction a defender wants, and their weights.",
        "eval metrics",
        lambda parser: None,
        metrics,
    ),
    "report": Verb(
        "Rewrite the report of a finished study.", "eval report OUT/", report_options, report
    ),
    "study": Verb(
        "Let people judge images in a browser; a restart with the same folder goes on.",
        "eval study -c configs/eval/human_hpbench.yaml -o OUT/",
        study_options,
        study,
    ),
    "answers": Verb(
        "Analyze the answers of a human test: answers.csv, summary.json, human_scores.csv in the "
        "study's folder.",
        "eval answers OUT/ --detector DETECTOR/",
        answers_options,
        answers,
    ),
    "demo": Verb(
        "Protect, detect, find and mark your own images in a browser, on this machine.",
        "eval demo --port 7860",
        demo_options,
        demo,
    ),
    "serve": Verb(
        "Serve protected photos, verdicts and matches over HTTP, with keys and limits.",
        "eval serve --protector RID/ --detector DETECTOR/ --index INDEX/",
        serve_options,
        serve,
    ),
}

ROOM = Room("eval", "Attacks, metrics, studies and reports that evaluate the defenses.", VERBS)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))
