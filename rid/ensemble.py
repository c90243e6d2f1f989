"""The diffusion models a perturbation is trained or optimised against.

Letters: B = pictures, M = models, V = distinct VAE encoders (V <= M).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextModel

from checkpoints.folders import pipeline_folder
from checkpoints.whole import opening
from models.pipelines import open_autoencoder
from rid.losses import adv_sds_loss, ancestral_step, diffuse, predicted_noise
from rid.noise import Rows


@dataclass
class Surrogate:
    """One latent-diffusion model: its UNet, noise schedule and embedded prompt, and which encoder it reads."""

    name: str
    unet: UNet2DConditionModel
    encoder: int
    scaling_factor: float
    shift_factor: float
    signal: Tensor
    """Cumulative alphas, (T,)."""
    prediction_type: str
    prompt: Tensor
    """The constant prompt's embedding, (1, tokens, width)."""


class DiffusionEnsemble:
    """Frozen latent-diffusion models, kept out of any module tree (not saved, averaged, counted or wrapped by DDP).

    VAEs whose encoders have identical weights are held and run once. The prompt is embedded once, by each model's own
    tokenizer and text encoder, which are then let go.

    Args:
        models: Pipeline folders or Hub ids, any number of them.
        prompt: The prompt the models see; RID trains with a single blank.
        dtype: Precision of the UNets. The encoders stay in float32, as gradients run through them; autocast may lower it.
        offload: Keep UNets in main memory, each on the pictures' device only while it predicts.

    Raises:
        ValueError: If ``models`` is empty.
        FileNotFoundError: If a model is neither a folder nor in the Hub cache; the message says how to get it.
    """

    def __init__(self, models: Sequence[str], prompt: str = " ", dtype: torch.dtype = torch.float32, offload: bool = False) -> None:
        if not models:
            msg = "a diffusion ensemble needs at least one model: a pipeline folder or a Hub id"
            raise ValueError(msg)
        self.offload = offload
        self.encoders: list[Any] = []
        self.surrogates: list[Surrogate] = []
        known: dict[str, int] = {}
        for name in models:
            folder = pipeline_folder(name)
            vae = open_autoencoder(folder)
            digest = _encoder_digest(vae)
            if digest not in known:
                known[digest] = len(self.encoders)
                del vae.decoder
                self.encoders.append(_frozen(vae).to(memory_format=torch.channels_last))
            with opening(folder):
                unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", dtype=dtype)
                scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
            self.surrogates.append(
                Surrogate(
                    name=name,
                    unet=_frozen(unet),
                    encoder=known[digest],
                    scaling_factor=vae.config.scaling_factor,
                    shift_factor=vae.config.shift_factor or 0.0,
                    signal=scheduler.alphas_cumprod,
                    prediction_type=scheduler.config.prediction_type,
                    prompt=embed_prompt(folder, prompt).to(dtype),
                )
            )

    def __len__(self) -> int:
        return len(self.surrogates)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # weight-averaging callbacks deep-copy the task; these weights never change

    def to(self, device: torch.device | str) -> Self:
        """Move every network and table to a device."""
        for encoder in self.encoders:
            encoder.to(device)
        for model in self.surrogates:
            if not self.offload:
                model.unet.to(device)
            model.signal, model.prompt = model.signal.to(device), model.prompt.to(device)
        return self

    def adv_sds(self, images: Tensor, generator: torch.Generator | Rows | None = None) -> Tensor:
        """Mean Adv-SDS loss over the models; its gradient reaches the pictures through the encoders alone.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            generator: Source of timesteps and noise; the global one if None.
        """
        losses = []
        for model, latents in self._latents(images, generator):
            noise, signal, steps = draw_noise(latents, model.signal, generator)
            noisy = diffuse(latents, noise, signal)
            with torch.no_grad():
                predicted = self.denoise(model, noisy, signal, steps)
            losses.append(adv_sds_loss(noisy, predicted, noise, signal))
        return torch.stack(losses).mean()

    def denoising_loss(
        self, images: Tensor, generator: torch.Generator | Rows | None = None, span: tuple[float, float] = (0.0, 1.0)
    ) -> Tensor:
        """Mean over the models of :meth:`denoising_losses`, (B,): what gradient ascent raises."""
        return self.denoising_losses(images, generator, span).mean(dim=0)

    def denoising_losses(
        self, images: Tensor, generator: torch.Generator | Rows | None = None, span: tuple[float, float] = (0.0, 1.0)
    ) -> Tensor:
        """Denoising error ``mean((predicted - noise)**2)`` of each model on each picture, (M, B).

        Differentiable through UNets and encoders.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            generator: Source of timesteps and noise; the global one if None.
            span: Share of the timesteps drawn from, lowest and highest.
        """
        losses = []
        for model, latents in self._latents(images, generator):
            noise, signal, steps = draw_noise(latents, model.signal, generator, span)
            predicted = self.denoise(model, diffuse(latents, noise, signal), signal, steps)
            losses.append((predicted - noise).square().mean(dim=(1, 2, 3)))
        return torch.stack(losses)

    def targeted_loss(self, images: Tensor, target: Tensor, generator: torch.Generator | Rows | None = None) -> Tensor:
        """Denoising error less the squared distance, one ancestral step on, to the target's latents at that step.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            target: The same shape.
            generator: Source of timesteps and noise; the global one if None.

        Returns:
            One value per picture, (B,), the mean over models.
        """
        values = []
        with torch.no_grad():
            aims = [latents for _, latents in self._latents(target, generator)]
        for (model, latents), aim in zip(self._latents(images, generator), aims, strict=True):
            noise, signal, steps = draw_noise(latents, model.signal, generator)
            noisy = diffuse(latents, noise, signal)
            predicted = self.denoise(model, noisy, signal, steps)
            before = torch.where(steps > 0, model.signal[(steps - 1).clamp(min=0)], torch.ones_like(signal))
            fresh = draw_noise(latents, model.signal, generator)[0]
            reached = ancestral_step(noisy, predicted, fresh, signal, before)
            shift = (reached - diffuse(aim, noise, before)).square()
            values.append(((predicted - noise).square() - shift).mean(dim=(1, 2, 3)))
        return torch.stack(values).mean(dim=0)

    def _latents(self, images: Tensor, generator: torch.Generator | Rows | None) -> Iterator[tuple[Surrogate, Tensor]]:
        # Under bfloat16 autocast latents are off by 2 % of what six levels of protection move them; the gradient keeps its
        # direction (cosine 0.99999), both measured on checkpoints/tiny.
        posteriors = [encoder.encode(images.float() * 2 - 1).latent_dist for encoder in self.encoders]
        for model in self.surrogates:
            posterior = posteriors[model.encoder]
            mean, std = posterior.mean.float(), posterior.std.float()
            sample = mean + std * rows(generator).normal(mean)
            yield model, (sample - model.shift_factor) * model.scaling_factor

    def denoise(self, model: Surrogate, noisy: Tensor, signal: Tensor, steps: Tensor) -> Tensor:
        """A model's estimate of the noise in (B, C, h, w) diffused latents under the constant prompt; ``signal`` and ``steps`` are (B,)."""
        prompt = model.prompt.expand(len(noisy), -1, -1)
        if self.offload:
            model.unet.to(noisy.device)
        output = model.unet(noisy.to(prompt.dtype), steps, prompt).sample.to(noisy.dtype)
        if self.offload and not torch.is_grad_enabled():  # under a graph the weights must stay for the backward pass
            model.unet.to("cpu")
        return predicted_noise(output, noisy, signal, model.prediction_type)


