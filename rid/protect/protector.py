"""A trained generator as a user meets it: pictures of any size in, protected pictures of the same size out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Self

import torch
from torch import Tensor, nn

from rid.generator import PerturbationGenerator
from rid.protect.windows import Fit, Merger, Windows
from rid.weights import load_generator

DTYPES = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}


class Protector(nn.Module):
    """Adds a generator's perturbation to pictures of any size.

    Args:
        generator: The network; used in evaluation mode, folded.
        fit: How pictures of other sizes than the generator's are brought to it; see :data:`rid.protect.windows.Fit`.
        window_batch: Windows per forward pass.
    """

    def __init__(self, generator: PerturbationGenerator, fit: Fit = "resize", window_batch: int = 8) -> None:
        super().__init__()
        self.generator, self.fit, self.window_batch = generator.fold().eval(), fit, window_batch

    @classmethod
    def from_pretrained(cls, name: str, fit: Fit = "resize", precision: str = "32") -> Self:
        """Open a generator folder or Hub id.

        Args:
            name: Folder or Hub id.
            fit: See the class.
            precision: Of the network: "32", "bf16" or "16".

        Raises:
            FileNotFoundError: If there is no such model.
            ValueError: If it is not a generator, or for another precision.
        """
        if precision not in DTYPES:
            msg = f"precision '{precision}' is not one of {', '.join(DTYPES)}"
            raise ValueError(msg)
        dtype = DTYPES[precision]
        return cls(load_generator(name, dtype).fold().to(dtype), fit)

    @property
    def budget(self) -> float:
        """Largest change of a colour value, in grey levels of 255."""
        return self.generator.budget

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Protect a batch.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].

        Returns:
            The same shape, in [0, 1], not yet rounded to 8 bits; no value changed by more than the budget.
        """
        windows = Windows.cover((images.shape[-2], images.shape[-1]), self.generator.image_size, self.fit)
        perturbations = self.perturb([(windows, windows.scale(image.cpu())) for image in images])
        changes = torch.stack([windows.enlarge(perturbation) for perturbation in perturbations])
        return (images + changes.to(images)).clamp(0, 1)

    @torch.no_grad()
    def perturb(self, images: Sequence[tuple[Windows, Tensor]]) -> list[Tensor]:
        """Perturbations of scaled images; no more than a batch of windows is held at a time.

        Args:
            images: Each image's windows and the scaled image, (3, *scaled), in [0, 1] or grey levels if uint8.

        Returns:
            Perturbations of the scaled images, (3, *scaled), float32.
        """
        device = self.generator.to_pixels.weight.device
        mergers = [Merger(windows) for windows, _ in images]
        cut = ((merger, window) for merger, image in zip(mergers, images, strict=True) for window in image[0].cut(image[1]))
        while batch := list(islice(cut, self.window_batch)):
            changes = self.generator(torch.stack([window for _, window in batch]).to(device))
            for (merger, _), change in zip(batch, changes.cpu(), strict=True):
                merger.add(change)
        return [merger.result() for merger in mergers]
