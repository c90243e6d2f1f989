"""``python -m eval VERB``: attacks and what they show."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine.cli import Output, Parser, Room, Training, Verb, add_job_arguments, job_options, run
from eval.studies import protection_command, purify_command


def retrieval_options(parser: Parser) -> None:
    """What ``retrieval`` asks for."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_call("eval.studies.retrieval:run_retrieval", skip={"output", "extractor", "options"})
    add_job_arguments(parser, batch_size=16, per_batch="images taken together, each with all edits")
    parser.add_call(
        "models.embedder_config:EmbedderConfig", "extractor", skip={"trust_torchscript"}
    )
    parser.add_argument(
        "--trust-torchscript",
        action="store_true",
        help="run the program that a TorchScript file is",
    )


def retrieval(settings: Any, output: Output) -> int:
    """The copy-detection study; 0 only if every image could be looked up."""
    from eval.reports.retrieval import text
    from eval.studies.retrieval import run_retrieval

    names = (
        "index",
        "originals",
        "output",
        "arms",
        "strangers",
        "suite",
        "k",
        "parameters",
        "beta",
        "seed",
        "resamples",
    )
    extractor = replace(settings.extractor, trust_torchscript=settings.trust_torchscript)
    outcome = run_retrieval(
        **{name: settings[name] for name in names},
        extractor=extractor,
        options=job_options(settings),
    )
    if outcome is None:
        return 0
    found, report = outcome
    output.result(text(found), results=found)
    code = output.report(report, f"images looked up in {settings.output}")
    tell_report(settings.output, output)
    return code


def rag_options(parser: Parser) -> None:
    """What ``rag`` asks for."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; a stopped run goes on",
    )
    parser.add_argument(
        "--estimate", action="store_true", help="only say what a service would be asked, and stop"
    )
    parser.add_call("sentinels.decide:DecideConfig", "decide")
    parser.add_call("eval.studies.rag:run_rag", skip={"output"})


def rag(settings: Any, output: Output) -> int:
    """The retrieval attack and its decision; 0 only if every key was asked in every arm."""
    from eval.reports.rag import write_rag_report
    from eval.studies.rag import estimate, run_rag, summary
    from sentinels.decide import decide, in_words
    from sentinels.record import Record

    config, only_estimate = settings.pop("decide"), settings.pop("estimate")
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
    done = run_rag(**settings.as_dict())
    for arm, trials in done.arms.items():
        counts = summary(trials)
        output.row(
            "arms",
            f"{arm}: " + ", ".join(f"{value} {key}" for key, value in counts.items()),
            arm=arm,
            **counts,
        )
    arms: dict[str, Path] = {arm: trials.folder for arm, trials in done.arms.items()}
    if "protected" in arms:
        found = decide(
            settings.record,
            arms["protected"],
            settings.output / "decision",
            config,
            arms.get("control"),
        )
        output.result(in_words(found), decision=found)
        page = write_rag_report(settings.output, settings.record, found, arms)
        output.result(f"report: {page}", report=page)
    return 1 if done.failed else 0


def rag_robustness_options(parser: Parser) -> None:
    """What ``rag-robustness`` asks for."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the results; a stopped run goes on",
    )
    parser.add_call("eval.studies.rag_robustness:run_robustness", skip={"output"})


def rag_robustness(settings: Any, output: Output) -> int:
    """The retrieval attack after edits; 0 only if every key that was left was asked."""
    from eval.studies.rag_robustness import run_robustness

    rows = run_robustness(**settings.as_dict())
    for row in rows:
        words = (
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in row.items()
        )
        output.row("rows", ", ".join(words), **row)
    return 1 if any(row.get("failed") for row in rows) else 0


def metrics(settings: Any, output: Output) -> int:
    """The catalogue of metrics."""
    from eval.metrics.catalogue import CATALOGUE, text

    output.result(text(), metrics=[asdict(metric) for metric in CATALOGUE])
    return 0


