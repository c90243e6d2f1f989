"""``python -m eval VERB``: attacks and what they show."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.cli import dispatch, parser, run

ABOUT = """usage: python -m eval VERB ...

  personalize   protect people in several ways, attack them, measure, and write a report
  matrix        the same against every attack and purification, as one table
  purify        wash protections off a folder of pictures, by any of the attacks' methods
  retrieval     look edited copies of released pictures up in an index
  rag           ask a retrieval-augmented generator for sentinels' keys, and decide whether it has them
  rag-robustness  the same after a thief edited the collection, letters painted over or thrown away included
  metrics       every metric: what it says, which weights it needs and where they are from
  report        write the report of a finished study again
  study         let people judge pictures in a browser: HPBench's test, RID's studies of protection and imperceptibility
  answers       what they answered: CSV and figures, beside a detector's on the same pictures
  demo          protect, judge, find and mark pictures of your own in a browser

python -m eval VERB --help tells more."""

PAGES = frozenset({"starlette", "uvicorn", "multipart", "python_multipart", "gradio"})
"""What requirements-pages.txt brings."""


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code."""
    verbs = {
        "personalize": personalize,
        "matrix": matrix,
        "purify": purify,
        "retrieval": retrieval,
        "rag": rag,
        "rag-robustness": rag_robustness,
        "metrics": metrics,
        "report": report,
        "study": study,
        "answers": answers,
        "demo": demo,
    }
    return dispatch(ABOUT, verbs, arguments)


def personalize(arguments: list[str]) -> int:
    """Run the protection study."""
    from eval.studies.protection_command import PERSONALIZE

    return PERSONALIZE.run("eval personalize", arguments)


def matrix(arguments: list[str]) -> int:
    """Cross arms, attacks and purifications."""
    from eval.studies.protection_command import MATRIX

    return MATRIX.run("eval matrix", arguments)


def purify(arguments: list[str]) -> int:
    """Wash protections off images."""
    from eval.studies.purify_command import VERB

    return VERB.run("eval purify", arguments)


def retrieval(arguments: list[str]) -> int:
    """The copy-detection study."""
    from eval.reports.retrieval import text
    from eval.studies.retrieval import run_retrieval

    made = retrieval_parser()
    settings = made.instantiate_classes(made.parse_args(arguments))
    del settings.config
    values = settings.as_dict()
    values["extractor"] = replace(settings.extractor, trust_torchscript=values.pop("trust_torchscript"))
    print(text(run_retrieval(**values)))
    print(f"report: {settings.output / 'report.html'}")
    return 0


def retrieval_parser() -> Any:
    """What ``retrieval`` asks for."""
    from eval.studies.retrieval import run_retrieval
    from models.embedder_config import EmbedderConfig

    made = parser("python -m eval retrieval", "Look edited copies of released pictures up in an index; tables, plots and a page.")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    made.add_function_arguments(run_retrieval, skip={"output", "extractor"})
    made.add_class_arguments(EmbedderConfig, "extractor", skip={"trust_torchscript"})
    made.add_argument("--trust-torchscript", action="store_true", help="run the program that a TorchScript file is")
    return made


def rag(arguments: list[str]) -> int:
    """The retrieval attack and its decision; 0 only if every key was asked in every arm."""
    from eval.reports.rag import write_rag_report
    from eval.studies.rag import estimate, run_rag, summary
    from sentinels.decide import DecideConfig, decide, in_words
    from sentinels.record import Record

    made = parser("python -m eval rag", "Ask for every key, with the sentinels in the database and without; decide; write a page.")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the results; a stopped run goes on")
    made.add_argument("--estimate", action="store_true", help="only say what a service would be asked, and stop")
    made.add_class_arguments(DecideConfig, "decide")
    made.add_function_arguments(run_rag, skip={"output"})
    settings = made.instantiate_classes(made.parse_args(arguments))
    config, only_estimate = settings.pop("decide"), settings.pop("estimate")
    del settings.config
    if settings.service is not None:
        keys = len(Record.open(settings.record).sentinels)
        print(estimate(keys, len(settings.arms), settings.flow, settings.generator, settings.judge, settings.service))
    if only_estimate:
        return 0
    done = run_rag(**settings.as_dict())
    for arm, trials in done.arms.items():
        print(f"{arm}: " + ", ".join(f"{value} {key}" for key, value in summary(trials).items()))
    arms: dict[str, Path] = {arm: trials.folder for arm, trials in done.arms.items()}
    if "protected" in arms:
        found = decide(settings.record, arms["protected"], settings.output / "decision", config, arms.get("control"))
        print(in_words(found))
        print(f"report: {write_rag_report(settings.output, settings.record, found, arms)}")
    return 1 if done.failed else 0


