"""``python -m sentinels decide``: did a system use the data set?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.files import write_text
from engine.manifest import write_manifest
from engine.statistics import bootstrap_interval, proportion_interval
from images.io import open_photo
from images.kinds import UnreadableImage
from models.embedders import Embedder, identify_model, open_embedder
from sentinels.permutation import permutation_test, sequential_test
from sentinels.record import Record
from sentinels.retrieve import Hits
from sentinels.roc import Separation, degenerate, resampled, separation, threshold
from sentinels.trials import Trials, retrieved, triggered


@dataclass(frozen=True)
class DecideConfig:
    """How it is decided.

    Attributes:
        similarity: Model that compares pictures: dino (the paper's), dinov2, clip, siglip, a folder or a Hub id.
        level: Chance of a false accusation that is accepted.
        fpr: False positives that the threshold from a control system allows.
        queries: Keys whose mean is one score, for the figures against a control system; 1 for single queries.
        times: Means of each system in one ROC curve.
        runs: ROC curves.
        seed: Of all draws.
        compat: Compute AUC and rates as the published evaluation does: first trials only, keys drawn without replacement.
        batch_size: Pictures embedded at a time.
    """

    similarity: str = "dino"
    level: float = 1e-3
    fpr: float = 0.05
    queries: int = 1
    times: int = 100
    runs: int = 5
    seed: int = 0
    compat: bool = False
    batch_size: int = 32

    def __post_init__(self) -> None:
        if (
            not (0 < self.level < 1 and 0 < self.fpr < 1)
            or min(self.queries, self.times, self.runs, self.batch_size) < 1
        ):
            msg = f"level and fpr are between 0 and 1, the counts at least 1: {self}"
            raise ValueError(msg)


@dataclass
class Compared:
    """One system's outputs against all sentinels.

    Attributes:
        names: Keys' sources that could be compared, n of them.
        cosines: (n, n) outputs by sentinels, means over trials.
        facts: Counts, trigger rate and hits.
        missing: What could not be compared, and why.
    """

    names: list[str]
    cosines: NDArray[np.float64]
    facts: dict[str, Any]
    missing: dict[str, str]

    @property
    def own(self) -> dict[str, float]:
        """Each output's similarity to its own sentinel."""
        return {
            name: float(value)
            for name, value in zip(self.names, np.diag(self.cosines), strict=True)
        }


def decide(
    record: Path,
    answers: Path,
    output: Path,
    config: DecideConfig,
    control: Path | None = None,
    name: str = "out",
) -> dict[str, Any]:
    """Compare a system's answers with the sentinels, test, and write ``decision.json`` with every figure.

    Args:
        record: The record of the sentinels.
        answers: Folder of the system's answers.
        output: Folder of the results.
        config: How.
        control: Folder of the answers of a system that does not have the sentinels.
        name: Of the answers' JSON files.

    Raises:
        FileNotFoundError: If something is not there.
        ValueError: If too little can be compared.
    """
    planted = Record.open(record)
    embedder = open_embedder(config.similarity, appearance=True)
    located = {
        entry: planted.locate(sentinel.generated) for entry, sentinel in planted.sentinels.items()
    }
    sentinels = _embedded(
        {entry: path for entry, path in located.items() if path is not None},
        embedder,
        config.batch_size,
    )
    protected = compare(Trials.open(answers, name), planted, sentinels, embedder, config)
    found: dict[str, Any] = {"system": _tested(protected, config)}
    if control is not None:
        other = compare(Trials.open(control, name), planted, sentinels, embedder, config)
        found["control"] = _tested(other, config)
        found["against_control"] = _against(protected, other, config)
    output.mkdir(parents=True, exist_ok=True)
    kind = Path(config.similarity).name
    similarities = {
        entry: {"random_key": planted.sentinels[entry].key, "similarity": value}
        for entry, value in protected.own.items()
    }
    write_text(output / f"{kind}_similarities.json", json.dumps(similarities, indent=4) + "\n")
    write_text(output / "decision.json", json.dumps(found, indent=2) + "\n")
    if control is not None and config.compat:
        _write_compat(output, kind, found, config)
    settings = {
        "record": str(record),
        "answers": str(answers),
        "control": str(control) if control else None,
        "config": asdict(config),
    }
    write_manifest(
        output,
        command="sentinels decide",
        finished=True,
        settings=settings,
        model=identify_model(config.similarity),
    )
    return found


def compare(
    trials: Trials,
    record: Record,
    sentinels: dict[str, NDArray[np.float64]],
    embedder: Embedder,
    config: DecideConfig,
) -> Compared:
    """Similarities of a system's outputs to all sentinels, an untriggered trial's first picture included.

    Args:
        trials: The system's answers.
        record: The sentinels.
        sentinels: Unit vectors of the sentinels, by source.
        embedder: Compares.
        config: How.

    Raises:
        ValueError: If fewer than two keys can be compared.
    """
    vectors: dict[str, NDArray[np.float64]] = {}
    missing: dict[str, str] = {}
    asked, woken, rankings, wanted = 0, 0, [], []
    for name in trials.entries:
        if name not in record.sentinels:
            missing[name] = "not in the record"
            continue
        if name not in sentinels:
            missing[name] = "its sentinel is not there"
            continue
        outputs = list(trials.outputs(name))[: 1 if config.compat else None]
        asked, woken = asked + len(outputs), woken + sum(triggered(trial) for trial, _ in outputs)
        rankings += [[Path(path).name for path in retrieved(trial)] for trial, _ in outputs]
        wanted += [Path(record.sentinels[name].generated).name for _ in outputs]
        paths = {f"{place}": path for place, (_, path) in enumerate(outputs) if path is not None}
        if len(paths) < len(outputs) or not outputs:
            missing[name] = (
                f"{len(outputs) - len(paths)} of {len(outputs)} pictures are not there"
                if outputs
                else "never asked"
            )
        if paths:
            try:
                mean = np.mean(list(_embedded(paths, embedder, config.batch_size).values()), axis=0)
            except UnreadableImage as error:
                missing[name] = str(error)
            else:
                vectors[name] = mean
    if len(vectors) < 2:
        msg = f"{trials.folder}: outputs of {len(vectors)} keys could be compared with their sentinels; at least two are needed"
        raise ValueError(msg)
    names = list(vectors)
    cosines = (
        np.stack([vectors[name] for name in names])
        @ np.stack([sentinels[name] for name in names]).T
    )
    hits = Hits.of(rankings, wanted)
    facts = {
        "keys": len(names),
        "trials": asked,
        "triggered": {"share": woken / asked, "interval": proportion_interval(woken, asked)},
        "hits": {
            f"hit@{depth}": {
                "share": count / hits.total,
                "interval": proportion_interval(count, hits.total),
            }
            for depth, count in hits.at.items()
        },
    }
    return Compared(names, cosines, facts, missing)


def _embedded(
    paths: dict[str, Path], embedder: Embedder, batch_size: int
) -> dict[str, NDArray[np.float64]]:
    pictures = [open_photo(path).rgb for path in paths.values()]
    if not pictures:
        return {}
    return dict(
        zip(paths, embedder.embed_arrays(pictures, batch_size).double().numpy(), strict=True)
    )


def _tested(compared: Compared, config: DecideConfig) -> dict[str, Any]:
    permuted, watched = (
        permutation_test(compared.cosines, config.seed),
        sequential_test(compared.cosines, config.level),
    )
    scores = np.diag(compared.cosines)
    interval = bootstrap_interval(
        lambda keys, axis=-1: scores[keys].mean(axis=axis),
        len(scores),
        resamples=10_000,
        seed=config.seed,
    )
    return compared.facts | {
        "similarity": {
            "mean": float(scores.mean()),
            "interval": interval,
            "mismatched": permuted.mismatched,
        },
        "permutation": asdict(permuted),
        "used": permuted.p <= config.level,
        "sequential": {
            "p": watched.p,
            "level": watched.level,
            "stop_after_keys": watched.stop,
            "evidence": watched.evidence,
        },
        "missing": compared.missing,
    }


def _against(protected: Compared, control: Compared, config: DecideConfig) -> dict[str, Any]:
    common = [name for name in protected.names if name in control.own]
    scores, others = (
        np.array([side.own[name] for name in common]) for side in (protected, control)
    )
    curve = resampled(
        scores, others, config.queries, config.times, config.runs, config.seed, config.compat
    )
    eta = threshold(others, config.queries, config.fpr, config.seed)
    single = separation(scores, others)
    interval = bootstrap_interval(
        lambda keys: separation(scores[keys], others[keys]).auc,
        len(common),
        resamples=2000,
        seed=config.seed,
    )
    return {
        "common_keys": len(common),
        "queries": config.queries,
        "auc": curve.mean.auc,
        "tpr_at_1_fpr": curve.mean.tpr_at_1,
        "tpr_at_10_fpr": curve.mean.tpr_at_10,
        "deviation": asdict(curve.deviation),
        "single_query_auc": single.auc,
        "single_query_auc_interval": interval,
        "threshold": {
            "fpr": config.fpr,
            "eta": eta if np.isfinite(eta) else None,
            "exceeded": bool(scores.mean() > eta),
        },
        "warning": curve.warning or degenerate(config.queries, len(common), config.compat),
        "runs": [asdict(run) for run in curve.runs],
    }


def _write_compat(output: Path, kind: str, found: dict[str, Any], config: DecideConfig) -> None:
    """The published evaluation's result file."""
    against, hits = found["against_control"], found["system"]["hits"]
    hit = {f"Sentinel_Hit@{depth}": hits[f"hit@{depth}"]["share"] for depth in (1, 3, 5, 10)}
    fixed = hit | {"Sentinel_Total_Queries": found["system"]["keys"]}
    names = {"auc": "ROC-AUC", "tpr_at_1": "TPR@1%FPR", "tpr_at_10": "TPR@10%FPR"}
    runs = [{names[key]: value for key, value in run.items()} | fixed for run in against["runs"]]
    content = {
        "parameters": {
            "num_samples": config.queries,
            "num_times": config.times,
            "total_runs": config.runs,
            "similarity_type": kind,
        },
        "metrics_statistics": {
            metric: {"mean": _mean([run[metric] for run in runs])} for metric in runs[0]
        },
        "all_runs_results": runs,
    }
    file = f"{kind}_evaluation_results_samples{config.queries}_times{config.times}_totalruns{config.runs}.json"
    write_text(output / file, json.dumps(content, indent=4) + "\n")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def in_words(found: dict[str, Any]) -> str:
    """The decision, for a person."""
    lines = []
    for side in ("system", "control"):
        if side not in found:
            continue
        facts, test = found[side], found[side]["permutation"]
        verdict = (
            "the sentinels were used"
            if facts["used"]
            else "no evidence that the sentinels were used"
        )
        lines.append(
            f"{side}: {verdict}: p = {test['p']:.2g} ({'all' if test['exact'] else 'drawn'} pairings, {facts['keys']} keys)"
        )
        similarity, triggers = facts["similarity"], facts["triggered"]
        low, high = similarity["interval"]
        lines.append(
            f"  similarity to the own sentinel {similarity['mean']:.3f} ({low:.3f} to {high:.3f}), to others {similarity['mismatched']:.3f}"
        )
        lines.append(
            f"  looked into its database {triggers['share']:.0%}; Hit@1 {facts['hits']['hit@1']['share']:.1%}"
        )
        stop = facts["sequential"]["stop_after_keys"]
        lines.append(
            f"  asked one by one: {f'decided after {stop} keys' if stop else 'not decided'}"
        )
        if facts["missing"]:
            lines.append(f"  not compared: {len(facts['missing'])} keys")
    if "against_control" in found:
        facts = found["against_control"]
        figures = Separation(facts["auc"], facts["tpr_at_1_fpr"], facts["tpr_at_10_fpr"])
        lines.append(
            f"against control, {facts['queries']} queries a score: AUC {figures.auc:.3f}, TPR {figures.tpr_at_1:.3f} at 1 % FPR, "
            f"{figures.tpr_at_10:.3f} at 10 %"
        )
        if facts["warning"]:
            lines.append(f"  {facts['warning']}")
    return "\n".join(lines)
