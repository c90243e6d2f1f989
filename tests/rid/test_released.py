"""The released checkpoint format, at the small size of the golden values."""

import math

import pytest
import torch

from checkpoints.__main__ import main
from engine.cli import run
from rid.generator import PerturbationGenerator
from rid.released import from_released, named_budget, read_released, released_shapes, to_released
from rid.weights import load_generator


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Golden weights: every entry a sine wave, adaLN matrices zero as after training."""
    shapes = released_shapes(width=48, depth=2, patch=16, tokens=16, labels=11)
    filled = {}
    for j, key in enumerate(sorted(shapes)):
        amplitude = 0.02 if len(shapes[key]) >= 2 else 0.1
        values = amplitude * torch.sin(
            0.37 * torch.arange(math.prod(shapes[key]), dtype=torch.float64) + 1.3 * j
        )
        filled[key] = values.float().view(shapes[key])
        if key.endswith("adaLN_modulation.1.weight"):
            filled[key].zero_()
    filled["pos_embed"] = PerturbationGenerator(
        image_size=64, patch_size=16, width=48, depth=1, heads=4
    ).positions
    return filled


@pytest.fixture
def images() -> torch.Tensor:
    h, w, c = (torch.arange(n, dtype=torch.float64) for n in (64, 64, 3))
    wave = torch.sin(0.01 * (h[:, None] * 64 + w)[None] + 2.1 * c[:, None, None]).float()
    return ((wave + 1) / 2).unsqueeze(0)


@torch.no_grad()
def test_golden_values_whole_and_folded(state, images):
    whole = from_released(state, budget=6.0, heads=4)
    for generator in (whole, whole.fold()):
        delta = 2 * generator(images)[0].double()  # the reference states its values on [-1, 1]
        assert delta.mean().item() == pytest.approx(-1.893391e-05, abs=1e-8)
        assert delta.std(correction=0).item() == pytest.approx(8.834402e-03, abs=1e-8)
        assert delta.abs().max().item() == pytest.approx(2.046341e-02, abs=1e-7)
        assert delta[0, 0, 0].item() == pytest.approx(-5.262096e-03, abs=1e-7)
        assert delta[1, 17, 33].item() == pytest.approx(-9.008103e-03, abs=1e-7)
        assert delta[2, 63, 63].item() == pytest.approx(-4.776454e-03, abs=1e-7)


def test_the_table_of_the_papers_size():
    shapes = released_shapes(width=1152, depth=14, patch=16, tokens=1024)
    assert len(shapes) == 152
    assert sum(math.prod(shape) for shape in shapes.values()) == 343_057_152
    with torch.device("meta"):
        folded = PerturbationGenerator(folded=True)
    assert sum(p.numel() for p in folded.parameters()) + 1024 * 1152 == 226_049_664


@torch.no_grad()
def test_folding_keeps_the_function_for_any_modulation(portraits):
    torch.manual_seed(0)
    whole = PerturbationGenerator(image_size=64, patch_size=16, width=48, depth=3, heads=4)
    for parameter in whole.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    folded = whole.fold()
    assert (whole(portraits) - folded(portraits)).abs().max() <= 1e-6
    assert not any("modulation" in key for key in folded.state_dict())
    assert folded.fold() is folded


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_close_and_bounded(state, images, dtype):
    folded = from_released(state, budget=6.0, heads=4).fold()
    exact, rough = folded(images), folded.to(dtype)(images)
    assert rough.dtype == torch.float32
    assert (exact - rough).abs().max() < 0.1 / 255
    assert rough.abs().max() <= 6 / 255


@torch.no_grad()
@pytest.mark.parametrize("folded", [False, True])
def test_export_to_the_released_format_and_back(state, images, folded):
    generator = from_released(state, budget=6.0, heads=4)
    exported = to_released(generator.fold() if folded else generator)
    assert set(exported) == set(state)
    again = from_released(exported, budget=6.0, heads=4)
    assert (again(images) - generator(images)).abs().max() <= 1e-6


def test_conversion_writes_a_folder_that_opens_and_says_its_budget(state, images, tmp_path, capsys):
    torch.save(state, tmp_path / "released.bin")
    arguments = [
        "convert",
        str(tmp_path / "released.bin"),
        str(tmp_path / "RID"),
        "--kind",
        "rid",
        "--budget",
        "4",
        "--heads",
        "4",
    ]
    assert run(main, arguments) == 0
    assert "4 of 255 gray levels" in capsys.readouterr().out
    generator = load_generator(str(tmp_path / "RID"))
    assert generator.budget == 4.0
    assert generator.modulation is None
    with torch.no_grad():
        assert torch.allclose(
            generator(images) * 6, from_released(state, 6.0, 4)(images) * 4, atol=1e-6
        )
    assert (
        run(main, ["convert", str(tmp_path / "RID"), str(tmp_path / "back.bin"), "--kind", "rid"])
        == 0
    )
    back = read_released(tmp_path / "back.bin", 4.0, 4)
    with torch.no_grad():
        assert (back(images) - generator(images)).abs().max() <= 1e-6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {"module." + key: value for key, value in s.items()}, "starts with 'module.'"),
        (
            lambda s: {key: value for key, value in s.items() if key != "blocks.1.mlp.fc1.bias"},
            "blocks.1.mlp.fc1.bias",
        ),
        (lambda s: s | {"extra": torch.zeros(1)}, "the first is extra"),
        (
            lambda s: s | {"blocks.0.attn.proj.bias": torch.zeros(3)},
            "blocks.0.attn.proj.bias has shape (3,)",
        ),
        (lambda s: s | {"blocks.0.adaLN_modulation.1.weight": torch.ones(288, 48)}, "is not zero"),
        (lambda s: s | {"pos_embed": s["pos_embed"] + 0.1}, "pos_embed is not the fixed"),
        (lambda s: s | {"blocks.0.attn.proj.bias": torch.full((48,), float("nan"))}, "not finite"),
        (lambda s: {"net": s}, "not a state dict of tensors"),
        (lambda s: {}, "x_embedder.proj.weight is missing"),
    ],
)
def test_anything_else_is_refused_in_one_line(state, tmp_path, capsys, change, words):
    torch.save(change(state), tmp_path / "some.bin")
    refused(tmp_path, capsys, words)


def test_a_truncated_file_a_hostile_one_and_none(state, tmp_path, capsys):
    refused(tmp_path, capsys, "no such file")
    torch.save(state, tmp_path / "some.bin")
    (tmp_path / "some.bin").write_bytes((tmp_path / "some.bin").read_bytes()[:5000])
    refused(tmp_path, capsys, "damaged, cut short")
    torch.save({"x": Hostile(tmp_path)}, tmp_path / "some.bin")
    refused(tmp_path, capsys, "more than plain tensors")
    assert not (tmp_path / "was-here").exists()


class Hostile:
    """Would touch a file when unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return (open, (str(self.folder / "was-here"), "w"))


