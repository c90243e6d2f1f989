"""SPAI: random weights in the released layout answer as the published code."""

import sys
import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from checkpoints.__main__ import main as door
from detectors.detector import Detector
from detectors.networks.spectral import SpectralClassifier, low_pass, squares_of
from detectors.released import import_released
from detectors.released_spai import from_spai
from engine.cli import run

BLOCKS = 12
FEATURES = "mfvit.features_processor"


def layout(width, projected, attention, heads, hidden):
    """Return shapes of all entries of SPAI's checkpoint, with other widths if asked for."""
    context = 6 * BLOCKS + projected
    linear = {}
    norms = {"norm": context}
    for block in range(BLOCKS + 1):
        place = "cls_blocks.0" if block == BLOCKS else f"blocks.{block}"
        place = f"mfvit.vit.{place}"
        norms |= {f"{place}.norm1": width, f"{place}.norm2": width}
        linear |= {f"{place}.attn.proj": (width, width)}
        linear |= {f"{place}.mlp.fc1": (4 * width, width), f"{place}.mlp.fc2": (width, 4 * width)}
    for block in range(BLOCKS):
        norms[f"mfvit.vit.intermediate_fc_norm.{block}"] = width
        place = f"{FEATURES}.patch_projector.projectors.{block}"
        norms |= {f"{place}.norm1": width, f"{place}.norm2": projected}
        linear |= {f"{place}.projector.1": (projected, width)}
        linear |= {f"{place}.projector.4": (projected, projected)}
    for part, inputs in (("proj1", 2 * projected), ("proj2", projected)):
        place = f"{FEATURES}.original_features_processor.{part}"
        norms[f"{place}.norm2"] = projected
        linear |= {f"{place}.projector.1": (projected, inputs)}
        linear |= {f"{place}.projector.4": (projected, projected)}
    norms["mfvit.vit.fc_norm"] = width
    linear |= {"mfvit.vit.head": (2, BLOCKS * width)}
    inner = hidden * context
    linear |= {"cls_head.head.0": (inner, context), "cls_head.head.3": (inner, inner)}
    linear |= {"cls_head.head.6": (1, inner)}
    shapes = {
        "patch_aggregator": (heads, 1, attention // heads),
        "to_kv.weight": (2 * attention, context),
        "to_out.0.weight": (context, attention),
        "mfvit.frequencies_mask": (224, 224),
        "mfvit.vit.patch_embed.proj.weight": (width, 3, 16, 16),
        "mfvit.vit.patch_embed.proj.bias": (width,),
        f"{FEATURES}.original_features_processor.alpha": (1, BLOCKS, projected),
    }
    for name in ("cls_token", "actual_cls_token"):
        shapes[f"mfvit.vit.{name}"] = (1, 1, width)
    for name in ("pos_embed", "cls_pos_embed"):
        shapes[f"mfvit.vit.{name}"] = (1, 197, width)
    for place in [name.removesuffix(".attn.proj") for name in linear if name.endswith("attn.proj")]:
        shapes[f"{place}.attn.qkv.weight"] = (3 * width, width)
        shapes |= {f"{place}.attn.q_bias": (width,), f"{place}.attn.v_bias": (width,)}
    for name, size in norms.items():
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def published_mask():
    """Build the published mask of low frequencies, of 224 pixels and radius 16."""
    line = [*range(111, -1, -1), *range(112)]
    rows = [[1 if (x * x + y * y) ** 0.5 < 16 else 0 for x in line] for y in line]
    return torch.tensor(rows)


def file_entries():
    """Return random entries in the released layout, on a narrow ViT."""
    torch.manual_seed(0)
    shapes = layout(192, 32, 24, 12, 3)
    state = {name: torch.randn(shape) * 0.2 for name, shape in shapes.items()}
    for name, value in state.items():
        if "norm" in name and name.endswith("weight"):
            value += 1
    return state | {"mfvit.frequencies_mask": published_mask()}


class Published:
    """Forward pass of the published code, from a checkpoint's entries."""

    def __init__(self, state):
        self.state = state

    def linear(self, x, name):
        return F.linear(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"))

    def norm(self, x, name, eps=1e-5):
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, eps)

    def projector(self, x, place, last):
        if f"{place}.norm1.weight" in self.state:
            x = self.norm(x, f"{place}.norm1")
        x = F.gelu(self.linear(x, f"{place}.projector.1"))
        return self.norm(last(self.linear(x, f"{place}.projector.4")), f"{place}.norm2")

    def vit(self, x):
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        x = (x - mean) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        own = {key.removeprefix("mfvit.vit."): value for key, value in self.state.items()}
        patches = own["patch_embed.proj.weight"], own["patch_embed.proj.bias"]
        x = F.conv2d(x, *patches, stride=16).flatten(2).transpose(1, 2)
        x = torch.cat([own["cls_token"].expand(len(x), -1, -1), x], 1) + own["pos_embed"]
        found = []
        for number in range(BLOCKS):
            block = f"mfvit.vit.blocks.{number}"
            queries, values = (self.state[f"{block}.attn.{kind}_bias"] for kind in "qv")
            bias = torch.cat([queries, torch.zeros_like(values), values])
            normed = self.norm(x, f"{block}.norm1", 1e-6)
            qkv = F.linear(normed, self.state[f"{block}.attn.qkv.weight"], bias)
            q, k, v = qkv.reshape(len(x), 197, 3, 3, 64).permute(2, 0, 3, 1, 4)
            mixed = (q / 8 @ k.transpose(-2, -1)).softmax(-1) @ v
            x = x + self.linear(mixed.transpose(1, 2).flatten(2), f"{block}.attn.proj")
            hidden = F.gelu(self.linear(self.norm(x, f"{block}.norm2", 1e-6), f"{block}.mlp.fc1"))
            x = x + self.linear(hidden, f"{block}.mlp.fc2")
            found.append(x[:, 1:])
        return torch.stack(found, 1)

    def context(self, square):
        mask = self.state["mfvit.frequencies_mask"]
        spectrum = torch.fft.fftshift(torch.fft.fft2(square), dim=(-2, -1))
        parts = [square]
        for kept in (mask, 1 - mask):
            back = torch.fft.ifftshift(spectrum * kept, dim=(-2, -1))
            parts.append(torch.fft.ifft2(back).real.clamp(0, 1))
        projected = []
        for part in parts:
            tokens = self.vit(part)
            place = f"{FEATURES}.patch_projector.projectors"
            rows = [
                self.projector(tokens[:, n], f"{place}.{n}", lambda x: x) for n in range(BLOCKS)
            ]
            projected.append(torch.stack(rows, 1))
        own, low, high = projected
        pairs = ((own, low), (own, high), (low, high))
        alike = [F.cosine_similarity(one, other, dim=-1) for one, other in pairs]
        numbers = [statistic for one in alike for statistic in (one.mean(-1), one.std(-1))]
        place = f"{FEATURES}.original_features_processor"
        described = torch.cat([own.mean(2), own.std(2)], -1)
        described = self.projector(described, f"{place}.proj1", F.gelu)
        described = (self.state[f"{place}.alpha"].softmax(1) * described).sum(1)
        return torch.cat([*numbers, self.projector(described, f"{place}.proj2", F.gelu)], 1)

    def __call__(self, squares):
        contexts = torch.cat([self.context(square[None]) for square in squares])
        keys, values = self.linear(contexts, "to_kv").chunk(2, -1)
        outputs = []
        for head, query in enumerate(self.state["patch_aggregator"]):
            part = slice(2 * head, 2 * head + 2)
            weights = (query @ keys[:, part].T * 2**-0.5).softmax(-1)
            outputs.append(weights @ values[:, part])
        x = self.norm(self.linear(torch.cat(outputs, 1), "to_out.0"), "norm")
        for name in ("cls_head.head.0", "cls_head.head.3"):
            x = self.linear(x, name).relu()
        return self.linear(x, "cls_head.head.6").item()


def corners(pixels, places):
    """Cut squares of 224 pixels from (H, W, 3) uint8."""
    cut = [pixels[top : top + 224, left : left + 224] for top, left in places]
    return torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Convert a file that carries a trainer's settings, as the released one does."""
    place = tmp_path_factory.mktemp("spai")
    module = types.ModuleType("yacs.config")
    module.CfgNode = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    settings = module.CfgNode(DATA=module.CfgNode(IMG_SIZE=224))
    state = file_entries()
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
        patched.setitem(sys.modules, "yacs.config", module)
        torch.save({"model": state, "epoch": 9, "config": settings}, place / "spai.pth")
    command = ["convert", str(place / "spai.pth"), str(place / "spai"), "--kind", "spai"]
    assert run(door, command) == 0
    return Published(state), Detector.from_pretrained(place / "spai")


@pytest.mark.parametrize(
    ("size", "places"),
    [
        ((460, 500), [(0, 0), (0, 224), (224, 0), (224, 224)]),
        ((230, 461), [(0, 0), (0, 237), (6, 0), (6, 237), (3, 118)]),
    ],
)
def test_spai_answers_as_the_published_code(converted, size, places):
    published, detector = converted
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    [prediction] = detector.predict(Image.fromarray(pixels))
    with torch.no_grad():
        expected = published(corners(pixels, places))
    assert prediction.logit == pytest.approx(expected, abs=1e-4)


def test_small_images_are_extended_by_their_reflection():
    image = torch.arange(13 * 17.0).view(1, 1, 13, 17)
    [[square]] = squares_of(image, 224)
    rows = np.pad(image[0, 0].numpy(), ((105, 106), (103, 104)), mode="reflect")
    assert np.array_equal(square[0].numpy(), rows)
    assert squares_of(torch.ones(1, 3, 1, 300), 224).shape == (1, 5, 3, 224, 224)


def test_one_square_answers_as_five_equal_ones(converted):
    published, detector = converted
    square = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        expected = published(square.expand(5, -1, -1, -1))
        assert detector(square).item() == pytest.approx(expected, abs=1e-4)


def test_every_entry_of_the_released_file_finds_its_place():
    """The counts are those of the released file."""
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in layout(768, 1024, 1536, 12, 3).items()}
        assert (len(state), sum(value.numel() for value in state.values())) == (324, 139_945_243)
        config, weights = from_spai(state)
        detector = Detector(config["network"], config["options"])
    shapes = {key: value.shape for key, value in detector.state_dict().items()}
    assert {key: value.shape for key, value in weights.items()} == shapes
    assert config["view"]["policy"] == "whole"


def test_the_mask_is_the_published_one():
    assert torch.equal(low_pass(224, 16), published_mask().float())


def test_wrong_files_and_settings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="does not belong to a released SPAI checkpoint"):
        from_spai({"fc.weight": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match="not SPAI's detector on a ViT of width"):
        from_spai({"to_kv.weight": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match="none of its values"):
        from_spai({"mfvit.vit.blocks.0.attn.q_bias": torch.zeros(3)})
    entries = file_entries()
    del entries["to_out.0.weight"]
    torch.save({"model": entries}, tmp_path / "cut.pth")
    with pytest.raises(ValueError, match=r"to_out"):
        import_released(tmp_path / "cut.pth", tmp_path / "cut", "spai")
    with pytest.raises(ValueError, match="attention is a multiple of heads"):
        SpectralClassifier("vit_tiny_patch16_224", attention=10, heads=4)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        SpectralClassifier("vit_tiny_patch16_224", width=0)
    with pytest.raises(ValueError, match="no blocks with patch tokens"):
        SpectralClassifier("resnet10t")
