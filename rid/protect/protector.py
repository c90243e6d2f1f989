"""Protection of images with a trained generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

import torch
from torch import Tensor, nn

from checkpoints.folders import model_path
from engine.manifest import fingerprint
from images.given import ChangedImage, GivenImage, Images, given_images
from images.marks import Mark
from images.metrics import compare_images
from rid.generator import PerturbationGenerator
from rid.protect.steps import cover_photo, protect_photo, refuse_changed
from rid.protect.windows import Merger, ResizeMode, Windows
from rid.weights import load_generator

PRECISIONS = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}


@dataclass(frozen=True)
class Protected(ChangedImage):
    """Protected image; its ``levels`` are at most the generator's budget."""


class Protector(nn.Module):
    """Protection of images of any size by a generator.

    :meth:`protect` takes files, Pillow images, arrays and tensors, and bounds the saved 8-bit
    values. Calling the module protects batches of tensors.

    Args:
        generator: The network; it is folded and set to evaluation mode.
        resize_mode: Handling of images of other sizes than the generator's; see
            :data:`rid.protect.windows.ResizeMode`.
        window_batch: Windows per forward pass.
        weights: Hexadecimal sha256 of each weight file by name, recorded in protected files.
        strength: Factor of the perturbation and its bound, above 0 and at most 1.

    Raises:
        ValueError: If the strength is out of range, or leaves less than one gray level.
    """

    def __init__(
        self,
        generator: PerturbationGenerator,
        resize_mode: ResizeMode = "resize",
        window_batch: int = 8,
        weights: Mapping[str, str] | None = None,
        strength: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < strength <= 1:
            msg = f"strength is above 0 and at most 1, got {strength}"
            raise ValueError(msg)
        if strength * generator.budget < 1:
            msg = (
                f"strength {strength} leaves {strength * generator.budget:.2f} of 255 gray levels, "
                f"less than a file can hold: use at least {1 / generator.budget:.2f}"
            )
            raise ValueError(msg)
        self.strength = strength
        self.generator = generator.fold().eval()
        self.resize_mode = resize_mode
        self.window_batch = window_batch
        self.weights = dict(weights or {})

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        resize_mode: ResizeMode = "resize",
        precision: str = "32",
        strength: float = 1.0,
    ) -> Self:
        """Load a generator from a folder or the Hub.

        Args:
            name: Folder or Hub id.
            resize_mode: See the class.
            precision: Precision of the network: "32", "bf16" or "16".
            strength: See the class.

        Raises:
            FileNotFoundError: If there is no such model.
            ValueError: If the model is not a generator, the precision is unknown, or the strength
                is out of range.
        """
        if precision not in PRECISIONS:
            msg = f"precision '{precision}' is not one of {', '.join(PRECISIONS)}"
            raise ValueError(msg)
        dtype = PRECISIONS[precision]
        generator = load_generator(name, dtype).fold().to(dtype)
        weights = fingerprint(name, model_path(name))["sha256"]
        return cls(generator, resize_mode, weights=weights, strength=strength)

    @property
    def budget(self) -> float:
        """Largest change of a value in gray levels of 255."""
        return self.strength * self.generator.budget

    def mark(self, original: str) -> Mark:
        """Return the mark of a protected file.

        Args:
            original: Hexadecimal sha256 of the original.
        """
        return Mark("protect", " ".join(self.weights.values()), original, self.budget)

    def protect(self, images: Images) -> list[Protected]:
        """Protect images, one at a time, exactly as ``python -m rid protect`` does.

        Args:
            images: One or several: paths, Pillow images, (H, W, 3) uint8 arrays, or tensors
                (3, H, W) or (B, 3, H, W) in [0, 1].

        Returns:
            Protected images, in the same order.

        Raises:
            UnreadableImage: If an image cannot be decoded.
            ValueError: If an image was protected before, has another shape or range, or does not
                change.
        """
        return [self._protect(given) for given in given_images(images)]

    def _protect(self, given: GivenImage) -> Protected:
        refuse_changed(given.photo, given.name)
        windows, scaled = cover_photo(given.photo, self.generator.image_size, self.resize_mode)
        perturbation = windows.enlarge(self.perturb([(windows, scaled)])[0])
        photo = protect_photo(given.photo, perturbation, self.mark(given.sha256))
        change = compare_images(given.photo.rgb, photo.rgb)
        return Protected(given.name, photo, change["levels"], change["psnr"], change["ssim"])

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Protect a batch of images.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].

        Returns:
            Same shape, in [0, 1], not rounded to 8 bits; each value changes by at most the budget.
        """
        size = (images.shape[-2], images.shape[-1])
        windows = Windows.cover(size, self.generator.image_size, self.resize_mode)
        scaled = self.perturb([(windows, windows.scale(image.cpu())) for image in images])
        perturbations = torch.stack([windows.enlarge(perturbation) for perturbation in scaled])
        return (images + perturbations.to(images)).clamp(0, 1)

    @torch.no_grad()
    def perturb(self, images: Sequence[tuple[Windows, Tensor]]) -> list[Tensor]:
        """Compute the perturbations of scaled images.

        At most ``window_batch`` windows are held in memory at a time.

        Args:
            images: Window layout and scaled image of each: (3, *windows.scaled), float in [0, 1] or
                uint8 in [0, 255].

        Returns:
            Perturbation of each scaled image, (3, *windows.scaled) float32, for values in [0, 1].
        """
        device = self.generator.to_pixels.weight.device
        mergers = [Merger(windows) for windows, _ in images]
        windows_to_do = _cut_windows(images, mergers)
        while batch := list(islice(windows_to_do, self.window_batch)):
            stacked = torch.stack([window for window, _ in batch])
            perturbations = self.generator(stacked.to(device)).cpu() * self.strength
            for (_, merger), perturbation in zip(batch, perturbations, strict=True):
                merger.add(perturbation)
        return [merger.result() for merger in mergers]


def _cut_windows(
    images: Sequence[tuple[Windows, Tensor]],
    mergers: Sequence[Merger],
) -> Iterator[tuple[Tensor, Merger]]:
    """Yield all images' windows, each with its merger."""
    for (windows, scaled), merger in zip(images, mergers, strict=True):
        for window in windows.cut(scaled):
            yield window, merger
