"""Released detectors: Sentry's ConvNeXt and CLIP as mmpretrain saved them, and UnivFD's head."""

import re
import sys
import types

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from checkpoints.__main__ import main as door
from detectors import released
from detectors.detector import Detector
from engine.cli import run
from tests.detectors.mmpretrain import drawn, mm_clip, mm_convnext, mm_convnext_answers

DEPTHS, WIDTHS = (1, 1, 2, 1), (8, 16, 24, 32)


def told(capsys):
    return " ".join(
        line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
    )


def test_the_key_map_and_the_label_flip_give_the_released_networks_answers():
    state, images = drawn(mm_convnext(DEPTHS, WIDTHS)), torch.rand(3, 3, 64, 64)
    renamed = released.one_logit(
        released.rename(state, released.CONVNEXT_KEYS, "Sentry ConvNeXt"), "head.fc"
    )
    network = timm.create_model("convnext_small", num_classes=1, depths=DEPTHS, dims=WIDTHS).eval()
    network.load_state_dict(renamed)
    both = mm_convnext_answers(state, DEPTHS, images)
    with torch.no_grad():
        logit = network(images).squeeze(1)
    assert torch.allclose(logit.sigmoid(), both.softmax(dim=1)[:, 0], atol=1e-5), (
        "the first answer is generated"
    )


@pytest.mark.parametrize("name", ["convnext_tiny", "convnext_small", "convnext_base"])
def test_every_entry_of_the_released_sizes_finds_its_place(name):
    depths, width = next(size for size, known in released.CONVNEXTS.items() if known == name)
    shapes = mm_convnext(depths, tuple(width * 2**stage for stage in range(4)))
    with torch.device("meta"):
        config, weights = released.from_sentry_convnext(
            {key: torch.empty(shape) for key, shape in shapes.items()}
        )
        expected = Detector.from_config(
            {key: config[key] for key in ("network", "options", "view", "train_view")}
        ).state_dict()
    assert {key: value.shape for key, value in weights.items()} == {
        key: value.shape for key, value in expected.items()
    }
    assert config["options"]["name"] == name
    assert (config["view"]["size"], config["view"]["resize"], config["view"]["interpolation"]) == (
        224,
        256,
        "bicubic",
    )


def test_every_entry_of_the_released_clip_finds_its_place():
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in mm_clip(1024, 24, 14, 257).items()}
        config, weights = released.from_sentry_clip(state)
        expected = Detector.from_config(
            {key: config[key] for key in ("network", "options", "view", "train_view")}
        ).state_dict()
        unused = {key for key in expected if key not in weights}
    assert not unused
    assert {key: value.shape for key, value in weights.items()} == {
        key: value.shape for key, value in expected.items()
    }
    del state["backbone.ln1.weight"], state["backbone.ln1.bias"]
    with pytest.raises(ValueError, match="without CLIP's last norm"):
        released.from_sentry_clip(state)


SIZE, SMALL, VIT = ((1, 2, 4, 2), (24, 32, 48, 64)), "test_convnext", "test_vit"
"""Networks of timm's that are made for tests."""


@pytest.fixture
def small(monkeypatch):
    """Add a ConvNeXt of test size to the released ones."""
    monkeypatch.setitem(released.CONVNEXTS, (SIZE[0], SIZE[1][0]), SMALL)


