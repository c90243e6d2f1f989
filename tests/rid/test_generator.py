import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rid.generator import PerturbationGenerator, sincos_positions, unpatchify

SMALL = {"image_size": 64, "patch_size": 16, "width": 48, "depth": 2, "heads": 4}


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
    moved = {
        name
        for name, p in generator.named_parameters()
        if p.grad is not None and p.grad.abs().max() > 0
    }
    assert moved == {"to_pixels.weight", "to_pixels.bias"}
    assert all(p.grad is not None for p in generator.parameters()), (
        "DDP needs a gradient for every parameter"
    )


@settings(max_examples=20)
@given(budget=st.floats(1, 32), seed=st.integers(0, 1000))
def test_no_value_leaves_the_budget(budget, seed):
    torch.manual_seed(seed)
    generator = PerturbationGenerator(
        budget=budget, image_size=32, patch_size=8, width=16, depth=1, heads=2
    )
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=3)
    images = torch.rand(2, 3, 32, 32)
    assert generator(images).abs().max() <= budget / 255 + 1e-7
    assert generator.protect(images).min() >= 0
    assert generator.protect(images).max() <= 1


def test_a_batch_equals_its_singles():
    generator = PerturbationGenerator(**SMALL).eval()
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
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
        ({"budget": 0}, "gray levels"),
        ({"image_size": 60, "patch_size": 16}, "multiple of patch_size"),
        ({"width": 50, "heads": 4}, "width must be a multiple"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings_, words):
    with pytest.raises(ValueError, match=words):
        PerturbationGenerator(**SMALL | settings_)


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match="64x64 images, got 32x48"):
        PerturbationGenerator(**SMALL)(torch.rand(1, 3, 48, 32))


def test_checkpointed_blocks_give_the_same_gradient(portraits):
    torch.manual_seed(0)
    generator = PerturbationGenerator(image_size=64, patch_size=16, width=16, depth=2, heads=2)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    gradients = []
    for again in (False, True):
        generator.checkpointing = again
        generator.zero_grad()
        generator(portraits[:2]).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in generator.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