def test_the_budget_must_be_given(state, tmp_path, capsys):
    torch.save(state, tmp_path / "some.bin")
    assert (
        run(main, ["convert", str(tmp_path / "some.bin"), str(tmp_path / "RID"), "--kind", "rid"])
        == 2
    )
    assert "--budget" in capsys.readouterr().err


def refused(folder, capsys, words):
    code = run(
        main,
        [
            "convert",
            str(folder / "some.bin"),
            str(folder / "RID"),
            "--kind",
            "rid",
            "--budget",
            "6",
            "--heads",
            "4",
        ],
    )
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert code == 2
    assert len(told) == 1
    assert words in told[0]
    assert not (folder / "RID").exists()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_released_files_in_half_precision_convert_and_protect(state, images, tmp_path, dtype):
    torch.save(
        {key: value.to(dtype) for key, value in state.items()}, tmp_path / "ASDS-eps-12_255.bin"
    )
    command = [
        "convert",
        str(tmp_path / "ASDS-eps-12_255.bin"),
        str(tmp_path / "RID"),
        "--kind",
        "rid",
        "--heads",
        "4",
    ]
    assert run(main, command) == 0
    opened = load_generator(str(tmp_path / "RID"))
    assert {value.dtype for value in opened.state_dict().values()} == {torch.float32}
    exact = from_released(state, budget=6.0, heads=4)(images)
    assert (opened(images) - exact).abs().max() < (
        1 / 255 if dtype == torch.bfloat16 else 0.1 / 255
    )
    assert (opened.protect(images) - images).abs().max() <= 6 / 255 + 1e-6


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        *(
            ("ASDS-eps-12_255.bin", 6.0),
            ("ASDS-eps-8_255.bin", 4.0),
            ("ASDS-onlyreg-eps12_255.bin", 6.0),
        ),
        *(("eps_6.bin", 3.0), ("mine.bin", None), ("steps-12.bin", None)),
    ],
)
def test_a_releases_name_tells_its_budget(tmp_path, name, levels):
    assert named_budget(tmp_path / name) == levels


def test_a_budget_other_than_the_names_is_refused_unless_forced(state, tmp_path, capsys):
    torch.save(state, tmp_path / "ASDS-eps-12_255.bin")
    command = [
        "convert",
        str(tmp_path / "ASDS-eps-12_255.bin"),
        str(tmp_path / "RID"),
        "--kind",
        "rid",
        "--heads",
        "4",
    ]
    assert run(main, [*command, "--budget", "12"]) == 2
    assert (
        "is a release of eps 12, which is 6 gray levels, not the 12 of --budget"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "RID").exists()
    assert run(main, [*command, "--budget", "12", "--force"]) == 0
    assert load_generator(str(tmp_path / "RID")).budget == 12
    command[2] = str(tmp_path / "named")
    assert run(main, command) == 0
    assert load_generator(str(tmp_path / "named")).budget == 6
