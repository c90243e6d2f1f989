"""Report of a retrieval attack: decision, and answers by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.manifest import read_manifest
from engine.pages.data_urls import image_url
from engine.pages.shell import MISSING, in_brackets, number, write_page
from images.io import open_photo
from sentinels.decision_text import verdict
from sentinels.record import Record, Sentinel
from sentinels.trials import Trials, triggered

THUMBNAIL_PIXELS = 128
"""Longest side of an image on the page."""

Figure = tuple[str, str, str]
"""Name, URL and remark of an image."""

SYSTEMS = [
    "system",
    "verdict",
    "p",
    "keys",
    "to its own",
    "to others",
    "looked into its database",
    "Hit@1",
    "decided after",
]
"""Columns of the table of systems."""


def write_rag_report(
    output: Path, record: Path, decision: dict[str, Any], answers: dict[str, Path], rows: int = 12
) -> Path:
    """Write ``report.html`` of a retrieval attack.

    Args:
        output: Folder of the report.
        record: File of the sentinels' record.
        decision: Result of :func:`sentinels.decide.decide`.
        answers: Folder of answers of each arm.
        rows: Number of keys shown.

    Returns:
        The report.
    """
    planted = Record.open(record)
    arms = {arm: Trials.open(folder) for arm, folder in answers.items()}
    keys = []
    for name, sentinel in list(planted.sentinels.items())[:rows]:
        images = _sentinel_figures(planted, sentinel)
        images += [_answer_figure(arm, trials, name) for arm, trials in arms.items()]
        keys.append({"name": name, "key": sentinel.key, "images": images})
    systems = [name for name in ("system", "control", "decoy") if name in decision]
    report = output / "report.html"
    write_page(
        report,
        "eval/rag.html",
        verdict=_headline(decision),
        head=SYSTEMS,
        systems=[_system_row(name, decision[name]) for name in systems],
        compared_with=decision["system"]["compared_with"],
        against=decision.get("against_control"),
        rows=keys,
        arms=list(arms),
        total=len(planted.sentinels),
        record=read_manifest(output) or decision,
    )
    return report


def _headline(decision: dict[str, Any]) -> str:
    """State the verdict on the system in a sentence."""
    facts = decision["system"]
    p = f" (p = {facts['permutation']['p']:.2g})" if facts["valid_test"] else ""
    return f"The system: {verdict(facts)}{p}."


def _sentinel_figures(planted: Record, sentinel: Sentinel) -> list[Figure]:
    """Show a sentinel and its source."""
    source = planted.locate(sentinel.original)
    path = planted.locate(sentinel.generated)
    return [("source", _thumbnail(source), ""), ("sentinel", _thumbnail(path), "")]


def _answer_figure(arm: str, trials: Trials, name: str) -> Figure:
    """Show the first answer of an arm for a sentinel."""
    outputs = list(trials.outputs(name)) if name in trials.entries else []
    if not outputs:
        return (arm, _thumbnail(None), "not asked")
    trial, image = outputs[0]
    return (arm, _thumbnail(image), "asked its database" if triggered(trial) else "did not look")


def _system_row(name: str, facts: dict[str, Any]) -> list[str]:
    """Format the row of a system."""
    stop = facts["sequential"]["stop_after_keys"]
    return [
        name,
        verdict(facts),
        f"{facts['permutation']['p']:.2g}" if facts["valid_test"] else MISSING,
        str(facts.get("keys", MISSING)),
        number(facts["similarity"]["mean"]) + in_brackets(facts["similarity"].get("interval")),
        number(facts["similarity"]["mismatched"]),
        f"{100 * facts['triggered']['share']:.0f} %"
        + in_brackets(facts["triggered"].get("interval"), ".0f", 100),
        f"{100 * facts['hits']['hit@1']['share']:.0f} %"
        + in_brackets(facts["hits"]["hit@1"].get("interval"), ".0f", 100),
        f"{stop} keys" if stop and facts["valid_test"] else MISSING,
    ]


def _thumbnail(path: Path | None) -> str:
    """Encode an image as a URL; empty without an image."""
    return "" if path is None else image_url(open_photo(path).rgb, THUMBNAIL_PIXELS)
