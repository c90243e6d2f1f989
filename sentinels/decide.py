"""``python -m sentinels decide``: test if a system used the data set."""

from __future__ import annotations

import json
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

COMPAT_NAMES = {"auc": "ROC-AUC", "tpr_at_1": "TPR@1%FPR", "tpr_at_10": "TPR@10%FPR"}
"""Names of the ROC figures in the published evaluation's file."""


def decide(
    record: Path,
    answers: Path,
    output: Path,
    config: DecideConfig,
    control: Path | None = None,
    name: str = "out",
) -> dict[str, Any]:
    """Test if a system used the sentinels, and write ``decision.json``.

    Args:
        record: Record of the sentinels, a JSON file.
        answers: Folder of the system's answers.
        output: Folder of the results.
        config: Settings of the decision.
        control: Folder of the answers of a system without the sentinels.
        name: Name of the JSON file in the folders of answers, without its ending.

    Returns:
        The content of ``decision.json``.

    Raises:
        FileNotFoundError: If the record, or the answers of a system, are missing.
        ValueError: If fewer than two keys can be compared.
    """
    # Embed the sentinels whose files exist.
    planted = Record.open(record)
    embedder = open_embedder(config.similarity, appearance=True)
    paths: dict[str, Path] = {}
    for entry, sentinel in planted.sentinels.items():
        path = planted.locate(sentinel.generated)
        if path is not None:
            paths[entry] = path
    sentinels = embedded(paths, embedder, config.batch_size)
    # Test the system, and the control if there is one.
    protected = compare(Trials.open(answers, name), planted, sentinels, embedder, config)
    decision: dict[str, Any] = {"system": _test_system(protected, config)}
    if control is not None:
        other = compare(Trials.open(control, name), planted, sentinels, embedder, config)
        decision["control"] = _test_system(other, config)
        decision["against_control"] = against_control(protected, other, config)
    # Write the results.
    output.mkdir(parents=True, exist_ok=True)
    kind = Path(config.similarity).name
    similarities = {
        entry: {"random_key": planted.sentinels[entry].key, "similarity": value}
        for entry, value in protected.own.items()
    }
    write_text(output / f"{kind}_similarities.json", json.dumps(similarities, indent=4) + "\n")
    write_text(output / "decision.json", to_json(decision))
    if control is not None and config.compat:
        _write_compat(output, kind, decision, config)
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
    return decision


def _test_system(compared: Compared, config: DecideConfig) -> dict[str, Any]:
    """Run the permutation test and the sequential test of one system."""
    permuted = permutation_test(compared.cosines, config.seed)
    sequential = sequential_test(compared.cosines, config.level)
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
            "p": sequential.p,
            "level": sequential.level,
            "stop_after_keys": sequential.stop,
            "evidence": sequential.evidence,
        },
        "missing": compared.missing,
    }


def _write_compat(output: Path, kind: str, decision: dict[str, Any], config: DecideConfig) -> None:
    """Write the results in the format of the published evaluation.

    Args:
        output: Folder of the results.
        kind: Name of the model that compares images.
        decision: Content of ``decision.json``, with a control.
        config: Settings of the decision.
    """
    # Figures that are the same for all runs.
    hits = decision["system"]["hits"]
    shared = {f"Sentinel_Hit@{depth}": hits[f"hit@{depth}"]["share"] for depth in (1, 3, 5, 10)}
    shared["Sentinel_Total_Queries"] = decision["system"]["keys"]
    # ROC figures of each run, under their published names.
    runs = []
    for run in decision["against_control"]["runs"]:
        figures = {COMPAT_NAMES[key]: value for key, value in run.items()}
        runs.append(figures | shared)
    means = {}
    for metric in runs[0]:
        values = [run[metric] for run in runs]
        means[metric] = {"mean": float(np.mean(values))}
    content = {
        "parameters": {
            "num_samples": config.queries,
            "num_times": config.times,
            "total_runs": config.runs,
            "similarity_type": kind,
        },
        "metrics_statistics": means,
        "all_runs_results": runs,
    }
    sizes = f"samples{config.queries}_times{config.times}_totalruns{config.runs}"
    file = f"{kind}_evaluation_results_{sizes}.json"
    write_text(output / file, json.dumps(content, indent=4) + "\n")
