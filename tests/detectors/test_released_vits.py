"""DDA, RINE and B-Free: random weights in the released layouts answer as the published code."""

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from PIL import Image

from checkpoints.__main__ import main as door
from detectors.detector import Detector
from detectors.released_vits import from_bfree, from_dda, from_rine, scaled_positions
from engine.cli import run

CLIP = torch.tensor([[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]])
WIDTH = 384


def opened(config, weights):
    settings = {key: config[key] for key in ("network", "options", "view", "train_view")}
    detector = Detector.from_config(settings)
    detector.load_state_dict(weights)
    return detector.eval()


def dda_file():
    """Return DDA's entries for a narrow DINOv2 of twelve blocks, with random values."""
    torch.manual_seed(0)
    state = timm.create_model("vit_small_patch14_dinov2", img_size=518).state_dict()
    state = {key: torch.randn_like(value) * 0.1 for key, value in state.items()}
    renamed = {"base_model.model.mask_token": torch.zeros(1, WIDTH)}
    for key, value in state.items():
        name, _, kind = key.rpartition(".")
        if not name.endswith(("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")):
            renamed[f"base_model.model.{key}"] = value
            continue
        renamed[f"base_model.model.{name}.original_layer.{kind}"] = value
        if kind == "weight":
            lora = f"base_model.model.{name}.lora.lora_"
            renamed[f"{lora}A"] = torch.randn(8, value.shape[1]) * 0.2
            renamed[f"{lora}B"] = torch.randn(value.shape[0], 8) * 0.2
    renamed["base_model.fc.weight"] = torch.randn(1, WIDTH)
    renamed["base_model.fc.bias"] = torch.randn(1)
    return renamed


def dda_answer(state, image):
    """Compute DDA's logit of an image, (1, 3, 336, 336) in [0, 1], from its entries alone."""
    own = {key.removeprefix("base_model.model."): value for key, value in state.items()}

    def norm(x, name):
        return F.layer_norm(x, (WIDTH,), own[f"{name}.weight"], own[f"{name}.bias"], 1e-6)

    def linear(x, name):
        plain = F.linear(
            x, own[f"{name}.original_layer.weight"], own[f"{name}.original_layer.bias"]
        )
        return plain + x @ own[f"{name}.lora.lora_A"].T @ own[f"{name}.lora.lora_B"].T / 8

    mean, std = CLIP.view(2, 1, 3, 1, 1)
    patches = own["patch_embed.proj.weight"], own["patch_embed.proj.bias"]
    tokens = F.conv2d((image - mean) / std, *patches, stride=14).flatten(2).transpose(1, 2)
    positions = own["pos_embed"]
    grid = positions[:, 1:].reshape(1, 37, 37, WIDTH).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, scale_factor=(24.1 / 37, 24.1 / 37), mode="bicubic")
    positions = torch.cat([positions[:, :1], grid.permute(0, 2, 3, 1).reshape(1, 576, WIDTH)], 1)
    x = torch.cat([own["cls_token"], tokens], 1) + positions
    for number in range(12):
        block = f"blocks.{number}"
        qkv = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv")
        query, key, value = qkv.reshape(1, 577, 3, 6, 64).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + own[f"{block}.ls1.gamma"] * linear(mixed, f"{block}.attn.proj")
        hidden = F.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1"))
        x = x + own[f"{block}.ls2.gamma"] * linear(hidden, f"{block}.mlp.fc2")
    features = norm(x, "norm")[:, 0]
    return F.linear(features, state["base_model.fc.weight"], state["base_model.fc.bias"]).item()


def test_dda_answers_as_the_published_code(tmp_path):
    state = dda_file()
    torch.save({"model": state, "epoch": 0}, tmp_path / "ckpt.pth")
    command = ["convert", str(tmp_path / "ckpt.pth"), str(tmp_path / "dda"), "--kind", "dda"]
    assert run(door, command) == 0
    detector = Detector.from_pretrained(tmp_path / "dda")
    pixels = np.random.default_rng(0).integers(0, 255, (400, 500, 3), np.uint8)
    [prediction] = detector.predict(Image.fromarray(pixels))
    crop = torch.from_numpy(pixels[32:368, 82:418].transpose(2, 0, 1).copy()).float()[None] / 255
    with torch.no_grad():
        assert prediction.logit == pytest.approx(dda_answer(state, crop), abs=2e-3)