def embed_prompt(folder: str, prompt: str) -> Tensor:
    """The prompt as the pipeline in ``folder`` sees it, (1, tokens, width) float32, by its own tokenizer and text encoder."""
    with opening(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, subfolder="tokenizer")
        text_encoder = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", dtype=torch.float32).eval()
    tokens = tokenizer(prompt, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt")
    with torch.no_grad():
        return text_encoder(tokens.input_ids).last_hidden_state


def draw_noise(
    latents: Tensor, table: Tensor, generator: torch.Generator | Rows | None, span: tuple[float, float] = (0.0, 1.0)
) -> tuple[Tensor, Tensor, Tensor]:
    """Noise like the latents, and for each picture a timestep's cumulative alpha and number, from a share of the timesteps."""
    low, high = int(span[0] * len(table)), max(int(span[1] * len(table)), int(span[0] * len(table)) + 1)
    noise = rows(generator).normal(latents)
    steps = rows(generator).integers(low, high, latents)
    return noise, table[steps], steps


def rows(generator: torch.Generator | Rows | None) -> Rows:
    """A plain generator draws for the whole batch."""
    return generator if isinstance(generator, Rows) else Rows(generator)


def _encoder_digest(vae: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in vae.state_dict().items():
        if name.startswith(("encoder.", "quant_conv.")):
            digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def _frozen(network: Any) -> Any:
    if not isinstance(network, nn.Module):
        msg = f"expected a network, got {type(network).__name__}"
        raise TypeError(msg)
    return network.eval().requires_grad_(False)
