"""``python -m sentinels decide``: test if a system used the data set."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine.files import atomic_write, locked, private_files, write_text
from engine.manifest import check_claim, write_manifest
from engine.records import to_json
from engine.statistics import mean_interval
from images.overlap import refuse_overlap
from models.embedders import identify_model, open_embedder
from sentinels.against import against_control
from sentinels.compared import Compared, compare
from sentinels.decide_config import DecideConfig
from sentinels.permutation import effect_size, permutation_test, reach_of, sequential_test
from sentinels.record import Record
from sentinels.references import Kind, open_references
from sentinels.trials import Trials

COMMAND = "sentinels decide"

COMPAT_NAMES = {"auc": "ROC-AUC", "tpr_at_1": "TPR@1%FPR", "tpr_at_10": "TPR@10%FPR"}
"""Names of the ROC figures in the published evaluation's file."""

MATRIX = "similarities.npy"
"""File of the similarity of every output to every source."""


def decide(
    record: Path,
    answers: Path,
    output: Path,
    config: DecideConfig,
    control: Path | None = None,
    name: str = "out",
    sources: Path | None = None,
    decoy: tuple[Path, Path] | None = None,
) -> dict[str, Any]:
    """Test if a system used the sentinels; write ``decision.json`` and ``similarities.npy``.

    Outputs are compared with the sentinels' sources; with the sentinels, as published, if
    ``config.compat``, which is not a valid test.

    Args:
        record: Record of the sentinels, a JSON file.
        answers: Folder of the system's answers.
        output: Folder of the results; an earlier decision in it is replaced. See
            :func:`check_output`.
        config: Settings of the decision.
        control: Folder of the answers of a system without the sentinels.
        name: Name of the JSON file in the folders of answers, without its ending.
        sources: Folder of the original collection, if it is not where the record says.
        decoy: Folder of the answers of a system whose sentinels have the same keys but other
            sources, and their record.

    Returns:
        The content of ``decision.json``.

    Raises:
        FileNotFoundError: If the record, or the answers of a system, are missing.
        ValueError: If answers are to another record's keys, or fewer than two keys can be compared.
    """
    # Read the answers of all systems.
    planted = Record.open(record)
    folders = {"system": answers}
    if control is not None:
        folders["control"] = control
    if decoy is not None:
        folders["decoy"] = decoy[0]
    answered = {}
    for side, folder in folders.items():
        answered[side] = Trials.open(folder, name)
        answered[side].check_keys(planted)
    # Embed the images that outputs are compared with.
    embedder = open_embedder(config.similarity, appearance=True)
    kind: Kind = "sentinels" if config.compat else "sources"
    references = open_references(planted, kind, embedder, sources)

    def compared(side: str, searched: Record = planted) -> Compared:
        return compare(answered[side], searched, references, embedder, config)

    # Test the system, and the others if there are any.
    protected = compared("system")
    decision: dict[str, Any] = {"system": _test_system(protected, config)}
    if control is not None:
        other = compared("control")
        decision["control"] = _test_system(other, config)
        decision["against_control"] = against_control(protected, other, config)
    if decoy is not None:
        decoys = Record.open(decoy[1])
        decision["decoy"] = _test_system(compared("decoy", decoys), config)
    # Write the results.
    settings = _settings(record, answers, config, control, name, sources)
    with locked(output):
        write_manifest(output, command=COMMAND, finished=False, settings=settings)
        _write(output, planted, protected, decision, config)
        write_manifest(
            output,
            command=COMMAND,
            finished=True,
            settings=settings,
            model=identify_model(config.similarity),
        )
    return decision


def check_decision(record: Path, config: DecideConfig, with_control: bool) -> None:
    """Refuse a decision that no answers would allow, before a system is queried.

    Args:
        record: Record of the sentinels.
        config: Settings of the decision.
        with_control: Whether a control system is queried, too.

    Raises:
        OSError: If the model that compares images is not there.
        ValueError: If the record has too few keys.
    """
    keys = len(Record.open(record).sentinels)
    if keys < 2:
        msg = f"{record}: a decision needs at least two keys, the record has {keys}"
        raise ValueError(msg)
    if with_control and config.queries > keys:
        msg = f"queries must be at most the {keys} keys of {record}, got {config.queries}"
        raise ValueError(msg)
    open_embedder(config.similarity, appearance=True)


def check_output(
    record: Path,
    answers: Path,
    output: Path,
    config: DecideConfig,
    control: Path | None = None,
    name: str = "out",
    sources: Path | None = None,
) -> None:
    """Refuse a folder that is not for this decision; arguments as of :func:`decide`.

    Raises:
        FileNotFoundError: If the record is missing.
        ValueError: If the folder has other files or another decision, is an input or lies in one,
            or lies among the sentinels to publish.
    """
    planted = Record.open(record)
    inputs = [record, answers, *(folder for folder in (control, sources) if folder is not None)]
    refuse_overlap(output, [*inputs, *planted.folders], [])
    settings = _settings(record, answers, config, control, name, sources)
    check_claim(output, COMMAND, settings)


def _settings(
    record: Path,
    answers: Path,
    config: DecideConfig,
    control: Path | None,
    name: str,
    sources: Path | None,
) -> dict[str, Any]:
    """Collect what identifies a decision, for the manifest; arguments as of :func:`decide`."""
    return {
        "record": str(record.resolve()),
        "answers": str(answers.resolve()),
        "control": str(control.resolve()) if control else None,
        "name": name,
        "sources": str(sources.resolve()) if sources else None,
        "config": asdict(config),
    }


def _write(
    output: Path,
    planted: Record,
    protected: Compared,
    decision: dict[str, Any],
    config: DecideConfig,
) -> None:
    """Write the decision, and the similarities of the tested system."""
    model = Path(config.similarity).name
    similarities = {
        entry: {"random_key": planted.sentinels[entry].key, "similarity": value}
        for entry, value in protected.own.items()
    }
    with private_files():  # it has the keys
        write_text(output / f"{model}_similarities.json", json.dumps(similarities, indent=4) + "\n")
    with atomic_write(output / MATRIX) as partial, partial.open("wb") as stream:
        np.save(stream, protected.cosines.astype(np.float32))
    write_text(output / "decision.json", to_json(decision))
    if "control" in decision and config.compat:
        _write_compat(output, model, decision, config)


def _test_system(compared: Compared, config: DecideConfig) -> dict[str, Any]:
    """Run the permutation test and the sequential test of one system."""
    permuted = permutation_test(compared.cosines, config.seed)
    sequential = sequential_test(compared.cosines, config.level)
    scores = np.diag(compared.cosines)
    reach = reach_of(permuted, len(scores), config.level)
    is_test = compared.compared_with == "sources"
    return compared.facts | {
        "compared_with": compared.compared_with,
        "valid_test": is_test,
        "similarity": {
            "mean": float(scores.mean()),
            "interval": mean_interval(scores, (-1.0, 1.0)),
            "mismatched": permuted.mismatched,
            "effect_size": effect_size(compared.cosines),
        },
        "permutation": asdict(permuted),
        "used": permuted.p <= config.level if is_test and not reach["words"] else None,
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

    True-positive rates are left out where there are too few keys for them.

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
        figures = {COMPAT_NAMES[key]: value for key, value in run.items() if value is not None}
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
