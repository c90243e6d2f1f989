"""TAEF2 from its released files."""

from pathlib import Path

import pytest
import torch

from datamodules.image_files import ImageFiles
from models.pipelines import open_autoencoder
from models.taef2 import TAEF2, open_released

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture
def released(tmp_path):
    torch.manual_seed(0)
    network = TAEF2().eval()
    for part in ("encoder", "decoder"):
        torch.save(getattr(network, part).state_dict(), tmp_path / f"taef2_{part}.pth")
    return network, tmp_path


def test_shapes_and_a_posterior_without_width(released):
    network = open_released(released[1])
    images = torch.rand(2, 3, 40, 64) * 2 - 1
    posterior = network.encode(images).latent_dist
    assert posterior.mean.shape == (2, 32, 5, 8)
    assert torch.equal(posterior.sample(), posterior.mode())
    assert not posterior.std.any()
    assert network.decode(posterior.mean).sample.shape == images.shape
    assert torch.equal(
        network.encode(images).latent_dist.mean, released[0].encode(images).latent_dist.mean
    )


def test_a_folder_of_it_opens_as_a_pipelines_autoencoder(released, tmp_path):
    released[0].save_pretrained(tmp_path / "pipeline" / "vae")
    images = torch.rand(1, 3, 32, 32)
    opened = open_autoencoder(tmp_path / "pipeline")
    assert torch.equal(
        opened.encode(images).latent_dist.mean, released[0].encode(images).latent_dist.mean
    )


def test_other_autoencoders_and_broken_files_are_told(released, tmp_path):
    (tmp_path / "pipeline" / "vae").mkdir(parents=True)
    (tmp_path / "pipeline" / "vae" / "config.json").write_text('{"_class_name": "VQModel"}')
    with pytest.raises(
        ValueError,
        match="is a VQModel; pipelines with AutoencoderKL or AutoencoderKLFlux2 or TAEF2",
    ):
        open_autoencoder(tmp_path / "pipeline")
    file = tmp_path / "taef2_decoder.pth"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match="does not hold TAEF2's decoder"):
        open_released(tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"taef2_decoder\.pth is missing"):
        open_released(tmp_path)


@pytest.mark.skipif(
    not (SHARED / "weights" / "taef2").is_dir(), reason="the released TAEF2 files are not here"
)
def test_the_released_weights_bring_faces_back():
    network = open_released(SHARED / "weights" / "taef2")
    files = ImageFiles([str(SHARED / "data" / "faces")], 128)
    images = torch.stack([files[index]["image"] for index in range(0, 32, 2)])
    with torch.no_grad():
        output = network.decode(network.encode(images * 2 - 1).latent_dist.mode()).sample / 2 + 0.5
    error = (output.clamp(0, 1) - images).square().mean()
    assert -10 * error.log10() > 31, "measured: 31 dB at 128 pixels"
