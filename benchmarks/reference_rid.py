"""The straightforward way, as RID's published programs compute it; written from the formulas, for comparison only."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rid.generator import PerturbationGenerator, unpatchify
from rid.released import to_released


class UnfoldedNet(nn.Module):
    """The released network as a DiT: a zero condition goes through adaptive layer norms in every block, attention is written out."""

    def __init__(self, generator: PerturbationGenerator) -> None:
        super().__init__()
        self.heads, self.patch = int(generator.settings["heads"]), generator.patch_size
        self.depth, self.bound = int(generator.settings["depth"]), generator.budget / 255 * 2
        self.weights = nn.ParameterDict(
            {key.replace(".", "/"): value for key, value in to_released(generator).items()}
        )

    def _w(self, name: str) -> Tensor:
        return self.weights[name.replace(".", "/")]

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self._w(f"{name}.weight"), self._w(f"{name}.bias"))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) in [-1, 1] to the perturbation on that scale."""
        x = F.conv2d(
            images,
            self._w("x_embedder.proj.weight"),
            self._w("x_embedder.proj.bias"),
            stride=self.patch,
        )
        x = x.flatten(2).transpose(1, 2) + self._w("pos_embed")
        condition = F.silu(torch.zeros(len(images), x.shape[-1], device=x.device))
        for index in range(self.depth):
            block = f"blocks.{index}"
            s1, c1, g1, s2, c2, g2 = self._linear(f"{block}.adaLN_modulation.1", condition)[
                :, None
            ].chunk(6, dim=-1)
            normed = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + c1) + s1
            x = x + g1 * self._attention(block, normed)
            normed = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + c2) + s2
            x = x + g2 * self._linear(
                f"{block}.mlp.fc2",
                F.gelu(self._linear(f"{block}.mlp.fc1", normed), approximate="tanh"),
            )
        shift, scale = self._linear("final_layer.adaLN_modulation.1", condition)[:, None].chunk(
            2, dim=-1
        )
        x = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift
        return unpatchify(self._linear("final_layer.linear", x), self.patch).tanh() * self.bound

    def _attention(self, block: str, x: Tensor) -> Tensor:
        q, k, v = (
            self._linear(f"{block}.attn.qkv", x)
            .unflatten(-1, (3, self.heads, -1))
            .permute(2, 0, 3, 1, 4)
        )
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        return self._linear(
            f"{block}.attn.proj", (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        )


def adv_sds_step(models: list[dict[str, Any]], images: Tensor) -> Tensor:
    """Adv-SDS as the released script computes it.

    Every model encodes for itself, every text encoder embeds the constant prompt anew, and the UNets run under autograd.

    Args:
        models: Each a dict of ``vae``, ``unet``, ``text_encoder``, ``tokens`` and ``signal``.
        images: (B, 3, S, S) in [-1, 1], attached to the graph.
    """
    losses = []
    for model in models:
        vae, signal = model["vae"], model["signal"]
        latents = vae.encode(images).latent_dist.sample() * vae.config.scaling_factor
        noise, steps = (
            torch.randn_like(latents),
            torch.randint(len(signal), (len(latents),), device=latents.device),
        )
        alpha = signal[steps].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        text = model["text_encoder"](model["tokens"]).last_hidden_state.expand(len(latents), -1, -1)
        gradient = torch.nan_to_num(
            -(1 - alpha) * (model["unet"](noisy, steps, text).sample - noise)
        )
        losses.append(0.5 * F.mse_loss(noisy, (noisy - gradient).detach()))
    return torch.stack(losses).mean()


def momentum_ascent(
    models: list[dict[str, Any]],
    images: Tensor,
    rounds: int,
    steps: int,
    bound: float,
    length: float,
) -> Tensor:
    """The gradient-based pairs as the released script makes them: every model in turn, then the mean.

    Autoencoders, UNets and text encoders are as loaded, so that gradients of all their weights are computed with the picture's.

    Args:
        models: As for :func:`adv_sds_step`.
        images: (B, 3, S, S) in [-1, 1].
        rounds: Rounds over the models.
        steps: Gradient steps per model and round.
        bound: Largest change, on the pictures' scale.
        length: Length of a step, on the pictures' scale.
    """
    current, velocity = images.clone(), torch.zeros_like(images)
    for _ in range(rounds):
        results = []
        for model in models:
            changed = current.clone()
            for _ in range(steps):
                changed = changed.detach().requires_grad_()
                latents = (
                    model["vae"].encode(changed).latent_dist.sample()
                    * model["vae"].config.scaling_factor
                )
                noise, times = (
                    torch.randn_like(latents),
                    torch.randint(len(model["signal"]), (len(latents),)),
                )
                alpha = model["signal"][times].view(-1, 1, 1, 1)
                text = model["text_encoder"](model["tokens"]).last_hidden_state.expand(
                    len(latents), -1, -1
                )
                predicted = model["unet"](
                    alpha.sqrt() * latents + (1 - alpha).sqrt() * noise, times, text
                ).sample
                for part in ("unet", "text_encoder", "vae"):
                    model[part].zero_grad()
                F.mse_loss(predicted, noise).backward()
                assert changed.grad is not None
                velocity = 0.99 * velocity + changed.grad / changed.grad.abs().mean(
                    dim=(1, 2, 3), keepdim=True
                )
                change = (changed.detach() + length * velocity.sign() - images).clamp(-bound, bound)
                changed = (images + change).clamp(-1, 1)
            results.append(changed)
        current = torch.stack(results).mean(dim=0)
    return current
