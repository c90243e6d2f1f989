"""RID's training losses (arXiv 2412.09844, equations 9 and 10).

Letters: B = images; latents are (B, C, h, w).
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor


def ancestral_step(
    noisy: Tensor, predicted: Tensor, fresh: Tensor, signal: Tensor, before: Tensor
) -> Tensor:
    """Take one DDPM step (arXiv 2006.11239, equations 6 and 7).

    It goes from the latents at ``signal`` to those at ``before``.

    Args:
        noisy: (B, C, h, w) latents at ``signal``.
        predicted: Predicted noise, same shape.
        fresh: Standard normal, same shape.
        signal: Cumulative alpha now, (B,).
        before: Cumulative alpha of the previous timestep, (B,); 1 means clean.
    """
    signal = signal.view(-1, 1, 1, 1)
    before = before.view(-1, 1, 1, 1)
    alpha = signal / before
    clean = (noisy - (1 - signal).sqrt() * predicted) / signal.sqrt()
    weighted = before.sqrt() * (1 - alpha) * clean + alpha.sqrt() * (1 - before) * noisy
    mean = weighted / (1 - signal)
    return mean + ((1 - before) / (1 - signal) * (1 - alpha)).sqrt() * fresh


def adv_sds_loss(noisy: Tensor, predicted: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """Compute the Adv-SDS loss, adversarial score distillation sampling.

    Minimizing it raises the diffusion loss without the UNet's Jacobian.

    With w = 1 - signal the value is ``mean((w * (predicted - noise))**2) / 2`` and the gradient
    with respect to ``noisy`` is ``-w * (predicted - noise) / N``, with N the number of latent
    values. The value rises as training succeeds.

    Args:
        noisy: Diffused latents, attached to the graph, (B, C, h, w).
        predicted: The UNet's noise estimate; treated as a constant.
        noise: The noise that was added.
        signal: Cumulative alpha of each image's timestep, (B,).
    """
    step = (1 - signal).view(-1, 1, 1, 1) * (predicted - noise)
    target = (noisy + step).detach()
    return 0.5 * (noisy - target).square().mean()


def regression_loss(perturbation: Tensor, target: Tensor, norm: Literal["l1", "l2"]) -> Tensor:
    """Compute the mean distance between two perturbations.

    Args:
        perturbation: (B, 3, S, S) on the [-1, 1] scale.
        target: Same shape and scale.
        norm: "l1" for the mean absolute, "l2" for the mean squared distance.
    """
    return F.l1_loss(perturbation, target) if norm == "l1" else F.mse_loss(perturbation, target)


def common_share(perturbations: Tensor) -> Tensor:
    """Estimate the share of energy that perturbations of different images have in common.

    It is the mean product of two images' perturbations over their mean square: 1 if all are the
    same pattern, 0 on average if they are independent. An attacker's model learns a common pattern
    together with the person, and it protects nobody.

    Args:
        perturbations: (B, 3, S, S), B at least 2.

    Returns:
        A scalar, from -1 / (B - 1) to 1.

    Raises:
        ValueError: If there is one image only.
    """
    count = len(perturbations)
    if count < 2:
        msg = "diversity_weight compares the images of a batch: use a batch_size of at least 2"
        raise ValueError(msg)
    energy = perturbations.square().mean().clamp(min=1e-12)
    of_mean = perturbations.mean(dim=0).square().mean()
    return (count * of_mean / energy - 1) / (count - 1)
