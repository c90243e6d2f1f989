"""``python -m sentinels decide``: did a system use the data set?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine.files import write_text
from engine.manifest import write_manifest
from engine.records import to_json
from engine.statistics import mean_interval
from models.embedders import identify_model, open_embedder
from sentinels.against import against_control
from sentinels.compared import Compared, compare, embedded
from sentinels.decide_config import DecideConfig
from sentinels.permutation import permutation_test, reach_of, sequential_test
from sentinels.record import Record
from sentinels.trials import Trials


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
    sentinels = embedded(
        {entry: path for entry, path in located.items() if path is not None},
        embedder,
        config.batch_size,
    )
    protected = compare(Trials.open(answers, name), planted, sentinels, embedder, config)
    found: dict[str, Any] = {"system": _tested(protected, config)}
    if control is not None:
        other = compare(Trials.open(control, name), planted, sentinels, embedder, config)
        found["control"] = _tested(other, config)
        found["against_control"] = against_control(protected, other, config)
    output.mkdir(parents=True, exist_ok=True)
    kind = Path(config.similarity).name
    similarities = {
        entry: {"random_key": planted.sentinels[entry].key, "similarity": value}
        for entry, value in protected.own.items()
    }
    write_text(output / f"{kind}_similarities.json", json.dumps(similarities, indent=4) + "\n")
    write_text(output / "decision.json", to_json(found))
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


def _tested(compared: Compared, config: DecideConfig) -> dict[str, Any]:
    permuted, watched = (
        permutation_test(compared.cosines, config.seed),
        sequential_test(compared.cosines, config.level),
    )
    scores = np.diag(compared.cosines)
    reach = reach_of(permuted, len(scores), config.level)
    return compared.facts | {
        "similarity": {
            "mean": float(scores.mean()),
            "interval": mean_interval(scores, (-1.0, 1.0)),
            "mismatched": permuted.mismatched,
        },
        "permutation": asdict(permuted),
        "used": None if reach["words"] else permuted.p <= config.level,
        "reach": reach,
        "sequential": {
            "p": watched.p,
            "level": watched.level,
            "stop_after_keys": watched.stop,
            "evidence": watched.evidence,
        },
        "missing": compared.missing,
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