def test_every_entry_of_the_released_sizes_finds_its_place():
    """The counts are those of the released files."""
    with torch.device("meta"):
        network = timm.create_model("vit_base_patch14_reg4_dinov2", num_classes=1, img_size=504)
        state = network.state_dict()
        assert (len(state), sum(value.numel() for value in state.values())) == (177, 86_526_721)
        config, weights = from_bfree(state)
        detector = Detector(config["network"], config["options"])
    shapes = {key: value.shape for key, value in detector.state_dict().items()}
    assert {key: value.shape for key, value in weights.items()} == shapes
    assert config["view"]["policy"] == "tile_crop"
    assert config["view"]["size"] == 504


def rine_file(blocks, token, width, layers):
    """Return the entries of RINE's trained part, with random values."""
    torch.manual_seed(1)
    shapes = {"alpha": (1, blocks, width)}
    places = {}
    for part, first in (("proj1", token), ("proj2", width)):
        for layer in range(layers):
            places[f"{part}.{1 + 3 * layer}"] = (width, first if layer == 0 else width)
    places |= {"head.0": (width, width), "head.3": (width, width), "head.6": (1, width)}
    for name, shape in places.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {name: torch.randn(shape) * 0.5 for name, shape in shapes.items()}


@pytest.mark.parametrize(("width", "layers", "size"), [(128, 4, 1_139_686), (1024, 2, 25_298_182)])
def test_rines_released_sizes(width, layers, size):
    state = rine_file(24, 1024, width, layers)
    stored = 4 * sum(value.numel() for value in state.values())
    assert 0 < size - stored < 10_000, "the rest of a file is names"


def test_rine_answers_as_the_published_code():
    backbone = timm.create_model("test_vit2").eval()
    blocks, token = len(backbone.blocks), backbone.num_features
    state = rine_file(blocks, token, 16, 3)
    detector = opened(*from_rine(state, backbone.state_dict(), "test_vit2"))
    assert (detector.options["width"], detector.options["layers"]) == (16, 3)
    images = torch.rand(2, 3, 160, 160)
    found = []
    for block in backbone.blocks:
        block.norm2.register_forward_hook(lambda _, __, output: found.append(output))
    with torch.no_grad():
        backbone(detector.network.normalize(images))
        x = torch.stack(found, dim=2)[:, 0]
        for number in (1, 4, 7):
            x = F.linear(x, state[f"proj1.{number}.weight"], state[f"proj1.{number}.bias"]).relu()
        x = (state["alpha"].softmax(dim=1) * x).sum(dim=1)
        for name in ("proj2.1", "proj2.4", "proj2.7", "head.0", "head.3"):
            x = F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"]).relu()
        expected = F.linear(x, state["head.6.weight"], state["head.6.bias"]).squeeze(1)
        assert torch.allclose(detector(images), expected, rtol=1e-4, atol=1e-4)


def test_other_files_are_refused():
    with pytest.raises(ValueError, match="does not belong to a released DDA checkpoint"):
        from_dda({"fc.weight": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match="not DDA's network"):
        from_dda({"base_model.fc.weight": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match="not RINE's trained part"):
        from_rine({"alpha": torch.zeros(1, 2, 3), "x": torch.zeros(1)}, {})
    with pytest.raises(ValueError, match="it has no alpha"):
        from_rine({}, {})
    with pytest.raises(ValueError, match="not B-Free's"):
        from_bfree({"cls_token": torch.zeros(1, 1, 768)})
    with pytest.raises(ValueError, match="not of a square grid"):
        scaled_positions(torch.zeros(1, 12, 4), 3)
