"""Small real parts, built once: pipelines that diffusers opens, and people to protect."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from tiny.autoencoder import build_autoencoder
from tiny.dataset import PortraitDataset
from tiny.diffusion import build_text_encoder, build_tokenizer, build_unet, pipeline, save_half

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "checkpoints" / "tiny"

settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")  # a busy machine is no failure, and a failure comes again


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Seed every test and its fixtures, whichever tests ran before in the process."""
    random.seed(0)
    np.random.seed(0)  # libraries draw from it
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _threads():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory) -> list[str]:
    """Three untrained pipelines: the first two share a VAE, the third has one of its own."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pipelines")
    captions = [
        item["caption"] for item in PortraitDataset(0, 100, 1).__getitems__(list(range(100)))
    ]
    tokenizer = build_tokenizer(captions)
    shared, own = (
        build_autoencoder((8, 8, 16, 16), 8).eval(),
        build_autoencoder((8, 8, 16, 16), 4).eval(),
    )
    made = []
    for name, vae in (("a1", shared), ("a2", shared), ("b", own)):
        text_encoder = build_text_encoder(tokenizer, 16, 1).eval()
        unet = build_unet(vae.config.latent_channels, 8, (16, 16), 16, head_width=8).eval()
        whole = pipeline(vae, unet, text_encoder, tokenizer)
        save_half(whole, folder / name)
        vae.float()
        made.append(str(folder / name))
    return made


@pytest.fixture(scope="session")
def portraits() -> torch.Tensor:
    """Eight portraits of two evaluation identities, (8, 3, 64, 64) in [0, 1]."""
    items = PortraitDataset(1_000_000, 2, 4).__getitems__(list(range(8)))
    return torch.stack([item["image"] for item in items])


@pytest.fixture(scope="session")
def generator_folder(tmp_path_factory) -> Path:
    """A saved generator for 64-pixel views whose perturbation fills its budget of 6 levels."""
    from rid.generator import PerturbationGenerator
    from rid.weights import save_generator

    torch.manual_seed(1)
    generator = PerturbationGenerator(
        budget=6.0, image_size=64, patch_size=8, width=32, depth=2, heads=2
    )
    torch.nn.init.normal_(generator.to_pixels.weight, std=2)
    folder = tmp_path_factory.mktemp("generator")
    save_generator(generator, folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer():
    """A CLIP tokenizer of captions of portraits."""
    captions = [item["caption"] for item in PortraitDataset(0, 50, 1).__getitems__(range(50))]
    return build_tokenizer(captions)


@pytest.fixture(scope="session")
def flow_pipelines(tmp_path_factory, tokenizer) -> dict[str, str]:
    """Untrained pipelines of flow-matching transformers, by name: sd3, flux and flux2."""
    from tests.flow_models import build_flux, build_flux2, build_sd3

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("flow")
    return {
        "sd3": build_sd3(folder / "sd3", tokenizer),
        "flux": build_flux(folder / "flux", tokenizer),
        "flux2": build_flux2(folder / "flux2"),
    }


@pytest.fixture(scope="session")
def sdxl_pipeline(tmp_path_factory, tokenizer) -> str:
    """An untrained pipeline with SDXL's parts."""
    from tests.flow_models import build_sdxl

    torch.manual_seed(0)
    return build_sdxl(tmp_path_factory.mktemp("sdxl"), tokenizer)