def leftovers(monkeypatch):
    """Build a trainer's log: an object of a missing package, with arrays and functions."""
    for name in ("mmengine", "mmengine.logging", "mmengine.logging.history_buffer"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    module = sys.modules["mmengine.logging.history_buffer"]
    module.HistoryBuffer = type("HistoryBuffer", (), {"__module__": module.__name__})
    history = module.HistoryBuffer()
    history.values, history.last = np.ones(3), np.float64(0.5)
    return {
        "meta": {"epoch": 15},
        "message_hub": {"log": {"train/loss": history}},
        "optimizer": {"state": {}},
    }


@pytest.mark.parametrize("convolved", [False, True])
def test_a_trainers_file_becomes_a_detector(tmp_path, monkeypatch, small, capsys, convolved):
    state = drawn(mm_convnext(*SIZE))
    if convolved:  # mmpretrain may write its pointwise layers either way
        state = {
            key: value[..., None, None] if re.search(r"pointwise_conv..weight", key) else value
            for key, value in state.items()
        }
    torch.save({"state_dict": state} | leftovers(monkeypatch), tmp_path / "epoch_15.pth")
    for name in ("mmengine.logging.history_buffer", "mmengine.logging", "mmengine"):
        monkeypatch.delitem(sys.modules, name)
    assert (
        run(
            door,
            [
                "convert",
                str(tmp_path / "epoch_15.pth"),
                str(tmp_path / "D"),
                "--kind",
                "sentry_convnext",
            ],
        )
        == 0
    )
    assert f"{SMALL}; label 1 is generated" in capsys.readouterr().out
    opened = Detector.from_pretrained(tmp_path / "D")
    assert opened.calibration.images == 0
    assert opened.view == released.SENTRY_VIEW
    head = state["head.fc.weight"]
    assert torch.equal(opened.network.network.head.fc.weight, head[:1] - head[1:])
    assert (
        run(
            door,
            [
                "convert",
                str(tmp_path / "epoch_15.pth"),
                str(tmp_path / "D"),
                "--kind",
                "sentry_convnext",
            ],
        )
        == 2
    )
    assert "exists already" in told(capsys)


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (
            "sentry_convnext",
            {"neck.weight": torch.zeros(1)},
            "'neck.weight' does not belong to a released Sentry ConvNeXt checkpoint",
        ),
        (
            "sentry_convnext",
            {"head.fc.weight": torch.zeros(1000, 32)},
            "does not have two answers, generated and photograph",
        ),
        (
            "sentry_convnext",
            {},
            r"a ConvNeXt with \(1, 1, 2, 1\) blocks and 8 channels; released are",
        ),
        ("sentry_clip", {}, "does not belong to a released Sentry CLIP checkpoint"),
        ("univfd", {}, "not UnivFD's head"),
    ],
)
def test_foreign_files_are_told(tmp_path, kind, change, words, capsys):
    torch.save(drawn(mm_convnext(DEPTHS, WIDTHS)) | change, tmp_path / "some.pth")
    assert (
        run(door, ["convert", str(tmp_path / "some.pth"), str(tmp_path / "D"), "--kind", kind]) == 2
    )
    assert re.search(words, told(capsys))
    assert not (tmp_path / "D").exists()


def test_a_missing_entry_is_told(tmp_path, small):
    state = drawn(mm_convnext(*SIZE))
    del state["backbone.stages.2.3.gamma"]
    torch.save(state, tmp_path / "some.pth")
    with pytest.raises(
        ValueError,
        match=r"1 of \d+ entries are missing, the first is network.network.stages.2.blocks.3.gamma",
    ):
        released.import_released(tmp_path / "some.pth", tmp_path / "D", "sentry_convnext")


def test_univfds_head_on_a_backbone_of_ones_own(tmp_path):
    torch.manual_seed(0)
    backbone = timm.create_model(VIT).eval()
    save_file(backbone.state_dict(), tmp_path / "backbone.safetensors")
    head = nn.Linear(backbone.num_classes, 1)
    torch.save(head.state_dict(), tmp_path / "fc_weights.pth")
    made = released.import_released(
        tmp_path / "fc_weights.pth",
        tmp_path / "D",
        "univfd",
        VIT,
        tmp_path / "backbone.safetensors",
    )
    assert made.view == released.UNIVFD_VIEW
    opened, images = Detector.from_pretrained(tmp_path / "D"), torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        expected = head(backbone(opened.network.normalize(images))).squeeze(1)
        assert torch.allclose(opened(images), expected, atol=1e-5)


def test_univfd_without_a_backbone_or_a_network(tmp_path, monkeypatch):
    torch.save(nn.Linear(768, 1).state_dict(), tmp_path / "fc_weights.pth")

    def unreachable(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(
        FileNotFoundError, match=r"cannot be fetched \(no network\); give them with --backbone FILE"
    ):
        released.import_released(tmp_path / "fc_weights.pth", tmp_path / "D", "univfd")
