"""Community-Forensics' folders, with random weights in the released layout."""

import csv
import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save
from torchvision.transforms.v2 import functional as F

from detectors.__main__ import main
from detectors.detector import Detector
from engine.cli import run
from tests.checkpoints.conftest import hub

__all__ = ["hub"]


def released(kind, side):
    """Return the files of a Hub folder, and its network."""
    torch.manual_seed(0)
    network = timm.create_model(f"vit_{kind}_patch16_{side}", num_classes=1).eval()
    torch.nn.init.normal_(network.head.weight)
    weights = {f"vit.{name}": value.contiguous() for name, value in network.state_dict().items()}
    config = {
        "device": "cuda",
        "freeze_backbone": False,
        "input_size": side,
        "model_size": kind,
        "patch_size": 16,
    }
    files = {"config.json": json.dumps(config).encode(), "model.safetensors": save(weights)}
    return files, network


@pytest.mark.parametrize(("side", "resize"), [(224, 256), (384, 440)])
def test_a_folder_answers_as_the_published_code(tmp_path, side, resize):
    files, network = released("tiny", side)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    detector = Detector.from_pretrained(tmp_path)
    photo = Image.effect_noise((700, 500), 80).convert("RGB").resize((600, 480))
    [prediction] = detector.predict(photo)
    pixels = F.to_image(F.center_crop(F.resize(photo, [resize]), [side])).float().div(255)
    normal = F.normalize(pixels, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = network(normal[None]).item()
    assert prediction.logit == pytest.approx(expected, abs=0.02)
    assert prediction.verdict == "unsure"  # not calibrated


def test_the_small_network_is_scanned_with_by_its_name_from_the_hub(hub, tmp_path, capsys):
    files, _ = released("small", 224)
    hub.add("OwensLab/commfor-model-224", files)
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "a.png")
    command = ["scan", str(tmp_path / "photos"), "-o", str(tmp_path / "scores.csv")]
    assert run(main, [*command, "--weights", "community-forensics-224"]) == 0
    with (tmp_path / "scores.csv").open() as file:
        [row] = csv.DictReader(file)
    assert (row["verdict"], row["prior"]) == ("unsure", "")
    assert np.isfinite(float(row["logit"]))


def test_a_variant_that_was_not_released_is_refused(tmp_path):
    files, _ = released("tiny", 224)
    config = json.loads(files["config.json"]) | {"model_size": "huge"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(files["model.safetensors"])
    with pytest.raises(ValueError, match="no released Community-Forensics network"):
        Detector.from_pretrained(tmp_path)
