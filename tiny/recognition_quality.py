"""Quality of the shipped embedder, detector and copy-detection network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detectors.detector import load_detector
from detectors.scoring import ScoreJob, detector_settings, find_stored, score, shard_by_shard
from detectors.summary import summarise
from detectors.verdicts import row_at
from engine.devices import DeviceOptions
from engine.job import JobOptions
from images.io import to_rgb
from images.transforms import PAPER, Chain, Edit, flatten_suite
from models.embedders import open_embedder
from sentinels.keys import ALPHABET
from sentinels.plate import set_key
from sentinels.reader import load_network
from tiny.collages import collage
from tiny.dataset import PortraitDataset
from tiny.figures import Figure, mean, mean_between, mean_share, share
from tiny.identity import EVALUATION_START


def embedder_quality(folder: Path, count: int = 48) -> dict[str, Figure]:
    """Measure the reading of keys, and retrieval by key and by caption.

    Args:
        folder: Folder of the embedder.
        count: Number of evaluation portraits; each is shown with and without a key.
    """
    network = load_network(str(folder))
    rng = np.random.default_rng(0)
    # Portraits with and without a key.
    portraits = PortraitDataset(EVALUATION_START + 300_000, count, 1, 128)
    items = portraits.__getitems__(list(range(count)))
    plain = [to_rgb(item["image"]) for item in items]
    keys = ["".join(rng.choice(list(ALPHABET), 6)) for _ in plain]
    keyed = []
    for rgb, key in zip(plain, keys, strict=True):
        keyed.append(set_key(np.ascontiguousarray(rgb), key, rng).rgb)
    keyed_images = torch.from_numpy(np.stack(keyed)).permute(0, 3, 1, 2).float() / 255
    plain_images = torch.from_numpy(np.stack(plain)).permute(0, 3, 1, 2).float() / 255
    # Read the keys.
    texts = network.read(keyed_images)
    correct_letters = []
    for text, key in zip(texts, keys, strict=True):
        correct_letters.append(sum(a == b for a, b in zip(text, key, strict=False)) / len(key))
    false_letters = [len(text) for text in network.read(plain_images)]
    # Retrieve portraits by their keys and captions.
    vectors = network.embed_images(torch.cat([keyed_images, plain_images]))
    labels = torch.arange(count)
    by_key = (network.embed_texts(keys) @ vectors.T).argmax(dim=1)
    captions = network.embed_texts([item["caption"] for item in items])
    by_caption = (captions @ vectors[count:].T).argsort(dim=1, descending=True)
    in_top_10 = (by_caption[:, :10] == labels.unsqueeze(1)).any(dim=1)
    return {
        "keys_read": share([text == key for text, key in zip(texts, keys, strict=True)], "keys"),
        "letters_read": mean_share(correct_letters, "keys", "6 letters"),
        "letters_seen_without_a_key": mean(false_letters, "images"),
        "found_by_key": share(by_key == labels, "keys"),
        "found_by_caption_among_first_ten": share(in_top_10, "captions"),
    }


def detector_quality(name: str, shards: Path) -> dict[str, Figure | dict[str, Figure]]:
    """Test the detector on the test shards, which include an unseen pipeline.

    Args:
        name: Folder of the detector.
        shards: Folder of the shards.
    """
    detector = load_detector(name)
    questions = shard_by_shard(detector, find_stored([detector], [f"{shards}/test-*.tar"]))
    options = JobOptions(DeviceOptions("cpu"), batch_size=64, workers=0)
    with TemporaryDirectory() as folder:
        job = ScoreJob("tiny quality", Path(folder) / "shards", options)
        answers = score(job, questions, Path(folder), detector_settings(name, detector))
    assert answers is not None
    record = summarise(answers.of(questions), detector.calibration)
    # Figures of all images, before and after calibration, and by subset.
    figures: dict[str, Figure | dict[str, Figure]] = {}
    figures |= _chosen(record["ranking"], record["pictures"], record["intervals"])
    accuracies = ("balanced_accuracy", "real_accuracy", "generated_accuracy")
    errors = ("calibration_error", "calibration_error_floor", "calibration_error_floor_97")
    for kind, bounds in (
        ("uncalibrated", record["intervals"]),
        ("calibrated", record["calibrated"]["intervals"]),
    ):
        measured = {key: record[kind][key] for key in (*accuracies, *errors)}
        figures[kind] = _chosen(measured, record["pictures"], bounds)
    row = row_at(record, None) or {}
    for kind in ("real", "generated"):
        shares = {key: row[kind][key] for key in ("generated", "unsure", "real")}
        bounds = {key: row[kind][f"{key}_interval"] for key in ("generated", "unsure")}
        figures[f"verdicts_on_{kind}_at_max_fpr_{row['max_fpr']:g}"] = _chosen(
            shares, {kind: row[kind]["images"]}, bounds
        )
    for subset, metrics in record["slices"]["subset"].items():
        if metrics["auc"] is not None:
            chosen = {key: metrics[key] for key in ("auc", "generated_accuracy")}
            figures[subset] = _chosen(chosen, metrics, metrics["intervals"])
    return figures


def _chosen(
    figures: Mapping[str, Any], counts: Mapping[str, int], bounds: Mapping[str, Any]
) -> dict[str, Figure]:
    """Join figures of a test with the numbers of images of each class and with intervals."""
    kinds = [kind for kind in ("real", "generated") if kind in counts]
    units = " + ".join(f"{counts[kind]} {kind}" for kind in kinds)
    return {name: Figure(value, units, bounds.get(name)) for name, value in figures.items()}


@torch.no_grad()
def copy_quality(name: str, pictures: int = 200) -> dict[str, Figure | dict[str, Figure]]:
    """Measure the recall at 1 of edited copies among evaluation collages, by exact search.

    Args:
        name: Folder of the copy-detection network.
        pictures: Number of originals.

    Returns:
        ``found``: recall by edit; ``strangers``: mean cosine of two different images.
    """
    extractor = open_embedder(name)
    originals = [collage(EVALUATION_START + number) for number in range(pictures)]

    def describe(edit: Edit) -> Tensor:
        views = []
        for number, rgb in enumerate(originals):
            views.append(extractor.preprocess(edit(rgb, np.random.default_rng(number))))
        batches = []
        for start in range(0, pictures, 100):
            batches.append(extractor.embed_images(torch.stack(views[start : start + 100])))
        return torch.cat(batches)

    references = describe(Chain(()))
    labels = torch.arange(pictures)
    recall = {}
    for kind, parameter, edit in flatten_suite(PAPER):
        nearest = (describe(edit) @ references.T).argmax(dim=1)
        recall[f"{kind} {parameter}".strip()] = share(nearest == labels, "images")
    strangers = mean_between((references @ references.T).numpy(), "images")
    return {"found": recall, "strangers": strangers}
