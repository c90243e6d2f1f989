"""Recipes: adapters, layer decay with averaged weights, intermediate tokens, paired batches."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from datamodules.fake2m.datamodule import Fake2MDataModule
from datamodules.fake2m.making import ReconstructionConfig
from datamodules.fake2m.reconstruct import reconstruct
from datamodules.twins import TwinSource, TwinStream
from detectors.cli import main
from detectors.detector import Detector, load_detector
from detectors.module import SentryModule
from detectors.networks import NETWORKS
from detectors.optimization import parameter_groups, supervised_contrastive
from images.transforms import RandomHistory
from images.transforms.views import View

VIT = {"name": "test_vit2", "size": 32}
SHORT = {"max_epochs": 1, "limit_train_batches": 4}


@pytest.mark.parametrize(
    ("name", "side"),
    [("test_vit2", 64), ("vit_small_patch14_dinov2", 56), ("vit_tiny_patch16_dinov3_qkvb", 64)],
)
def test_every_adapter_is_trained_and_nothing_else_of_the_backbone(name, side):
    network = NETWORKS["lora"](name, size=side, rank=2).train()
    network(torch.rand(2, 3, side, side)).sum().backward()
    trained = {key for key, value in network.named_parameters() if value.grad is not None}
    adapters = {key for key in trained if ".lora_" in key}
    assert trained - adapters == {"linear.weight", "linear.bias"}
    assert adapters == {key for key, _ in network.named_parameters() if ".lora_" in key}
    assert len(adapters) == 8 * len(network.backbone.blocks)


def test_adapters_are_trained_and_saved(config):
    run = main(["fit", "-c", config("lora", VIT | {"rank": 2}, SHORT)])
    saved = load_detector(str(Path(run.trainer.log_dir) / "detector"))
    images = torch.rand(2, 3, 32, 32)
    assert torch.allclose(saved(images), run.model.detector.eval()(images), atol=1e-5)
    weights = saved.state_dict()
    assert any(value.abs().sum() > 0 for key, value in weights.items() if "lora_B" in key)


def test_networks_without_such_layers_are_refused():
    with pytest.raises(ValueError, match="no layers for adapters"):
        NETWORKS["lora"]("test_convnext")
    with pytest.raises(ValueError, match="no blocks with class tokens"):
        NETWORKS["intermediate"]("test_convnext")
    with pytest.raises(ValueError, match="rank is 1 to 256"):
        NETWORKS["lora"]("test_vit2", rank=0)
    with pytest.raises(ValueError, match="layer_decay is for networks of the kind timm"):
        _module("npr", layer_decay=0.7)
    with pytest.raises(ValueError, match="contrastive is for networks of the kind intermediate"):
        _module("npr", contrastive=0.1)
    with pytest.raises(ValueError, match="layer_decay is above 0"):
        _module("npr", layer_decay=0)


def _module(network, **settings):
    return SentryModule(Detector(network), **settings)


def test_layers_have_their_own_rates():
    detector = Detector("timm", {"name": "test_vit2"})
    groups = parameter_groups(detector, {"lr": 1.0, "weight_decay": 0.1, "layer_decay": 0.5})
    rates = {group["lr"] for group in groups}
    depth = len(detector.network.network.blocks)
    assert rates == {0.5**number for number in range(depth + 2)}
    count = sum(len(group["params"]) for group in groups)
    assert count == len(list(detector.parameters()))
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}


def test_the_averaged_weights_become_the_detector(config):
    average = {
        "class_path": "lightning.pytorch.callbacks.EMAWeightAveraging",
        "init_args": {"decay": 0.9},
    }
    keep = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"monitor": "val/auc", "mode": "max", "save_last": True},
    }
    trainer = SHORT | {"callbacks": [average, keep]}
    run = main(
        ["fit", "-c", config("patches", {"width": 8}, trainer, schedule="constant", lr=0.05)]
    )
    state = torch.load(run.trainer.checkpoint_callback.last_model_path, weights_only=True)
    saved = load_detector(str(Path(run.trainer.log_dir) / "detector")).state_dict()
    raw = state["current_model_state"]
    assert all(torch.equal(state["state_dict"][f"detector.{key}"], saved[key]) for key in saved)
    assert not all(torch.equal(raw[f"detector.{key}"], saved[key]) for key in saved)
    # the run goes on from both
    again = ["--ckpt_path", "last", "--trainer.max_epochs", "2"]
    resumed = main(
        [
            "fit",
            "-c",
            config("patches", {"width": 8}, trainer, schedule="constant", lr=0.05),
            *again,
        ]
    )
    assert resumed.trainer.global_step == 8


def test_intermediate_tokens_are_those_before_the_mlps(config):
    network = NETWORKS["intermediate"]("test_vit2", size=32, width=8).eval()
    images = torch.rand(2, 3, 32, 32)
    tokens = network.tokens(images)
    x = network.backbone.patch_embed(network.normalize(images))
    x = network.backbone.norm_pre(network.backbone._pos_embed(x))
    block = network.backbone.blocks[0]
    middle = block.norm2(x + block.ls1(block.attn(block.norm1(x))))
    assert torch.allclose(tokens[:, 0], middle[:, 0], atol=1e-5)
    assert tokens.shape[1] == len(network.backbone.blocks)
    options = VIT | {"width": 8}
    run = main(["fit", "-c", config("intermediate", options, SHORT, contrastive=0.1)])
    saved = load_detector(str(Path(run.trainer.log_dir) / "detector"))
    assert torch.allclose(saved(images), run.model.detector.eval()(images), atol=1e-5)


def test_the_contrastive_loss_by_hand():
    embeddings = torch.tensor([[1.0, 0], [0.6, 0.8], [0, 2.0]])
    labels = torch.tensor([0, 0, 1])
    s01, s02, s12 = (value / 0.07 for value in (0.6, 0.0, 0.8))
    expected = 0.5 * (np.logaddexp(s01, s02) - s01 + np.logaddexp(s01, s12) - s01)
    assert supervised_contrastive(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)
    assert supervised_contrastive(embeddings[1:], labels[1:]).item() == 0


# ---- paired batches ----


@pytest.fixture(scope="module")
def twins(shards):
    autoencoder = "checkpoints/tiny/sd-a1"
    made = ReconstructionConfig(autoencoder, "remade")
    reconstruct([f"{shards}/train-photos-*.tar"], shards / "remade", made)
    return TwinSource(f"{shards}/train-photos-*.tar", f"{shards}/remade/train-remade-*.tar")


def batches(twins, **settings):
    view = View("crop", size=24, resize=24, random=True)
    settings = {"batch_size": 6, "epoch_samples": 60, "num_workers": 0} | settings
    data = Fake2MDataModule(twins=[twins], train_view=view, **settings)
    torch.manual_seed(5)
    return list(data.train_dataloader())


def test_a_batch_holds_each_photo_with_its_reconstruction(twins):
    for batch in batches(twins):
        records = batch["record"]
        assert batch["label"].tolist() == [0, 1] * 3
        assert [made["twin"] for made in records[1::2]] == [real["sha256"] for real in records[::2]]
        apart = (batch["image"][::2] - batch["image"][1::2]).abs().mean()
        assert apart < 0.15, "the same crop and flip"


def test_paired_batches_repeat_with_edits_and_alignment(twins):
    settings = {"align": "dda", "train_edit": RandomHistory()}
    first, second = (batches(twins, **settings) for _ in range(2))
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(first, second, strict=True))
    plain = batches(twins, train_edit=RandomHistory())
    assert not all(torch.equal(a["image"], b["image"]) for a, b in zip(first, plain, strict=True))


def test_pairs_with_histories_go_on_exactly(twins):
    view = View("crop", size=24, resize=24, random=True)

    def stream():
        draws = {"batch_size": 4, "batches": 3, "shuffle": 8, "seed": 1, "rank": 0}
        return TwinStream([twins], aligned=True, view=view, edit=RandomHistory(), **draws)

    unbroken = stream()
    whole = [*unbroken]
    unbroken.go_to(3)
    whole += unbroken
    resumed = stream()
    resumed.go_to(2)
    rest = [*resumed]
    resumed.go_to(3)
    rest += resumed
    assert len(rest) == len(whole) - 8
    for expected, found in zip(whole[8:], rest, strict=True):
        assert torch.equal(expected["image"], found["image"])


def test_a_detector_is_trained_on_pairs_with_histories(config, twins, tmp_path):
    settings = yaml.safe_load(Path(config("tiny_patches", {}, SHORT)).read_text())
    data = settings["data"]
    del data["real"], data["generated"]
    data["twins"] = [{"real": twins.real, "made": twins.made}]
    data["align"] = "dda"
    data["train_edit"] = {
        "class_path": "images.transforms.histories.RandomHistory",
        "init_args": {"share": 0.5, "quality": [40, 90]},
    }
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(settings))
    run = main(["fit", "-c", str(tmp_path / "pairs.yaml"), "--gate", "off"])
    assert run.trainer.global_step == 4
    assert run.datamodule.train_edit == RandomHistory(share=0.5, quality=(40, 90))


def test_shards_that_are_no_twins_are_refused(twins, shards):
    with pytest.raises(ValueError, match=r"2 shards of reconstructions, but .* are 1"):
        batches(TwinSource(f"{shards}/train-photos-000000.tar", twins.made))
    with pytest.raises(ValueError, match=r"its original is not in|not a reconstruction of"):
        batches(TwinSource(f"{shards}/train-copies-*.tar", twins.made))
    with pytest.raises(ValueError, match="not a reconstruction of"):
        batches(TwinSource(twins.real, twins.real))
    with pytest.raises(ValueError, match="even batch_size"):
        batches(twins, batch_size=5)
    with pytest.raises(ValueError, match="align dda is for twins"):
        Fake2MDataModule(align="dda")
