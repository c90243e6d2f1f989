"""Report of a retrieval attack: decision, and answers by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.files import private_files
from engine.manifest import read_manifest
from engine.pages.charts import IntervalChart, Mark
from engine.pages.data_urls import image_url
from engine.pages.shell import MISSING, in_brackets, number, p_value, write_page
from images.io import open_photo
from images.kinds import UnreadableImage
from sentinels.decision_text import verdict
from sentinels.record import Record, Sentinel
from sentinels.trials import Trials, triggered

THUMBNAIL_PIXELS = 128
"""Longest side of an image on the page."""

MATRIX_KEYS = 60
"""Most keys in the picture of similarities."""

SQUARE = 8
"""Side of a similarity in that picture, in pixels."""

Figure = tuple[str, str, str]
"""Name, URL and remark of an image."""

SYSTEMS = [
    "system",
    "verdict",
    "p",
    "least p",
    "keys",
    "to its own",
    "to others",
    "searched its database",
    "Hit@1",
    "decided after",
]
"""Columns of the table of systems."""


@private_files()  # it has the keys
def write_rag_report(
    output: Path,
    record: Path,
    decision: dict[str, Any],
    answers: dict[str, Path],
    matrix: NDArray[np.float32],
    rows: int = 12,
) -> Path:
    """Write ``report.html`` of a retrieval attack.

    Args:
        output: Folder of the report.
        record: File of the sentinels' record.
        decision: Result of :func:`sentinels.decide.decide`.
        answers: Folder of answers of each arm.
        matrix: Similarity of the system's outputs to the sources, (keys, keys).
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
        chart=_chart({name: decision[name]["similarity"] for name in systems}),
        matrix=_matrix_url(matrix),
        pairs=min(len(matrix), MATRIX_KEYS),
        compared_with=decision["system"]["compared_with"],
        against=decision.get("against_control"),
        brackets=in_brackets,
        rows=keys,
        arms=list(arms),
        total=len(planted.sentinels),
        record=read_manifest(output) or decision,
    )
    return report


def _headline(decision: dict[str, Any]) -> str:
    """State the verdict on the system in a sentence."""
    facts = decision["system"]
    p = f" (p = {p_value(facts['permutation']['p'])})" if facts["valid_test"] else ""
    return f"The system: {verdict(facts)}{p}."


def _chart(similarities: dict[str, dict[str, Any]]) -> IntervalChart:
    """Chart each system's similarity to its own sources, beside that to others."""
    marks = []
    for name, facts in similarities.items():
        marks.append(Mark(name, "to its own source", facts["mean"], facts.get("interval")))
        marks.append(Mark(name, "to other sources", facts["mismatched"]))
    title = "Mean similarity of the outputs to sources, with 95 % intervals over keys"
    return IntervalChart(title, marks, 0, 1)


def _matrix_url(matrix: NDArray[np.float32]) -> str:
    """Draw the similarities of the first keys: the brighter, the more similar."""
    levels = np.clip(matrix[:MATRIX_KEYS, :MATRIX_KEYS], 0, 1) * 255
    squares = np.kron(levels.round().astype(np.uint8), np.ones((SQUARE, SQUARE), np.uint8))
    return image_url(np.stack([squares] * 3, axis=-1))


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
    remark = "searched" if triggered(trial) else "did not search"
    thumbnail = _thumbnail(image)
    return (arm, thumbnail, remark if thumbnail else f"{remark}; no readable image")


def _system_row(name: str, facts: dict[str, Any]) -> list[str]:
    """Format the row of a system."""
    stop = facts["sequential"]["stop_after_keys"]
    least = facts.get("reach", {}).get("least_p")
    return [
        name,
        verdict(facts),
        p_value(facts["permutation"]["p"]) if facts["valid_test"] else MISSING,
        MISSING if least is None or not facts["valid_test"] else p_value(least),
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
    """Encode an image as a URL; empty without an image, or if it is unreadable."""
    if path is None:
        return ""
    try:
        return image_url(open_photo(path).rgb, THUMBNAIL_PIXELS)
    except UnreadableImage:
        return ""
