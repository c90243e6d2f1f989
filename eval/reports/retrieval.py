"""The figures of a copy-detection study with their intervals, as a table, a plot and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.files import write_text
from engine.pages.data_urls import figure_url
from engine.pages.markdown import markdown_table
from engine.pages.shell import write_page
from engine.statistics import Interval, bootstrap_interval
from eval.metrics.retrieval import micro_average_precision, pairs, precision_recall, ranks
from indexing.matches import scores
from models.search import Metric

RECALLS = (1, 10, 100)


@dataclass(frozen=True)
class Answers:
    """What was found for the pictures of one arm.

    Attributes:
        labels: Kind and parameter of each of E edits.
        truth: (N,) entry that each picture shows.
        distances: (N, E, k).
        ids: (N, E, k).
        chains: The same, (N + M, k) each, after random chains, strangers last; None if there were none.
    """

    labels: list[tuple[str, str]]
    truth: NDArray[np.int64]
    distances: NDArray[np.float32]
    ids: NDArray[np.int64]
    chains: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None

    def places(self) -> NDArray[np.int64]:
        """Place of the true entry, (N, E); -1 where it was not found."""
        return np.stack(
            [ranks(self.ids[:, edit], self.truth) for edit in range(len(self.labels))], axis=1
        )


def summarise(
    answers: Mapping[str, Answers], beta: float, metric: Metric, resamples: int, seed: int
) -> dict[str, Any]:
    """All figures of all arms, and differences to the first arm, with bootstrap intervals over pictures.

    Edits are weighted equally in the means. Resampling takes the same pictures in all arms, so that differences are paired.
    """
    first = next(iter(answers))
    count = len(answers[first].truth)
    hits = {arm: found.places() == 0 for arm, found in answers.items()}

    def interval(values: NDArray[Any]) -> Interval | None:
        return bootstrap_interval(
            lambda pictures: values[pictures].mean(), count, resamples=resamples, seed=seed
        )

    summary: dict[str, Any] = {"pictures": count, "beta": beta, "arms": {}, "differences": {}}
    for arm, found in answers.items():
        places = found.places()
        rows: list[dict[str, Any]] = []
        for edit, (kind, parameter) in enumerate(found.labels):
            own = places[:, edit]
            ap = np.where(own >= 0, 1 / (np.maximum(own, 0) + 1.0), 0.0)
            recall: dict[str, Any] = {
                f"recall_at_{n}": float(((own >= 0) & (own < n)).mean()) for n in RECALLS
            }
            valued = scores(found.distances[:, edit], found.ids[:, edit], beta, metric)
            mu_ap = micro_average_precision(*pairs(valued, found.ids[:, edit], found.truth))
            rows.append(
                {"attack": kind, "attack_param": parameter}
                | recall
                | {"ap": float(ap.mean()), "mu_ap": mu_ap}
            )
        means: dict[str, Any] = {
            key: float(np.mean([row[key] for row in rows]))
            for key in (*(f"recall_at_{n}" for n in RECALLS), "ap", "mu_ap")
        }
        summary["arms"][arm] = {"edits": rows, "mean": means}
        if (bounds := interval(hits[arm])) is not None:
            means["recall_at_1_interval"] = bounds
        if found.chains is not None:
            summary["arms"][arm]["detection"] = _detection(found, beta, metric)
    for arm in list(answers)[1:]:
        gain = hits[arm].astype(float) - hits[first]
        rows = []
        for edit, (kind, parameter) in enumerate(answers[arm].labels):
            row: dict[str, Any] = {
                "attack": kind,
                "attack_param": parameter,
                "recall_at_1": float(gain[:, edit].mean()),
            }
            rows.append(row | _known(interval(gain[:, edit])))
        mean = {"recall_at_1": float(gain.mean())} | _known(interval(gain))
        change: dict[str, Any] = {"edits": rows, "mean": mean}
        if answers[arm].chains is not None:
            change["detection"] = _detection_gain(
                answers[arm], answers[first], beta, metric, min(200, resamples), seed
            )
        summary["differences"][f"{arm} - {first}"] = change
    return summary


def _known(interval: Interval | None) -> dict[str, Interval]:
    return {} if interval is None else {"interval": interval}


def chained(found: Answers) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What was found after random chains."""
    assert found.chains is not None
    return found.chains


