import pytest
import torch

from rid.__main__ import main
from rid.generator import PerturbationGenerator

onnxruntime = pytest.importorskip("onnxruntime", reason="needs requirements-onnx.txt")
pytest.importorskip("onnxscript", reason="needs requirements-onnx.txt")


def small_generator(folder):
    torch.manual_seed(0)
    generator = PerturbationGenerator(image_size=32, patch_size=8, width=24, depth=2, heads=2)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_(std=0.3)
    generator.save_pretrained(folder)
    return generator


def session(file):
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def test_a_file_computes_what_the_generator_computes_at_any_batch_size(tmp_path):
    generator = small_generator(tmp_path / "rid")
    file = tmp_path / "rid.onnx"
    assert main(["export", str(tmp_path / "rid"), "-o", str(file)]) == 0
    opened = session(file)
    for count in (1, 2, 5):
        images = torch.rand(count, 3, 32, 32)
        with torch.inference_mode():
            expected = generator(images)
        assert expected.abs().max() > 1 / 255
        [perturbations] = opened.run(None, {"images": images.numpy()})
        torch.testing.assert_close(torch.from_numpy(perturbations), expected, atol=1e-5, rtol=0)
    facts = opened.get_modelmeta().custom_metadata_map
    assert facts == {"image_size": "32", "budget_levels": "6"}
    # no path of the machine that wrote it
    assert b".py" not in file.read_bytes()


def test_8_bit_integers_are_smaller_and_stay_in_the_bound(tmp_path, capsys):
    generator = small_generator(tmp_path / "rid")
    assert main(["export", str(tmp_path / "rid"), "-o", str(tmp_path / "float.onnx")]) == 0
    assert main(["export", str(tmp_path / "rid"), "-o", str(tmp_path / "int8.onnx"), "--int8"]) == 0
    assert "differs from PyTorch by at most" in capsys.readouterr().out
    sizes = [(tmp_path / name).stat().st_size for name in ("float.onnx", "int8.onnx")]
    assert sizes[1] < 0.6 * sizes[0]
    images = torch.rand(2, 3, 32, 32)
    [perturbations] = session(tmp_path / "int8.onnx").run(None, {"images": images.numpy()})
    perturbations = torch.from_numpy(perturbations)
    assert perturbations.abs().max() <= 6 / 255 + 1e-6
    with torch.inference_mode():
        expected = generator(images)
    assert (perturbations - expected).abs().mean() < 0.2 * expected.abs().mean()


def test_an_existing_file_is_kept(tmp_path):
    small_generator(tmp_path / "rid")
    (tmp_path / "rid.onnx").write_text("mine")
    with pytest.raises(ValueError, match="exists already"):
        main(["export", str(tmp_path / "rid"), "-o", str(tmp_path / "rid.onnx")])
    assert (tmp_path / "rid.onnx").read_text() == "mine"
