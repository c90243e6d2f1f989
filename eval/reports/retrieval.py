"""Report of a copy-detection study: table, plots and page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.files import write_text
from engine.pages.charts import IntervalChart, Mark, curve_points
from engine.pages.markdown import markdown_table
from engine.pages.shell import in_brackets, p_value, write_page
from engine.records import to_json
from eval.metrics.retrieval import micro_average_precision, pairs, precision_recall
from eval.reports.retrieval_figures import Answers, chained, padded_truth, summarise
from indexing.matches import scores
from models.search import Metric


def text(summary: Mapping[str, Any]) -> str:
    """Format the table of recall at 1 and its notes as Markdown."""
    return markdown_table(*table(summary)) + "\n\n" + note(summary)


def note(summary: Mapping[str, Any]) -> str:
    """Note on the numbers, units and comparisons of the table."""
    return (
        f"Unit: an image; {summary['pictures']} images. In brackets 95 % intervals: exact for a "
        "recall at 1, over the images that only one arm found for a difference, and by image for "
        f"means. p: McNemar's exact test after Holm over {summary['comparisons']} comparisons. "
        "One index and one network: other training runs may differ by more than these intervals."
    )


def table(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of recall at 1.

    There is a row for each edit, and one for the means. Studies with chains also have a row for
    their micro average precision.
    """
    arms = list(summary["arms"].values())
    changes = list(summary["differences"].values())
    head = ["edit", *summary["arms"], *(f"{name} (95 %)" for name in summary["differences"])]

    # Recall at 1 of each edit.
    rows = []
    for index, edit in enumerate(arms[0]["edits"]):
        name = f"{edit['attack']} {edit['attack_param']}".strip()
        values = [arm["edits"][index] for arm in arms]
        rows.append(_line(name, "recall_at_1", values, [c["edits"][index] for c in changes]))

    # Means over the edits.
    means = [arm["mean"] for arm in arms]
    rows.append(_line("mean", "recall_at_1", means, [change["mean"] for change in changes]))

    # Micro average precision after chains.
    if all("detection" in arm for arm in arms):
        values = []
        for arm in arms:
            detection = arm["detection"]
            interval = detection.get("interval")
            values.append({"mu_ap": detection["mu_ap"], "mu_ap_interval": interval})
        name = "muAP, random chains and strangers"
        rows.append(_line(name, "mu_ap", values, [change["detection"] for change in changes]))
    return head, rows


def _line(
    name: str, figure: str, values: list[dict[str, Any]], gains: list[dict[str, Any]]
) -> list[str]:
    """Format a row: the values of the arms, and their differences.

    Args:
        name: First cell.
        figure: Name of the figure in values and differences.
        values: Values of each arm.
        gains: Differences of each arm from the first one.
    """
    cells = []
    for value in values:
        interval = value.get(f"{figure}_interval")
        cells.append(f"{value[figure]:.3f}" + in_brackets(interval, ".3f"))
    for gain in gains:
        p = f", p = {p_value(gain['p_holm'])}" if "p_holm" in gain else ""
        cells.append(f"{gain[figure]:+.3f}" + in_brackets(gain.get("interval"), "+.3f") + p)
    return [name, *cells]


def write_report(
    output: Path,
    answers: Mapping[str, Answers],
    beta: float,
    metric: Metric,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Write ``summary.json``, ``table.md`` and ``report.html``.

    Args:
        output: Folder to write to.
        answers: Search results by arm, the reference arm first.
        beta: Parameter of the scores; see :func:`indexing.matches.scores`.
        metric: Metric of the index.
        resamples: Bootstrap samples; see :func:`eval.reports.retrieval_figures.summarise`.
        seed: Seed of the bootstrap.

    Returns:
        The summary.
    """
    summary = summarise(answers, beta, metric, resamples, seed)
    head, rows = table(summary)
    write_text(output / "summary.json", to_json(summary))
    write_text(output / "table.md", text(summary) + "\n")
    write_page(
        output / "report.html",
        "eval/retrieval.html",
        count=summary["pictures"],
        verdict=verdict(summary),
        note=note(summary),
        head=head,
        rows=rows,
        recalls=_recalls(summary),
        curves=_curves(answers, beta, metric),
    )
    return summary


def verdict(summary: Mapping[str, Any]) -> str:
    """State the mean recall of each arm, and the differences between them."""
    found = []
    for arm, figures in summary["arms"].items():
        mean = figures["mean"]
        found.append(
            f"{arm} {mean['recall_at_1']:.3f}{in_brackets(mean['recall_at_1_interval'], '.3f')}"
        )
    changes = []
    for name, change in summary["differences"].items():
        mean = change["mean"]
        interval = in_brackets(mean.get("interval"), "+.3f")
        changes.append(f"{name}: {mean['recall_at_1']:+.3f}{interval}.")
    return " ".join([f"Copies found, mean over the edits: {', '.join(found)}.", *changes])


def _recalls(summary: Mapping[str, Any]) -> IntervalChart:
    """Chart of the recall at 1 of each edit and arm."""
    marks = []
    for arm, figures in summary["arms"].items():
        for edit in figures["edits"]:
            name = f"{edit['attack']} {edit['attack_param']}".strip()
            interval = edit["recall_at_1_interval"]
            marks.append(Mark(name, arm, edit["recall_at_1"], interval))
    return IntervalChart("Recall at 1 after each edit, 95 % over images", marks, 0.0, 1.0)


def _curves(answers: Mapping[str, Answers], beta: float, metric: Metric) -> dict[str, str]:
    """Precision over recall after random chains, by arm; empty without chains."""
    if any(answer.chains is None for answer in answers.values()):
        return {}
    series = {}
    for arm, answer in answers.items():
        distances, ids = chained(answer)
        matches = pairs(scores(distances, ids, beta, metric), ids, padded_truth(answer))
        precision, recall, _ = precision_recall(*matches)
        mu_ap = micro_average_precision(*matches)
        series[f"{arm}, muAP {mu_ap:.3f}"] = curve_points(recall, precision)
    return series
