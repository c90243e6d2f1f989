"""The figures of a copy-detection study with their intervals, as a table, a plot and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.files import write_text
from engine.pages.data_urls import figure_url
from engine.pages.markdown import markdown_table
from engine.pages.shell import write_page
from engine.records import to_json
from eval.metrics.retrieval import micro_average_precision, pairs, precision_recall
from eval.reports.retrieval_figures import Answers, chained, padded_truth, summarise
from indexing.matches import scores
from models.search import Metric


def text(summary: Mapping[str, Any]) -> str:
    """Recall at 1 of every edit and arm as a table, Markdown, and what its figures are."""
    return markdown_table(*table(summary)) + "\n\n" + note(summary)


def note(summary: Mapping[str, Any]) -> str:
    """Numbers, units and comparisons of the table, in a few sentences."""
    return (
        f"Unit: an image, {summary['pictures']} of them. In brackets 95 % intervals: of a recall at 1 exact, "
        "of a difference over the images that only one arm found, of means by image. "
        f"p: McNemar's exact test after Holm over {summary['comparisons']} comparisons. "
        "One index and one network: other training runs may differ by more than these intervals."
    )


def table(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of recall at 1 of every edit and arm, their means, and what chains and strangers gave."""
    arms = list(summary["arms"].values())
    changes = list(summary["differences"].values())
    head = ["edit", *summary["arms"], *(f"{name} (95 %)" for name in summary["differences"])]
    rows = []
    for place, edit in enumerate(arms[0]["edits"]):
        name = f"{edit['attack']} {edit['attack_param']}".strip()
        values = [arm["edits"][place] for arm in arms]
        rows.append(_line(name, "recall_at_1", values, [c["edits"][place] for c in changes]))
    means = [arm["mean"] for arm in arms]
    rows.append(_line("mean", "recall_at_1", means, [change["mean"] for change in changes]))
    if all("detection" in arm for arm in arms):
        found = [
            {"mu_ap": arm["detection"]["mu_ap"], "mu_ap_interval": arm["detection"].get("interval")}
            for arm in arms
        ]
        name = "muAP, random chains and strangers"
        rows.append(_line(name, "mu_ap", found, [change["detection"] for change in changes]))
    return head, rows


def _line(
    name: str, figure: str, values: list[dict[str, Any]], gains: list[dict[str, Any]]
) -> list[str]:
    """Cells of one row: values of the arms, and their differences."""
    cells = [
        f"{value[figure]:.3f}" + _span(value.get(f"{figure}_interval"), ".3f") for value in values
    ]
    for gain in gains:
        p = f", p = {gain['p_holm']:.2g}" if "p_holm" in gain else ""
        cells.append(f"{gain[figure]:+.3f}" + _span(gain.get("interval"), "+.3f") + p)
    return [name, *cells]


def _span(interval: Sequence[float] | None, form: str) -> str:
    """An interval in brackets; empty without one."""
    if interval is None:
        return ""
    return f" ({format(interval[0], form)} to {format(interval[1], form)})"


def write_report(
    output: Path,
    answers: Mapping[str, Answers],
    beta: float,
    metric: Metric,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Write ``summary.json``, ``table.md`` and ``report.html``."""
    summary = summarise(answers, beta, metric, resamples, seed)
    head, rows = table(summary)
    write_text(output / "summary.json", to_json(summary))
    write_text(output / "table.md", text(summary) + "\n")
    drawn = {
        "recall at 1 of every edit and arm": _bars(summary),
        "precision over recall after random chains": _curves(answers, beta, metric),
    }
    plots = [(url, alt) for alt, url in drawn.items() if url]
    write_page(
        output / "report.html",
        "eval/retrieval.html",
        count=summary["pictures"],
        note=note(summary),
        head=head,
        rows=rows,
        plots=plots,
    )
    return summary


def _bars(summary: Mapping[str, Any]) -> str:
    from matplotlib.figure import Figure

    arms = list(summary["arms"])
    rows = summary["arms"][arms[0]]["edits"]
    figure = Figure(figsize=(9, 0.22 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    for place, arm in enumerate(arms):
        values = [row["recall_at_1"] for row in summary["arms"][arm]["edits"]]
        bounds = np.array([row["recall_at_1_interval"] for row in summary["arms"][arm]["edits"]])
        axes.barh(
            np.arange(len(rows)) + place / (len(arms) + 1),
            values,
            1 / (len(arms) + 1),
            xerr=np.maximum([np.array(values) - bounds[:, 0], bounds[:, 1] - values], 0),
            error_kw={"elinewidth": 0.6},
            label=arm,
        )
    axes.set_yticks(
        np.arange(len(rows)), [f"{row['attack']} {row['attack_param']}" for row in rows], fontsize=7
    )
    axes.invert_yaxis()
    axes.set_xlabel("recall at 1, 95 % over images")
    axes.legend()
    return figure_url(figure)


def _curves(answers: Mapping[str, Answers], beta: float, metric: Metric) -> str:
    """Precision over recall after random chains; empty without strangers."""
    if any(found.chains is None for found in answers.values()):
        return ""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    for arm, found in answers.items():
        own = pairs(
            scores(*chained(found), beta=beta, metric=metric),
            chained(found)[1],
            padded_truth(found),
        )
        precision, recall, _ = precision_recall(*own)
        axes.plot(recall, precision, label=f"{arm}, muAP {micro_average_precision(*own):.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    return figure_url(figure)
