"""What sharing encoders and dropping UNet graphs saves in an Adv-SDS step.  ``python -m benchmarks.adv_sds``."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from rid.ensemble import DiffusionEnsemble, draw_noise
from rid.losses import adv_sds_loss, diffuse
from tiny.dataset import PortraitDataset

MODELS = [f"checkpoints/tiny/{name}" for name in ("sd-a1", "sd-a2", "sd-b")]


def plainly(ensemble: DiffusionEnsemble, images: Tensor) -> Tensor:
    """The straightforward step: every model encodes for itself and its UNet runs under autograd."""
    losses = []
    for model in ensemble.surrogates:
        latents = ensemble.encoders[model.encoder].encode(images * 2 - 1).latent_dist.sample() * model.scaling_factor
        noise, signal, steps = draw_noise(latents, model.signal, None)
        noisy = diffuse(latents, noise, signal)
        losses.append(adv_sds_loss(noisy, ensemble.denoise(model, noisy, signal, steps), noise, signal))
    return torch.stack(losses).mean()


def seconds(step: Callable[[Tensor], Tensor], images: Tensor, repeats: int = 5) -> float:
    """Mean time of forward and backward."""
    for turn in range(repeats + 1):
        if turn == 1:
            start = time.perf_counter()
        step(images.clone().requires_grad_()).backward()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """Print the comparison."""
    ensemble = DiffusionEnsemble(MODELS)
    images = torch.stack([item["image"] for item in PortraitDataset(0, 16, 1).__getitems__(list(range(16)))])
    ours, plain = seconds(ensemble.adv_sds, images), seconds(lambda x: plainly(ensemble, x), images)
    print(f"16 pictures, 3 models: {ours:.2f} s a step, straightforward {plain:.2f} s, ratio {plain / ours:.2f}")


if __name__ == "__main__":
    main()
