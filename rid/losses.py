"""The closed forms of RID's training signals (arXiv 2412.09844, equations 9 and 10).

Letters: B = pictures; latents are (B, C, h, w).
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor


def diffuse(latents: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """Forward process: ``sqrt(signal) * latents + sqrt(1 - signal) * noise``.

    Args:
        latents: Scaled latents, (B, C, h, w).
        noise: Standard normal, same shape.
        signal: Cumulative alpha of each picture's timestep, (B,), in (0, 1).
    """
    signal = signal.view(-1, 1, 1, 1)
    return signal.sqrt() * latents + (1 - signal).sqrt() * noise


def predicted_noise(output: Tensor, noisy: Tensor, signal: Tensor, prediction_type: str) -> Tensor:
    """The noise a network's output stands for.

    Args:
        output: What the UNet returned, (B, C, h, w).
        noisy: What it was given, same shape.
        signal: Cumulative alpha, (B,).
        prediction_type: The scheduler's: ``epsilon`` or ``v_prediction``.

    Raises:
        ValueError: For any other prediction type.
    """
    if prediction_type == "epsilon":
        return output
    if prediction_type == "v_prediction":
        signal = signal.view(-1, 1, 1, 1)
        return signal.sqrt() * output + (1 - signal).sqrt() * noisy
    msg = f"prediction type '{prediction_type}' is not supported; use a model with epsilon or v_prediction"
    raise ValueError(msg)


def adv_sds_loss(noisy: Tensor, predicted: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """Adversarial score distillation: descending it raises the diffusion loss, without the UNet's Jacobian.

    With w = 1 - signal the value is ``mean((w * (predicted - noise))**2) / 2`` and the gradient with respect to
    ``noisy`` is ``-w * (predicted - noise) / N``, N being the number of latent values. The value rises as training succeeds.

    Args:
        noisy: Diffused latents, attached to the graph, (B, C, h, w).
        predicted: The UNet's noise estimate; treated as a constant.
        noise: The noise that was added.
        signal: Cumulative alpha of each picture's timestep, (B,).
    """
    step = (1 - signal).view(-1, 1, 1, 1) * (predicted - noise)
    target = (noisy + step).detach()
    return 0.5 * (noisy - target).square().mean()


def regression_loss(perturbation: Tensor, target: Tensor, norm: Literal["l1", "l2"]) -> Tensor:
    """Mean absolute ("l1") or mean squared ("l2") distance between two perturbations, (B, 3, S, S) on the [-1, 1] scale."""
    return F.l1_loss(perturbation, target) if norm == "l1" else F.mse_loss(perturbation, target)
