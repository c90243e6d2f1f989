"""Purification: exact values, and runs on small untrained models."""

import io

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution

from eval.attacks import purification as methods
from eval.attacks.purification.diffusion import cut, origins, paste
from eval.attacks.purification.latent import ReducedNoise
from images.io import to_rgb
from tests.conftest import SHIPPED
from tiny.dataset import PortraitDataset
from tiny.diffusion import build_text_encoder, build_tokenizer


@pytest.fixture(scope="module")
def unconditional(tmp_path_factory):
    """An untrained DDPM with ADM's learned variance, for 32 pixels."""
    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    network = UNet2DModel(
        sample_size=32,
        out_channels=6,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        **kinds,
    )
    folder = tmp_path_factory.mktemp("ddpm")
    DDPMPipeline(
        network, DDPMScheduler(beta_schedule="linear", variance_type="learned_range")
    ).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory):
    """An untrained x4 upscaler."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(
        [item["caption"] for item in PortraitDataset(0, 50, 1).__getitems__(list(range(50)))]
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        scaling_factor=0.08333,
    )
    unet = UNet2DConditionModel(
        in_channels=7,
        out_channels=4,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=2,
        num_class_embeds=1000,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    low = DDPMScheduler(beta_schedule="scaled_linear", beta_start=1e-4, beta_end=0.02)
    whole = StableDiffusionUpscalePipeline(
        vae, build_text_encoder(tokenizer, 16, 1), tokenizer, unet, low, DDIMScheduler()
    )
    folder = tmp_path_factory.mktemp("upscaler")
    whole.save_pretrained(folder)
    return str(folder)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def test_jpeg_is_pillows_file_and_passes_gradients(portraits):
    buffer = io.BytesIO()
    Image.fromarray(to_rgb(portraits[0])).save(buffer, format="JPEG", quality=75)
    expected = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float() / 255
    assert torch.equal(methods.Jpeg(75)(portraits, source())[0], expected)
    attached = portraits.clone().requires_grad_()
    coded = methods.Jpeg(75)(attached, source())
    coded.square().sum().backward()
    assert torch.allclose(coded[0], expected, atol=1e-6)
    assert attached.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "method",
    [
        methods.DownUp(),
        methods.GaussianBlur(),
        methods.GaussianNoise(),
        methods.Crop(),
        methods.RandomCrop(),
        methods.Rounding(4),
        methods.Bilateral(2),
        methods.Guided(2),
        methods.Chain([methods.Jpeg(80), methods.GaussianBlur()]),
    ],
    ids=lambda method: type(method).__name__,
)
def test_pixel_edits_keep_size_and_range_repeat_and_are_differentiable(method, portraits):
    images = portraits[:2, :, :50, :].clone().requires_grad_()
    edited = method(images, source())
    assert edited.shape == images.shape
    assert 0 <= edited.min() <= edited.max() <= 1
    assert torch.equal(edited, method(images, source()))
    edited.square().sum().backward()
    assert images.grad.abs().sum() > 0
    assert not torch.equal(edited, images)


def test_a_random_crop_shows_one_window_of_every_image(portraits):
    windows = set()
    for seed in range(6):
        cropped = methods.RandomCrop(0.5)(portraits[:2], source(seed))
        small = torch.nn.functional.interpolate(cropped, (32, 32), mode="bilinear", antialias=True)
        errors = {}
        for top in range(33):
            for left in range(33):
                window = portraits[:2, :, top : top + 32, left : left + 32]
                errors[top, left] = float((window - small).abs().mean())
        windows.add(min(errors, key=errors.get))
    assert len(windows) > 1, "the window moves"


def test_one_step_of_diffusion_is_the_models_estimate(portraits):
    method = methods.OneStepDiffusion(str(SHIPPED / "ddpm"), timestep=60)
    small = torch.nn.functional.interpolate(portraits[:2], scale_factor=0.5, mode="area")
    images = small.requires_grad_()  # the model's own side
    purified = method(images, source())
    # by hand: x0 = (x_t - sqrt(1 - a) * predicted noise) / sqrt(a)
    signal = method.schedule.alphas_cumprod[60]
    clean = images.detach() * 2 - 1
    noise = torch.randn(clean.shape, generator=source())
    noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
    with torch.no_grad():
        predicted = method.network(noisy, torch.tensor([60, 60])).sample
    expected = (noisy - (1 - signal).sqrt() * predicted) / signal.sqrt()
    assert torch.allclose(purified, ((expected + 1) / 2).clamp(0, 1), atol=1e-5)
    purified.sum().backward()
    assert images.grad.abs().sum() > 0


def test_one_step_in_windows_keeps_the_images_detail(portraits):
    images = portraits[:2].clone().requires_grad_()
    windows = methods.OneStepDiffusion(str(SHIPPED / "ddpm"), timestep=5, windows=True)
    whole = methods.OneStepDiffusion(str(SHIPPED / "ddpm"), timestep=5)
    errors = []
    for method in (windows, whole):
        purified = method(images, source())
        assert purified.shape == images.shape
        errors.append(float((purified - images).detach().abs().mean()))
    assert errors[0] < errors[1], "the model has 32 pixels, the images 64"
    windows(images, source()).sum().backward()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: methods.Jpeg(0), "quality"),
        (lambda: methods.DownUp(0), "scale"),
        (lambda: methods.GaussianBlur(0), "sigma"),
        (lambda: methods.Rounding(9), "bits"),
        (lambda: methods.Crop(1.5), "keep"),
        (lambda: methods.RandomCrop(0), "keep"),
        (lambda: methods.OneStepDiffusion(timestep=-1), "steps"),
        (lambda: methods.GridPure(gamma=1), "gamma"),
        (lambda: methods.DiffPure(steps=0), "steps"),
        (lambda: methods.ImageToImage(strength=0), "strength"),
        (lambda: methods.NoisyUpscale(offset=400), "offset"),
    ],
)
def test_settings_out_of_range_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_windows_cover_a_512_picture_as_published():
    assert origins(512, 256) == [0, 128, 256]
    ones = torch.ones(1, 1, 512, 512)
    assert cut(ones, 256).shape[0] == 10
    seen = torch.zeros(1, 1, 4, 4)
    for top in origins(512, 256):
        for left in origins(512, 256):
            seen[..., top // 128 : top // 128 + 2, left // 128 : left // 128 + 2] += 1
    seen[..., 0, 0] += 1
    seen[..., 0, 3] += 1
    seen[..., 3, 0] += 1
    seen[..., 3, 3] += 1
    assert seen.unique().tolist() == [2, 4]
    assert seen[0, 0, 0, 0] == seen[0, 0, 0, 1] == 2
    assert seen[0, 0, 1, 1] == 4


@settings(max_examples=30)
@given(st.integers(8, 30), st.integers(8, 30), st.sampled_from([7, 8]))
def test_cut_and_paste_gives_any_picture_back(height, width, side):
    images = torch.rand(2, 3, height, width, generator=source())
    assert torch.allclose(paste(cut(images, side), images.shape, side), images, atol=1e-6)


def test_the_tenth_window_is_made_of_the_corners():
    cells = torch.arange(16.0).view(1, 1, 4, 4)
    numbered = cells.repeat_interleave(128, dim=2).repeat_interleave(128, dim=3)
    assert cut(numbered, 256)[9, 0, ::128, ::128].tolist() == [[0, 3], [12, 15]]


def test_each_iteration_keeps_a_share_of_the_picture_before(unconditional, portraits, monkeypatch):
    method = methods.GridPure(unconditional, steps=3, iterations=2, gamma=0.25)
    monkeypatch.setattr(
        method, "denoise", lambda windows, source: torch.ones_like(windows)
    )  # white
    assert torch.allclose(method(portraits, source()), 1 - 0.25**2 * (1 - portraits), atol=1e-5)


def test_a_perfect_denoiser_leaves_brightness_alone(unconditional, portraits, monkeypatch):
    method = methods.GridPure(unconditional, steps=3, iterations=20)
    monkeypatch.setattr(method, "denoise", lambda windows, source: windows)
    assert torch.allclose(method(portraits, source()), portraits, atol=1e-5)


def test_the_way_back_is_exact_for_the_true_noise(unconditional, portraits, monkeypatch):
    """With a network that knows the clean picture, ancestral sampling ends at it."""
    method = methods.DiffPure(unconditional, steps=50, batch_size=8)
    schedule = DDPMScheduler(beta_schedule="linear", clip_sample=False)
    clean = torch.nn.functional.interpolate(portraits, 32) * 2 - 1

    class Knows(torch.nn.Module):
        def forward(self, x, step):
            signal = schedule.alphas_cumprod[step]
            return UNet2DModelOutput((x - signal.sqrt() * clean) / (1 - signal).sqrt())

    from diffusers.models.unets.unet_2d import UNet2DOutput as UNet2DModelOutput

    method.__dict__ |= {"network": Knows(), "schedule": schedule}
    assert torch.allclose(method.denoise(clean, source()), clean, atol=1e-4)


@pytest.mark.parametrize("shape", [(64, 64), (48, 80), (20, 40)])
def test_diffusion_methods_run(unconditional, shape):
    images = torch.rand(2, 3, *shape, generator=source())
    for method in (
        methods.DiffPure(unconditional, steps=3),
        methods.GridPure(unconditional, steps=2, iterations=2),
    ):
        washed = method(images, source())
        assert washed.shape == images.shape
        assert 0 <= washed.min() <= washed.max() <= 1
        assert torch.equal(washed, method(images, source()))
        assert not torch.equal(washed, method(images, source(1)))


def test_more_steps_than_the_model_was_trained_for(unconditional, portraits):
    with pytest.raises(ValueError, match=r"steps is 2000, but .* was trained with 1000"):
        methods.DiffPure(unconditional, steps=2000)(portraits, source())


def test_img2img_and_upscaling_run(pipelines, upscaler, portraits):
    for method in (
        methods.ImageToImage(pipelines[0], strength=0.5, steps=4),
        methods.NoisyUpscale(upscaler, steps=2),
        methods.NoisyUpscale(upscaler, steps=2, sigma=0, offset=0),
    ):
        washed = method(portraits[:2], source())
        assert washed.shape == (2, 3, 64, 64)
        assert 0 <= washed.min() <= washed.max() <= 1
        assert torch.equal(washed, method(portraits[:2], source()))


def test_the_upscaler_is_told_of_noise_it_does_not_add(upscaler, portraits, monkeypatch):
    asked = []
    real = DDPMScheduler.add_noise
    monkeypatch.setattr(
        DDPMScheduler,
        "add_noise",
        lambda self, x, noise, steps: asked.append(int(steps)) or real(self, x, noise, steps),
    )
    for offset in (320, 0):
        methods.NoisyUpscale(upscaler, steps=2, offset=offset)(portraits[:1], source())
    assert asked == [0, 320]


def test_a_blur_wider_than_the_picture():
    assert methods.GaussianBlur(20)(torch.rand(1, 3, 16, 16), source()).shape == (1, 3, 16, 16)


def test_the_upscaler_adds_no_noise_of_its_own_unless_asked(portraits):
    noise, level = torch.randn(portraits.shape, generator=source()), torch.tensor([320])
    schedule = ReducedNoise(beta_schedule="scaled_linear", beta_start=1e-4, beta_end=0.02)
    added = schedule.add_noise(portraits, noise, level) - portraits
    assert added.std() > 0.4
    schedule.offset = 320
    assert (schedule.add_noise(portraits, noise, level) - portraits).std() < 0.011


def test_filters_smooth_flat_areas_and_keep_edges():
    image = torch.zeros(1, 3, 16, 16)
    image[..., 8:] = 0.8
    noisy = (image + 0.02 * torch.randn(image.shape, generator=source())).clamp(0, 1)
    for method in (methods.Bilateral(), methods.Guided()):
        filtered = method(noisy, source())
        assert (filtered - image).abs().mean() < (noisy - image).abs().mean()
        assert (filtered[..., 8] - filtered[..., 7]).min() > 0.6
    with pytest.raises(ValueError, match="above 0"):
        methods.Bilateral(color=0)
    with pytest.raises(ValueError, match="above 0"):
        methods.Guided(eps=0)


def test_a_chain_is_its_parts_in_order(portraits, unconditional):
    parts = [methods.Jpeg(60), methods.DownUp(0.5), methods.GaussianNoise()]
    draws = source()
    expected = portraits
    for part in parts:
        expected = part(expected, draws)
    assert torch.equal(methods.Chain(parts)(portraits, source()), expected)
    pure = methods.DiffPure(unconditional, steps=1)
    chain = methods.Chain([methods.Jpeg(60), methods.Chain([pure])])
    assert chain.models() == [unconditional]
    assert chain.to("cpu").record()["purifiers"][0]["quality"] == 60
    with pytest.raises(ValueError, match="purifiers is empty"):
        methods.Chain([])


def test_restoration_by_a_small_super_resolution_network(tmp_path, portraits):
    torch.manual_seed(0)
    config = Swin2SRConfig(
        image_size=32,
        patch_size=1,
        embed_dim=12,
        depths=[1],
        num_heads=[2],
        window_size=4,
        upscale=2,
        upsampler="pixelshuffledirect",
    )
    Swin2SRForImageSuperResolution(config).save_pretrained(tmp_path)
    method = methods.Restoration(str(tmp_path), 0.5, batch_size=2)
    restored = method(portraits[:3, :, :50, :40], source())
    assert restored.shape == (3, 3, 50, 40)
    assert 0 <= restored.min() <= restored.max() <= 1
    assert torch.allclose(restored[:1], method(portraits[:1, :, :50, :40], source()), atol=1e-5)
    with pytest.raises(ValueError, match="scale is above 0"):
        methods.Restoration(scale=0)
