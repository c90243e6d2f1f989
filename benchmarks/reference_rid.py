"""RID's published computations, written from the formulas, for comparison only."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rid.generator import PerturbationGenerator, unpatchify
from rid.released import to_released


class UnfoldedNet(nn.Module):
    """Released network as an unfolded DiT.

    A zero condition passes through adaptive layer norms in every block; attention is explicit.
    """

    def __init__(self, generator: PerturbationGenerator) -> None:
        super().__init__()
        self.heads = int(generator.settings["heads"])
        self.depth = int(generator.settings["depth"])
        self.patch = generator.patch_size
        self.bound = generator.budget / 255 * 2
        released = to_released(generator)
        self.weights = nn.ParameterDict(
            {key.replace(".", "/"): value for key, value in released.items()}
        )

    def _weight(self, name: str) -> Tensor:
        """Return a weight by its released name."""
        return self.weights[name.replace(".", "/")]

    def _linear(self, name: str, x: Tensor) -> Tensor:
        """Apply a linear layer by its released name."""
        return F.linear(x, self._weight(f"{name}.weight"), self._weight(f"{name}.bias"))

    def forward(self, images: Tensor) -> Tensor:
        """Compute the perturbation of (B, 3, S, S) images in [-1, 1]."""
        # patches with positions
        kernel = self._weight("x_embedder.proj.weight")
        x = F.conv2d(images, kernel, self._weight("x_embedder.proj.bias"), stride=self.patch)
        x = x.flatten(2).transpose(1, 2) + self._weight("pos_embed")
        condition = F.silu(torch.zeros(len(images), x.shape[-1], device=x.device))
        for index in range(self.depth):
            block = f"blocks.{index}"
            modulation = self._linear(f"{block}.adaLN_modulation.1", condition)
            shift1, scale1, gate1, shift2, scale2, gate2 = modulation[:, None].chunk(6, dim=-1)
            normed = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale1) + shift1
            x = x + gate1 * self._attention(block, normed)
            normed = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale2) + shift2
            hidden = F.gelu(self._linear(f"{block}.mlp.fc1", normed), approximate="tanh")
            x = x + gate2 * self._linear(f"{block}.mlp.fc2", hidden)
        modulation = self._linear("final_layer.adaLN_modulation.1", condition)
        shift, scale = modulation[:, None].chunk(2, dim=-1)
        x = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift
        return unpatchify(self._linear("final_layer.linear", x), self.patch).tanh() * self.bound

    def _attention(self, block: str, x: Tensor) -> Tensor:
        """Apply a block's multi-head attention."""
        qkv = self._linear(f"{block}.attn.qkv", x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        mixed = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        return self._linear(f"{block}.attn.proj", mixed)


def adv_sds_step(models: list[dict[str, Any]], images: Tensor) -> Tensor:
    """Compute the Adv-SDS loss as the released script does.

    Every model encodes for itself, every text encoder embeds the constant prompt again, and the
    UNets run under autograd.

    Args:
        models: Dicts of ``vae``, ``unet``, ``text_encoder``, ``tokens`` and ``alphas_cumprod``.
        images: (B, 3, S, S) in [-1, 1], attached to the graph.
    """
    losses = []
    for model in models:
        latents = encode(model, images)
        noise = torch.randn_like(latents)
        count = len(model["alphas_cumprod"])
        timesteps = torch.randint(count, (len(latents),), device=latents.device)
        alpha = model["alphas_cumprod"][timesteps].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        predicted = predict_noise(model, noisy, timesteps)
        gradient = torch.nan_to_num(-(1 - alpha) * (predicted - noise))
        losses.append(0.5 * F.mse_loss(noisy, (noisy - gradient).detach()))
    return torch.stack(losses).mean()


def encode(model: dict[str, Any], images: Tensor) -> Tensor:
    """Sample latents of (B, 3, S, S) images in [-1, 1]."""
    vae = model["vae"]
    return vae.encode(images).latent_dist.sample() * vae.config.scaling_factor


def predict_noise(model: dict[str, Any], noisy: Tensor, timesteps: Tensor) -> Tensor:
    """Predict the noise of latents, given the constant prompt.

    Args:
        model: Model of :func:`adv_sds_step`.
        noisy: (B, 4, s, s) noisy latents.
        timesteps: (B,) timesteps.
    """
    text = model["text_encoder"](model["tokens"]).last_hidden_state
    return model["unet"](noisy, timesteps, text.expand(len(noisy), -1, -1)).sample


def momentum_ascent(
    models: list[dict[str, Any]],
    images: Tensor,
    rounds: int,
    steps: int,
    bound: float,
    step_size: float,
) -> Tensor:
    """Attack images as the released script does: every model alone, then the mean.

    Weights are as loaded, so that their gradients are computed, too.

    Args:
        models: Models of :func:`adv_sds_step`.
        images: (B, 3, S, S) in [-1, 1].
        rounds: Rounds over the models.
        steps: Gradient steps per model and round.
        bound: Largest change, on the images' scale.
        step_size: Size of a step, on the images' scale.
    """
    current = images.clone()
    velocity = torch.zeros_like(images)
    for _ in range(rounds):
        results = []
        for model in models:
            attacked = current.clone()
            for _ in range(steps):
                gradient = denoising_gradient(model, attacked)
                mean = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
                velocity = 0.99 * velocity + gradient / mean
                change = attacked.detach() + step_size * velocity.sign() - images
                attacked = (images + change.clamp(-bound, bound)).clamp(-1, 1)
            results.append(attacked)
        current = torch.stack(results).mean(dim=0)
    return current


def denoising_gradient(model: dict[str, Any], images: Tensor) -> Tensor:
    """Compute the denoising loss's gradient with respect to images in [-1, 1]."""
    images = images.detach().requires_grad_()
    latents = encode(model, images)
    noise = torch.randn_like(latents)
    timesteps = torch.randint(len(model["alphas_cumprod"]), (len(latents),))
    alpha = model["alphas_cumprod"][timesteps].view(-1, 1, 1, 1)
    noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
    predicted = predict_noise(model, noisy, timesteps)
    for part in ("unet", "text_encoder", "vae"):
        model[part].zero_grad()
    F.mse_loss(predicted, noise).backward()
    assert images.grad is not None
    return images.grad