def rag_robustness(arguments: list[str]) -> int:
    """The retrieval attack after edits; 0 only if every key that was left was asked."""
    from eval.studies.rag_robustness import run_robustness

    made = parser("python -m eval rag-robustness", "Edit the collection as a thief may, ask for the keys, decide: robustness.csv.")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the results; a stopped run goes on")
    made.add_function_arguments(run_robustness, skip={"output"})
    settings = made.instantiate_classes(made.parse_args(arguments))
    del settings.config
    rows = run_robustness(**settings.as_dict())
    for row in rows:
        print(", ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))
    return 1 if any(row.get("failed") for row in rows) else 0


def metrics(arguments: list[str]) -> int:
    """The catalogue of metrics."""
    from eval.metrics.catalogue import text

    parser("python -m eval metrics", "Every metric: what it says, which way a defender wants it, its weights.").parse_args(arguments)
    print(text())
    return 0


def report(arguments: list[str]) -> int:
    """Write ``report.html`` again from a study's folder."""
    from eval.reports.personalization import write_report

    made = parser("python -m eval report", "Write the report of a finished study again.")
    made.add_argument("output", type=Path, help="the study's folder")
    made.add_argument("--pictures", type=int, default=4, help="pictures shown for each person and arm")
    settings = made.parse_args(arguments)
    print(write_report(settings.output, settings.pictures).text())
    return 0


def study(arguments: list[str]) -> int:
    """Serve a human test."""
    serve = needs_pages("eval.human.server").serve
    made = parser("python -m eval study", "Let people judge pictures in a browser. Started again with the same folder, it goes on.")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the answers and of the pictures as they are served")
    made.add_function_arguments(serve, skip={"output"})
    settings = made.instantiate_classes(made.parse_args(arguments))
    del settings.config
    serve(**{name: getattr(settings, name) for name in ("design", "pictures", "output", "seed", "host", "port", "per_address")})
    return 0


def answers(arguments: list[str]) -> int:
    """Analyse a human test."""
    from eval.human.answers import analyse, in_words

    made = parser("python -m eval answers", "What people answered: answers.csv, summary.json, human_scores.csv in the study's folder.")
    made.add_argument("output", type=Path, help="the study's folder")
    made.add_argument("--detector", type=str, help="folder or Hub id of a detector that is asked about the same pictures")
    settings = made.parse_args(arguments)
    print(in_words(analyse(settings.output, settings.detector)))
    return 0


def demo(arguments: list[str]) -> int:
    """Serve the demo."""
    serve = needs_pages("eval.demo.app").demo
    made = parser("python -m eval demo", "Protect, judge, find and mark pictures of your own in a browser, on this machine.")
    made.add_function_arguments(serve)
    settings = made.parse_args(arguments)
    del settings.config
    serve(**settings.as_dict())
    return 0


def needs_pages(module: str) -> Any:
    """A module that needs the optional libraries of the pages.

    Raises:
        ValueError: If they are not installed; says how to install them.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in PAGES:
            raise
        msg = f"{error.name} is not installed; run make install-pages first"
        raise ValueError(msg) from error


if __name__ == "__main__":
    sys.exit(run(main))
