"""Ensembles of frozen diffusion models for training and PGD.

Letters: B = images, M = models, V = distinct VAE encoders (V <= M).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.denoisers import open_family
from models.denoisers.latents import LatentScale
from models.noise import NoiseSource, TimestepRange, as_sharded, diffuse
from models.pipelines import open_autoencoder
from rid.losses import adv_sds_loss, ancestral_step
from rid.surrogates import Surrogate


class DiffusionEnsemble:
    """Frozen latent diffusion models, held outside of any module tree.

    They may be of different families: UNets, and transformers trained by flow matching.
    They are not saved in checkpoints, averaged, counted as parameters or wrapped by DDP.
    VAEs whose encoders have identical weights are held and run once.
    The prompt is encoded once with each model's text encoders, which are then freed.

    Args:
        models: Pipeline folders or Hub ids, at least one.
        prompt: Prompt for all models; RID trains with a single blank.
        dtype: Precision of the denoising networks. The encoders stay in float32, as gradients run
            through them; autocast may lower it.
        offload: Keep each network in main memory except while it predicts.
        checkpointing: Recompute the encoders' blocks in the backward pass.

    Raises:
        ValueError: If ``models`` is empty.
        FileNotFoundError: If a model is neither a folder nor in the Hub cache; the message says how
            to get it.
    """

    def __init__(
        self,
        models: Sequence[str],
        prompt: str = " ",
        dtype: torch.dtype = torch.float32,
        offload: bool = False,
        checkpointing: bool = False,
    ) -> None:
        if not models:
            msg = "a diffusion ensemble needs at least one model: a pipeline folder or a Hub id"
            raise ValueError(msg)
        self.offload = offload
        self.encoders: list[Any] = []
        self.surrogates: list[Surrogate] = []
        encoder_by_digest: dict[str, int] = {}
        for name in models:
            # VAE: keep one encoder per distinct set of weights
            family = open_family(name)
            vae = open_autoencoder(family.folder)
            scale = LatentScale.of(vae)
            digest = _encoder_digest(vae)
            if digest not in encoder_by_digest:
                encoder_by_digest[digest] = len(self.encoders)
                del vae.decoder
                if checkpointing:
                    vae.enable_gradient_checkpointing()
                self.encoders.append(_frozen(vae).to(memory_format=torch.channels_last))
            # network, noise schedule and prompt
            conditions = family.encode_apart([prompt])
            self.surrogates.append(
                Surrogate(
                    name=name,
                    family=family,
                    network=_frozen(family.open_network(dtype)),
                    encoder=encoder_by_digest[digest],
                    scale=scale,
                    schedule=family.schedule(),
                    conditions={key: value.to(dtype) for key, value in conditions.items()},
                )
            )

    def __len__(self) -> int:
        return len(self.surrogates)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # weight-averaging callbacks deep-copy the task; these weights never change

    def to(self, device: torch.device | str) -> Self:
        """Move all networks and tensors to a device."""
        for encoder in self.encoders:
            encoder.to(device)
        for model in self.surrogates:
            if not self.offload:
                model.network.to(device)
            model.to(device)
        return self

    def adv_sds(self, images: Tensor, generator: NoiseSource = None) -> Tensor:
        """Compute the mean Adv-SDS loss over the models.

        The gradient reaches the images through the encoders alone.
        See :func:`rid.losses.adv_sds_loss`.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            generator: Source of timesteps and noise.

        Returns:
            The loss, a scalar.
        """
        losses = []
        for model, latents in self.latents(images, generator):
            noise, alpha_bar, timesteps = model.schedule.draw(latents, generator)
            noisy = diffuse(latents, noise, alpha_bar)
            with torch.no_grad():
                predicted = self.denoise(model, noisy, timesteps)
            losses.append(adv_sds_loss(noisy, predicted, noise, alpha_bar))
        return torch.stack(losses).mean()

    def denoising_loss(
        self,
        images: Tensor,
        generator: NoiseSource = None,
        timestep_range: TimestepRange = (0.0, 1.0),
    ) -> Tensor:
        """Average :meth:`denoising_losses` over the models.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            generator: Source of timesteps and noise.
            timestep_range: Fractions of the noise schedule, see :data:`models.noise.TimestepRange`.

        Returns:
            One value per image, (B,).
        """
        return self.denoising_losses(images, generator, timestep_range).mean(dim=0)

    def denoising_losses(
        self,
        images: Tensor,
        generator: NoiseSource = None,
        timestep_range: TimestepRange = (0.0, 1.0),
    ) -> Tensor:
        """Compute each model's denoising error per image, the loss of its own training.

        It is ``mean((predicted - noise)**2)``, or that of the velocity for a model trained by flow
        matching. Differentiable through networks and encoders.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            generator: Source of timesteps and noise.
            timestep_range: Fractions of the noise schedule, see :data:`models.noise.TimestepRange`.

        Returns:
            (M, B).
        """
        losses = []
        for model, latents in self.latents(images, generator):
            noise, alpha_bar, timesteps = model.schedule.draw(latents, generator, timestep_range)
            noisy = diffuse(latents, noise, alpha_bar)
            error = self.denoise(model, noisy, timesteps) - noise
            error = model.schedule.denoising_error(error, timesteps)
            losses.append(error.square().mean(dim=(1, 2, 3)))
        return torch.stack(losses)

    def targeted_loss(
        self,
        images: Tensor,
        target: Tensor,
        generator: NoiseSource = None,
    ) -> Tensor:
        """Compute the denoising error minus T-ASPL's shift term.

        The shift term is the squared distance, after one ancestral step, to the target's latents
        at that timestep.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            target: Images to approach, same shape.
            generator: Source of timesteps and noise.

        Returns:
            One value per image, (B,), the mean over models.
        """
        losses = []
        with torch.no_grad():
            target_latents = [latents for _, latents in self.latents(target, generator)]
        image_latents = self.latents(images, generator)
        for (model, latents), goal in zip(image_latents, target_latents, strict=True):
            # denoising error at a random timestep
            noise, alpha_bar, timesteps = model.schedule.draw(latents, generator)
            noisy = diffuse(latents, noise, alpha_bar)
            predicted = self.denoise(model, noisy, timesteps)
            # one ancestral step to the timestep before
            previous = model.schedule.alphas_cumprod[(timesteps - 1).clamp(min=0)]
            alpha_bar_previous = torch.where(timesteps > 0, previous, torch.ones_like(alpha_bar))
            fresh_noise = model.schedule.draw(latents, generator)[0]
            stepped = ancestral_step(noisy, predicted, fresh_noise, alpha_bar, alpha_bar_previous)
            # distance to the target there
            shift = (stepped - diffuse(goal, noise, alpha_bar_previous)).square()
            losses.append(((predicted - noise).square() - shift).mean(dim=(1, 2, 3)))
        return torch.stack(losses).mean(dim=0)

    def latents(
        self,
        images: Tensor,
        generator: NoiseSource,
    ) -> Iterator[tuple[Surrogate, Tensor]]:
        """Yield each model with sampled, scaled latents.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].
            generator: Source of the draws from the posterior.

        Returns:
            Pairs of a model and (B, C, h, w), attached to the graph of the images.
        """
        # Under bfloat16 autocast the latents' error is 2 % of the change that a perturbation of
        # 6 grey levels causes; the gradient keeps its direction (cosine 0.99999).
        # Both were measured on checkpoints/tiny.
        scaled = images.float() * 2 - 1
        posteriors = [encoder.encode(scaled).latent_dist for encoder in self.encoders]
        for model in self.surrogates:
            posterior = posteriors[model.encoder]
            mean = posterior.mean.float()
            std = posterior.std.float()
            sample = mean + std * as_sharded(generator).randn(mean)
            yield model, model.scale.to_denoiser(sample)

    def denoise(self, model: Surrogate, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """Predict the noise in diffused latents under the constant prompt.

        Args:
            model: One of :attr:`surrogates`.
            noisy: Diffused latents, (B, C, h, w).
            timesteps: (B,) int64.

        Returns:
            (B, C, h, w).
        """
        if self.offload:
            model.network.to(noisy.device)
        predicted = model.predict_noise(noisy, timesteps)
        if self.offload and not torch.is_grad_enabled():  # the backward pass needs the weights
            model.network.to("cpu")
        return predicted


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