def _padded_truth(found: Answers) -> NDArray[np.int64]:
    strangers = len(chained(found)[0]) - len(found.truth)
    return np.concatenate([found.truth, np.full(strangers, -1)])


def _detection(found: Answers, beta: float, metric: Metric) -> dict[str, Any]:
    distances, ids = chained(found)
    truth = _padded_truth(found)
    own = pairs(scores(distances, ids, beta, metric), ids, truth)
    precision, recall, _ = precision_recall(*own)
    sure = recall[precision >= 0.9]
    return {
        "queries": len(found.truth),
        "strangers": len(truth) - len(found.truth),
        "mu_ap": micro_average_precision(*own),
        "mu_ap_missed_last": micro_average_precision(*own, how="last"),
        "recall_at_precision_90": float(sure.max()) if len(sure) else 0.0,
    }


def _detection_gain(
    one: Answers, other: Answers, beta: float, metric: Metric, resamples: int, seed: int
) -> dict[str, Any]:
    """Difference of micro average precision, with the same queries and strangers resampled in both arms."""
    truth, count = _padded_truth(one), len(one.truth)
    valued = [scores(*chained(found), beta=beta, metric=metric) for found in (one, other)]

    def gain(queries: NDArray[np.int64], *strangers: NDArray[np.int64]) -> float:
        rows = np.concatenate([queries, *(count + places for places in strangers)])
        a, b = (
            micro_average_precision(*pairs(value[rows], chained(found)[1][rows], truth[rows]))
            for value, found in zip(valued, (one, other), strict=True)
        )
        return a - b

    sizes = [count, len(truth) - count] if len(truth) > count else [count]
    found = {"mu_ap": gain(*(np.arange(size) for size in sizes))}
    return found | _known(bootstrap_interval(gain, *sizes, resamples=resamples, seed=seed))


def text(summary: Mapping[str, Any]) -> str:
    """Recall at 1 of every edit and arm as a table, Markdown."""
    return markdown_table(*table(summary))


def table(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of recall at 1 of every edit and arm, their means, and what chains and strangers gave."""
    arms, changes = (
        [summary["arms"][arm] for arm in summary["arms"]],
        summary["differences"].values(),
    )
    head = ["edit", *summary["arms"], *(f"{name} (95 %)" for name in summary["differences"])]

    def line(
        name: str, figure: str, values: list[dict[str, Any]], gains: list[dict[str, Any]]
    ) -> list[str]:
        return [
            name,
            *(f"{value[figure]:.3f}" for value in values),
            *(f"{gain[figure]:+.3f}" + _span(gain) for gain in gains),
        ]

    rows = [
        line(f"{kind['attack']} {kind['attack_param']}".strip(), "recall_at_1", [arm["edits"][place] for arm in arms],
             [change["edits"][place] for change in changes])
        for place, kind in enumerate(arms[0]["edits"])
    ]  # fmt: skip
    rows.append(
        line(
            "mean",
            "recall_at_1",
            [arm["mean"] for arm in arms],
            [change["mean"] for change in changes],
        )
    )
    if all("detection" in arm for arm in arms):
        gains = [change["detection"] for change in changes]
        rows.append(
            line(
                "muAP, random chains and strangers",
                "mu_ap",
                [arm["detection"] for arm in arms],
                gains,
            )
        )
    return head, rows


def _span(gain: Mapping[str, Any]) -> str:
    return " ({:+.3f} to {:+.3f})".format(*gain["interval"]) if "interval" in gain else ""


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
    write_text(output / "summary.json", json.dumps(summary, indent=2) + "\n")
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
        axes.barh(
            np.arange(len(rows)) + place / (len(arms) + 1), values, 1 / (len(arms) + 1), label=arm
        )
    axes.set_yticks(
        np.arange(len(rows)), [f"{row['attack']} {row['attack_param']}" for row in rows], fontsize=7
    )
    axes.invert_yaxis()
    axes.set_xlabel("recall at 1")
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
            _padded_truth(found),
        )
        precision, recall, _ = precision_recall(*own)
        axes.plot(recall, precision, label=f"{arm}, muAP {micro_average_precision(*own):.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    return figure_url(figure)
