import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rid.generator import PerturbationGenerator, sincos_positions, unpatchify

SMALL = {"image_size": 64, "patch_size": 16, "width": 48, "depth": 2, "heads": 4}


def released_small_state() -> dict[str, torch.Tensor]:
    """The released net's entries at the small size, filled by the rule of the golden values."""
    width, depth, patch, classes = 48, 2, 16, 10
    shapes = {
        "pos_embed": (1, 16, width),
        "x_embedder.proj.weight": (width, 3, patch, patch),
        "x_embedder.proj.bias": (width,),
        "t_embedder.mlp.0.weight": (width, 256),
        "t_embedder.mlp.0.bias": (width,),
        "t_embedder.mlp.2.weight": (width, width),
        "t_embedder.mlp.2.bias": (width,),
        "y_embedder.embedding_table.weight": (classes + 1, width),
        "final_layer.linear.weight": (3 * patch**2, width),
        "final_layer.linear.bias": (3 * patch**2,),
        "final_layer.adaLN_modulation.1.weight": (2 * width, width),
        "final_layer.adaLN_modulation.1.bias": (2 * width,),
    }
    for index in range(depth):
        block = f"blocks.{index}."
        shapes |= {
            block + "attn.qkv.weight": (3 * width, width),
            block + "attn.qkv.bias": (3 * width,),
            block + "attn.proj.weight": (width, width),
            block + "attn.proj.bias": (width,),
            block + "mlp.fc1.weight": (4 * width, width),
            block + "mlp.fc1.bias": (4 * width,),
            block + "mlp.fc2.weight": (width, 4 * width),
            block + "mlp.fc2.bias": (width,),
            block + "adaLN_modulation.1.weight": (6 * width, width),
            block + "adaLN_modulation.1.bias": (6 * width,),
        }
    state = {}
    for j, key in enumerate(sorted(shapes)):
        count = math.prod(shapes[key])
        amplitude = 0.02 if len(shapes[key]) >= 2 else 0.1
        values = amplitude * torch.sin(0.37 * torch.arange(count, dtype=torch.float64) + 1.3 * j)
        state[key] = values.float().view(shapes[key])
    return state


def ours(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Released entries under this project's names; those that inference never uses are left out."""
    names = {"x_embedder.proj": "patches", "final_layer.linear": "to_pixels", "attn.": "", "mlp.": ""}
    renamed = {}
    for key, value in state.items():
        if key == "pos_embed" or "embedder.mlp" in key or key.startswith("y_embedder") or key.endswith("adaLN_modulation.1.weight"):
            continue
        if key.endswith("adaLN_modulation.1.bias"):
            place = key.removesuffix("adaLN_modulation.1.bias").removeprefix("final_layer.")
            renamed[place + "modulation"] = value.view(-1, 48)
            continue
        for old, new in names.items():
            key = key.replace(old, new)
        renamed[key] = value
    return renamed


def wave(side: int) -> torch.Tensor:
    h, w, c = (torch.arange(n, dtype=torch.float64) for n in (side, side, 3))
    return torch.sin(0.01 * (h[:, None] * side + w)[None] + 2.1 * c[:, None, None]).float().unsqueeze(0)


def test_golden_values_of_the_small_instance():
    generator = PerturbationGenerator(budget=6.0, **SMALL).eval()
    generator.load_state_dict(ours(released_small_state()))
    with torch.no_grad():
        delta = 2 * generator((wave(64) + 1) / 2)[0].double()  # the reference states its values on [-1, 1]
    assert delta.mean().item() == pytest.approx(-1.893391e-05, abs=1e-9)
    assert delta.std(correction=0).item() == pytest.approx(8.834402e-03, abs=1e-8)
    assert delta.abs().max().item() == pytest.approx(2.046341e-02, abs=1e-7)
    assert delta[0, 0, 0].item() == pytest.approx(-5.262096e-03, abs=1e-7)
    assert delta[1, 17, 33].item() == pytest.approx(-9.008103e-03, abs=1e-7)
    assert delta[2, 63, 63].item() == pytest.approx(-4.776454e-03, abs=1e-7)


def test_positions_of_the_full_size():
    table = sincos_positions(32, 1152)[0].double()
    for (token, dim), value in {
        (0, 288): 1.0,
        (1, 0): 0.84147096,
        (1, 1): 0.82405132,
        (1, 288): 0.54030228,
        (32, 0): 0.0,
        (32, 576): 0.84147096,
        (1023, 0): -0.40403765,
    }.items():
        assert table[token, dim].item() == pytest.approx(value, abs=1e-7)
    assert table.sum().item() == pytest.approx(494676.2995, abs=0.01)
    assert table.square().sum().item() == pytest.approx(589824.0, abs=0.01)


def test_default_size_is_the_papers():
    with torch.device("meta"):
        generator = PerturbationGenerator()
    live = sum(parameter.numel() for parameter in generator.parameters())
    assert live == 226_148_736 - 1024 * 1152  # the positional table is not a parameter here


def test_an_untrained_generator_changes_nothing():
    generator = PerturbationGenerator(**SMALL)
    assert (generator(torch.rand(2, 3, 64, 64)) == 0).all()


def test_the_first_step_reaches_only_the_output_layer():
    generator = PerturbationGenerator(**SMALL)
    generator(torch.rand(1, 3, 64, 64)).sum().backward()
    moved = {name for name, p in generator.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert moved == {"to_pixels.weight", "to_pixels.bias"}
    assert all(p.grad is not None for p in generator.parameters()), "DDP needs a gradient for every parameter"


@settings(max_examples=20, deadline=None)
@given(budget=st.floats(1, 32), seed=st.integers(0, 1000))
def test_no_value_leaves_the_budget(budget, seed):
    torch.manual_seed(seed)
    generator = PerturbationGenerator(budget=budget, image_size=32, patch_size=8, width=16, depth=1, heads=2)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=3)
    images = torch.rand(2, 3, 32, 32)
    assert generator(images).abs().max() <= budget / 255 + 1e-7
    assert generator.protect(images).min() >= 0
    assert generator.protect(images).max() <= 1


def test_a_batch_equals_its_singles():
    generator = PerturbationGenerator(**SMALL).eval()
    generator.load_state_dict(ours(released_small_state()))
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        singles = torch.cat([generator(image.unsqueeze(0)) for image in images])
        assert torch.allclose(generator(images), singles, atol=1e-7)


def test_tokens_become_pixels_channel_fastest():
    tokens = torch.arange(2 * 2 * 12, dtype=torch.float32).view(1, 4, 12)
    image = unpatchify(tokens, 2)[0]
    assert image[0, 0, 0] == 0
    assert image[1, 0, 0] == 1
    assert image[0, 0, 1] == 3
    assert image[0, 1, 0] == 6
    assert image[0, 0, 2] == 12
    assert image[0, 2, 0] == 24


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"budget": 0}, "grey levels"),
        ({"image_size": 60, "patch_size": 16}, "multiple of patch_size"),
        ({"width": 50, "heads": 4}, "width must be a multiple"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings_, words):
    with pytest.raises(ValueError, match=words):
        PerturbationGenerator(**SMALL | settings_)


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match="64x64 pictures, got 32x48"):
        PerturbationGenerator(**SMALL)(torch.rand(1, 3, 48, 32))