def report_options(parser: Parser) -> None:
    """What ``report`` asks for."""
    parser.add_argument("output", type=Path, help="the study's folder")
    parser.add_argument(
        "--pictures", type=int, default=4, help="images shown for each person and arm"
    )


def report(settings: Any, output: Output) -> int:
    """Write ``report.html`` again from a study's folder."""
    from eval.reports.personalization import write_report

    table = write_report(settings.output, settings.pictures)
    output.result(table.text(), table=table, report=settings.output / "report.html")
    return 0


def study_options(parser: Parser) -> None:
    """What ``study`` asks for."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of the answers and of the images as they are served",
    )
    parser.add_call("eval.human.server:serve", skip={"output"})


def study(settings: Any, output: Output) -> int:
    """Serve a human test."""
    from eval.human.server import serve

    serve(
        **{
            name: getattr(settings, name)
            for name in ("design", "pictures", "output", "seed", "host", "port", "per_address")
        }
    )
    return 0


def answers_options(parser: Parser) -> None:
    """What ``answers`` asks for."""
    parser.add_argument("output", type=Path, help="the study's folder")
    parser.add_argument(
        "--detector",
        type=str,
        help="folder or Hub id of a detector that is asked about the same images",
    )


def answers(settings: Any, output: Output) -> int:
    """Analyse a human test."""
    from eval.human.answers import analyse, in_words

    record = analyse(settings.output, settings.detector)
    output.result(in_words(record), summary=record)
    return 0


def demo_options(parser: Parser) -> None:
    """What ``demo`` asks for."""
    parser.add_call("eval.demo.app:demo")


def demo(settings: Any, output: Output) -> int:
    """Serve the demo."""
    from eval.demo.app import demo as serve

    serve(**settings.as_dict())
    return 0


def tell_report(folder: Path, output: Output) -> None:
    """Say where the page of a study is."""
    output.result(f"report: {folder / 'report.html'}", report=folder / "report.html")


VERBS: dict[str, Verb | Training] = {
    "personalize": protection_command.PERSONALIZE,
    "matrix": protection_command.MATRIX,
    "purify": purify_command.VERB,
    "retrieval": Verb(
        "Look edited copies of released images up in an index; tables, plots and a page.",
        "eval retrieval -c configs/indexing/tiny_retrieval.yaml -o OUT/",
        retrieval_options,
        retrieval,
    ),
    "rag": Verb(
        "Ask a retrieval-augmented generator for every key, with the sentinels in its database and without; decide; write a page.",
        "eval rag -c configs/sentinels/tiny_rag.yaml -o OUT/",
        rag_options,
        rag,
    ),
    "rag-robustness": Verb(
        "Edit the collection as a thief may, ask for the keys, decide: robustness.csv.",
        "eval rag-robustness -c configs/sentinels/tiny_rag_robustness.yaml -o OUT/",
        rag_robustness_options,
        rag_robustness,
    ),
    "metrics": Verb(
        "List every metric: what it says, which way a defender wants it, its weights.",
        "eval metrics",
        lambda parser: None,
        metrics,
    ),
    "report": Verb(
        "Write the report of a finished study again.", "eval report OUT/", report_options, report
    ),
    "study": Verb(
        "Let people judge images in a browser. Started again with the same folder, it goes on.",
        "eval study -c configs/eval/human_hpbench.yaml -o OUT/",
        study_options,
        study,
    ),
    "answers": Verb(
        "Analyse what people answered: answers.csv, summary.json, human_scores.csv in the study's folder.",
        "eval answers OUT/ --detector DETECTOR/",
        answers_options,
        answers,
    ),
    "demo": Verb(
        "Protect, judge, find and mark images of your own in a browser, on this machine.",
        "eval demo --port 7860",
        demo_options,
        demo,
    ),
}

ROOM = Room("eval", "Attacks, metrics and reports that show what a protection is worth.", VERBS)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))
