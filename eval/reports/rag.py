"""Page of a retrieval attack: the decision, and what the system gave for each key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.manifest import read_manifest
from engine.pages.data_urls import image_url
from engine.pages.shell import MISSING, number, write_page
from images.io import open_photo
from sentinels.record import Record
from sentinels.trials import Trials, triggered

SIDE = 128


def write_rag_report(
    output: Path, record: Path, decision: dict[str, Any], answers: dict[str, Path], rows: int = 12
) -> Path:
    """Write ``report.html`` into a folder.

    Args:
        output: The folder.
        record: The record of the sentinels.
        decision: What :func:`sentinels.decide.decide` found.
        answers: Folders of answers, by the arm's name.
        rows: Keys that are shown.
    """
    planted, arms = (
        Record.open(record),
        {arm: Trials.open(folder) for arm, folder in answers.items()},
    )
    shown = []
    for name, sentinel in list(planted.sentinels.items())[:rows]:
        source, path = planted.locate(sentinel.original), planted.locate(sentinel.generated)
        images = [("source", _thumbnail(source), ""), ("sentinel", _thumbnail(path), "")]
        for arm, trials in arms.items():
            outputs = list(trials.outputs(name)) if name in trials.entries else []
            said = (
                "asked its database"
                if outputs and triggered(outputs[0][0])
                else "did not look"
                if outputs
                else "not asked"
            )
            images.append((arm, _thumbnail(outputs[0][1] if outputs else None), said))
        shown.append({"name": name, "key": sentinel.key, "images": images})
    write_page(
        output / "report.html",
        "eval/rag.html",
        head=SYSTEMS,
        systems=[
            _system(name, decision[name]) for name in ("system", "control") if name in decision
        ],
        against=decision.get("against_control"),
        rows=shown,
        arms=list(arms),
        total=len(planted.sentinels),
        record=read_manifest(output) or decision,
    )
    return output / "report.html"


SYSTEMS = [
    "system", "verdict", "p", "own sentinel", "others", "looked into its database", "Hit@1", "decided after",
]  # fmt: skip


def _system(name: str, facts: dict[str, Any]) -> list[str]:
    """The line of a system that was asked."""
    after = facts["sequential"]["stop_after_keys"]
    return [
        name,
        "used" if facts["used"] else "no evidence",
        f"{facts['permutation']['p']:.2g}",
        number(facts["similarity"]["mean"]),
        number(facts["similarity"]["mismatched"]),
        f"{100 * facts['triggered']['share']:.0f} %",
        f"{100 * facts['hits']['hit@1']['share']:.0f} %",
        f"{after} keys" if after else MISSING,
    ]


def _thumbnail(path: Path | None) -> str:
    return "" if path is None else image_url(open_photo(path).rgb, SIDE)
