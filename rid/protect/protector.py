"""Protection of images with a trained generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Self

import torch
from torch import Tensor, nn

from checkpoints.folders import model_path
from engine.manifest import fingerprint
from images.given import ChangedImage, GivenImage, Images, given_images
from images.marks import Mark
from images.metrics import compare_images
from rid.generator import PerturbationGenerator
from rid.protect.face_search import FaceSearch, FindFaces, choose_mode
from rid.protect.layout import Area, Layout
from rid.protect.steps import protect_photo, refuse_changed
from rid.protect.windows import Merger, ResizeMode
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
        faces: Face detector, with the mode ``faces``.

    Raises:
        ValueError: If the strength is out of range, or leaves less than one gray level; or if the
            mode ``faces`` has no detector.
    """

    def __init__(
        self,
        generator: PerturbationGenerator,
        resize_mode: ResizeMode = "resize",
        window_batch: int = 8,
        weights: Mapping[str, str] | None = None,
        strength: float = 1.0,
        faces: FindFaces | None = None,
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
        if resize_mode == "faces" and faces is None:
            msg = "the resize mode faces needs a face detector"
            raise ValueError(msg)
        self.strength = strength
        self.faces = faces if resize_mode == "faces" else None
        self.generator = generator.fold().eval()
        self.resize_mode = resize_mode
        self.window_batch = window_batch
        self.weights = dict(weights or {})

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        resize_mode: ResizeMode | Literal["auto"] = "auto",
        precision: str = "32",
        strength: float = 1.0,
        face_detector: str | None = None,
    ) -> Self:
        """Load a generator from a folder or the Hub.

        Args:
            name: Folder or Hub id.
            resize_mode: See the class; ``auto`` is ``faces`` if a face detector is named or on this
                machine, else ``resize``.
            precision: Precision of the network: "32", "bf16" or "16".
            strength: See the class.
            face_detector: Name of the detector, with the mode ``faces``; see
                :func:`models.faces.backends.face_files`. None takes YuNet.

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
        mode, detector = choose_mode(resize_mode, face_detector)
        faces = None if detector is None else FaceSearch(detector)
        return cls(generator, mode, weights=weights, strength=strength, faces=faces)  # type: ignore[arg-type]

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
        rgb_u8 = torch.from_numpy(given.photo.rgb).permute(2, 0, 1)
        layout = self.layout(rgb_u8)
        perturbation = layout.assemble(self.perturb([layout])[0])
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
        layouts = [self.layout(image.cpu()) for image in images]
        parts = self.perturb(layouts)
        perturbations = torch.stack(
            [layout.assemble(part) for layout, part in zip(layouts, parts, strict=True)]
        )
        return (images + perturbations.to(images)).clamp(0, 1)

    def layout(self, image: Tensor) -> Layout:
        """Lay the generator's windows over an image, and over the faces in it.

        Args:
            image: (3, H, W), float in [0, 1] or uint8 in [0, 255].

        Raises:
            ValueError: If it takes too many windows.
        """
        boxes = None if self.faces is None else self.faces(image)
        return Layout.cover(image, self.generator.image_size, self.resize_mode, boxes)

    @torch.no_grad()
    def perturb(self, layouts: Sequence[Layout]) -> list[list[Tensor]]:
        """Compute the perturbations of all areas of some images.

        At most ``window_batch`` windows are held in memory at a time.

        Args:
            layouts: Areas of each image.

        Returns:
            For each image, the perturbation of each scaled area, (3, *windows.scaled) float32, for
            values in [0, 1].
        """
        device = self.generator.to_pixels.weight.device
        areas: list[Area] = []
        for layout in layouts:
            areas += layout.areas
        mergers = [Merger(area.windows) for area in areas]
        windows_to_do = _cut_windows(areas, mergers)
        while batch := list(islice(windows_to_do, self.window_batch)):
            stacked = torch.stack([window for window, _ in batch])
            perturbations = self.generator(stacked.to(device)).cpu() * self.strength
            for (_, merger), perturbation in zip(batch, perturbations, strict=True):
                merger.add(perturbation)
        # results, grouped by image
        results = iter([merger.result() for merger in mergers])
        return [list(islice(results, len(layout.areas))) for layout in layouts]


def _cut_windows(
    areas: Sequence[Area],
    mergers: Sequence[Merger],
) -> Iterator[tuple[Tensor, Merger]]:
    """Yield all areas' windows, each with its merger."""
    for area, merger in zip(areas, mergers, strict=True):
        for window in area.windows.cut(area.scaled):
            yield window, merger
