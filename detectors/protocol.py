"""``python -m detectors protocol``: train and test a recipe on splits of its generators.

AI-GenBench (arXiv 2504.20865) trains on generators up to a date and tests on the next ones. Leaving
one generator out, and training on one family for a test on all, ask the same of other divisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from checkpoints.folders import weight_file
from datamodules.fake2m.origin import slug
from detectors import metrics
from detectors.detector import load_detector
from detectors.protocol_options import ProtocolOptions
from detectors.protocol_page import write_page
from detectors.protocol_plan import Catalog, Group, Split, group_generators, plan_splits
from detectors.protocol_training import split_config, train_split
from detectors.scores import Scores
from detectors.scoring import (
    OPTIONS,
    Answers,
    Question,
    ScoreJob,
    detector_settings,
    find_stored,
    score,
)
from detectors.uncertainty import intervals
from engine.devices import is_first_process
from engine.files import file_digest, locked, write_text
from engine.job import JobOptions
from engine.manifest import claim, read_manifest, write_manifest
from engine.records import to_json
from engine.tables import write_table

Row = dict[str, Any]

REAL = "real"
"""Name of the question for real images."""


@dataclass(frozen=True)
class Outcome:
    """Results of a protocol.

    Attributes:
        rows: One for each split and tested generator.
        answers: Answers of each split's scoring job.
        page: The page.
    """

    rows: list[Row]
    answers: list[Answers]
    page: Path


def run_protocol(
    recipe: str, settings: ProtocolOptions, output: Path, options: JobOptions = OPTIONS
) -> Outcome | None:
    """Train a recipe on each split, or take given weights, and test on every generator.

    Writes ``protocol.csv``, ``protocol.json``, ``protocol.html`` and ``manifest.json``. Finished
    trainings and scored shards are kept: the same command goes on with a stopped run.

    Args:
        recipe: Config of ``detectors fit`` (.yaml), or folder or Hub id of a detector.
        settings: Protocol and shards.
        output: Folder of the results.
        options: Options of the scoring jobs.

    Returns:
        The results; None on every process but the first.

    Raises:
        FileNotFoundError: If recipe or shards are missing.
        ValueError: If the shards do not fit the protocol, or the folder holds another one.
    """
    config = config_of(recipe, settings)
    test = Catalog.read(settings.test)
    if not test.real or not test.generated:
        msg = "--test needs shards of real images, and of at least one generator"
        raise ValueError(msg)
    groups = group_generators(
        settings.kind, test, settings.families or {}, settings.dates or {}, settings.window
    )
    train = Catalog.read(settings.train) if config else Catalog()
    if config is not None and not train.real:
        msg = "--train needs shards of real images"
        raise ValueError(msg)
    val = Catalog.read(settings.val) if config and settings.val else Catalog()
    splits = [Split("given weights")]
    if config is not None:
        splits = plan_splits(settings.kind, groups, list(train.generated))
    with ExitStack() as stack:
        if is_first_process():
            stack.enter_context(locked(output))
            facts = asdict(settings) | {"recipe": file_digest(config or weight_file(recipe))}
            shards = {"test": test.digest(), "train": train.digest(), "val": val.digest()}
            claim(output, "detectors protocol", facts | {"shards": shards})
        # each split: train, then score
        rows: list[Row] = []
        answers = []
        for number, split in enumerate(splits):
            folder = output / f"{number:02d}-{slug(split.name)[:60]}"
            detector = recipe
            if config is not None:
                plan = split_config(config, folder, train, val, split.trained)
                detector = str(train_split(folder, plan))
            answer = _score_split(detector, test, folder / "test", options)
            if answer is not None:
                rows += _rows(split, groups, test, answer, detector)
                answers.append(answer)
        if not is_first_process():
            return None
        _write(settings.kind, output, rows, groups)
    return Outcome(rows, answers, output / "protocol.html")


def config_of(recipe: str, settings: ProtocolOptions) -> Path | None:
    """Return the config that a recipe names; None for a detector.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If there are no shards to train on.
    """
    if not recipe.endswith((".yaml", ".yml")):
        return None
    if not Path(recipe).is_file():
        msg = f"{recipe}: no such config of python -m detectors fit"
        raise FileNotFoundError(msg)
    if not settings.train:
        msg = "a config is trained on each split: name shards with --train; or give a detector"
        raise ValueError(msg)
    return Path(recipe)


def _score_split(name: str, test: Catalog, folder: Path, options: JobOptions) -> Answers | None:
    """Score all test shards with a split's detector; None on every process but the first."""
    detector = load_detector(name)
    shards = {REAL: test.real}
    for generator, made in test.generated.items():
        shards[question_name(test, generator)] = made
    questions = []
    for question, paths in shards.items():
        questions.append(Question(question, detector, find_stored([detector], paths)))
    job = ScoreJob("detectors protocol", folder / "scores", options, unit="generator")
    return score(job, questions, folder, detector_settings(name, detector))


def question_name(test: Catalog, generator: str) -> str:
    """Return the name of a generator's scores, different from those of others."""
    number = sorted(test.generated).index(generator) + 1
    return f"{number:02d}-{slug(generator)}"


def _rows(
    split: Split, groups: Sequence[Group], test: Catalog, answers: Answers, name: str
) -> list[Row]:
    """Compute the figures of a split on each generator, against all real images.

    Generators without a readable image have no row; their images are among the unread.
    """
    calibration = load_detector(name).calibration
    real = answers.scores.get(REAL)
    rows = []
    for group in groups:
        for generator in group.generators:
            made = answers.scores.get(question_name(test, generator))
            if made is None or real is None:
                continue
            both = Scores.joined([real, made])
            scale, bias = calibration.scale, calibration.bias
            shifted = Scores(both.label, scale * both.logit + bias, both.facts)
            bounds = intervals(shifted)
            row: Row = {
                "split": split.name,
                "trained_on": ", ".join(split.trained),
                "group": group.name,
                "generator": generator,
                "family": test.families[generator],
                "relation": split.relations.get(group.name, ""),
                "real": int((both.label == 0).sum()),
                "generated": int(both.label.sum()),
                "auc": metrics.auc(both.label, both.logit),
                "average_precision": metrics.average_precision(both.label, both.logit),
                "balanced_accuracy": metrics.balanced_accuracy(
                    both.label, shifted.probability, 0.5
                ),
            }
            for figure in ("auc", "balanced_accuracy"):
                for end in ("low", "high"):
                    interval = bounds[figure]
                    row[f"{figure}_{end}"] = None if interval is None else getattr(interval, end)
            rows.append(row)
    return rows


def _write(kind: str, output: Path, rows: Sequence[Row], groups: Sequence[Group]) -> None:
    """Write table, record, manifest and page.

    Raises:
        ValueError: If there are no rows.
    """
    if not rows:
        msg = "no test image could be read: name other shards with --test, or write them again"
        raise ValueError(msg)
    write_table(output / "protocol.csv", list(rows[0]), rows)
    write_text(output / "protocol.json", to_json({"kind": kind, "rows": list(rows)}))
    write_page(output / "protocol.html", kind, rows, [group.name for group in groups])
    write_manifest(output, **(read_manifest(output) or {}) | {"finished": True})
