"""Similarity of an image with its low and high frequencies, as in SPAI (arXiv 2411.19417)."""

from __future__ import annotations

from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.networks.backbone import IMAGENET, Normalize, frozen_backbone

MOST_AT_ONCE = 16
"""Squares of one pass of the backbone, which limits the memory that large images take."""

LEAST_SQUARES = 4
"""Squares below which the corners and the center are taken in their place."""


class SpectralClassifier(nn.Module):
    """Classifier of images of any size, by squares of which it compares the frequencies.

    A frozen ViT sees each square, its low and its high frequencies. The similarities of their patch
    tokens in every block, and the tokens of the square itself, are its spectral context. An
    attention with one learned query weights the squares.

    Args:
        name: timm's name of a ViT; the paper's is ``vit_base_patch16_224``, trained to fill in
            masked frequencies of photographs.
        pretrained: Download timm's weights; saved detectors are opened without.
        size: Side of the squares in pixels, even; the model's default if None.
        radius: Frequencies nearer to the center of the spectrum are the low ones; at least 1.
        width: Width of the projected tokens, at least 1.
        attention: Width of the attention, a multiple of ``heads``.
        heads: Heads of the attention, at least 1.
        hidden: Width of the classifier's hidden layers, as a multiple of that of its inputs.
        dropout: Dropout rate of the trained layers, in [0, 1].

    Raises:
        ValueError: If timm has no such network, it has no blocks, or a number is out of range.
    """

    low_pass: Tensor

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        size: int | None = None,
        radius: int = 16,
        width: int = 1024,
        attention: int = 1536,
        heads: int = 12,
        hidden: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        backbone: Any
        backbone, tokens, _ = frozen_backbone(name, pretrained, "pooled", size, "imagenet")
        blocks = len(getattr(backbone, "blocks", []))
        check_numbers(name, blocks, min(radius, width, heads, hidden), attention, heads)
        backbone.norm = nn.Identity()  # the last norm is behind the tokens in use
        self.backbone = backbone
        self.normalize = Normalize(*IMAGENET)
        self.side: int = backbone.patch_embed.img_size[0]
        self.register_buffer("low_pass", low_pass(self.side, radius))
        self.projectors = nn.ModuleList()
        for _ in range(blocks):
            self.projectors.append(
                nn.Sequential(
                    nn.LayerNorm(tokens), *projection(tokens, width, nn.Identity(), dropout)
                )
            )
        self.alpha = nn.Parameter(torch.randn(1, blocks, width))
        self.proj1 = nn.Sequential(*projection(2 * width, width, nn.GELU(), dropout))
        self.proj2 = nn.Sequential(*projection(width, width, nn.GELU(), dropout))
        context = 6 * blocks + width
        self.heads = heads
        self.query = nn.Parameter(0.02 * torch.randn(heads, 1, attention // heads))
        self.to_kv = nn.Linear(context, 2 * attention, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.to_out = nn.Linear(attention, context, bias=False)
        self.norm = nn.LayerNorm(context)
        inner = hidden * context
        self.head = nn.Sequential(
            *(nn.Linear(context, inner), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(inner, inner), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(inner, 1),
        )

    @torch.no_grad()
    def tokens(self, squares: Tensor) -> Tensor:
        """Compute patch tokens, (B, blocks, N, D), of (B, 3, S, S) squares in [0, 1]."""
        found = self.backbone.forward_intermediates(
            self.normalize(squares), norm=False, output_fmt="NLC", intermediates_only=True
        )
        return torch.stack(found, dim=1).float()

    def contexts(self, squares: Tensor) -> Tensor:
        """Compute spectral contexts, (B, 6 blocks + width), of (B, 3, S, S) in [0, 1]."""
        parts = (squares, *split_frequencies(squares, self.low_pass))
        own, low, high = (self._projected(self.tokens(part)) for part in parts)
        found = []
        for one, other in ((own, low), (own, high), (low, high)):
            alike = F.cosine_similarity(one, other, dim=-1)
            found += [alike.mean(dim=-1), alike.std(dim=-1)]
        described = self.proj1(torch.cat([own.mean(dim=2), own.std(dim=2)], dim=-1))
        found.append(self.proj2((self.alpha.softmax(dim=1) * described).sum(dim=1)))
        return torch.cat(found, dim=1)

    def attended(self, contexts: Tensor) -> Tensor:
        """Weight the squares of images: (B, K, D) contexts become (B, D)."""
        keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.to_kv(contexts).chunk(2, dim=2)
        )
        scores = self.query @ keys.transpose(2, 3) / self.query.shape[-1] ** 0.5
        mixed = self.dropout(scores.softmax(dim=-1)) @ values
        return self.to_out(mixed.transpose(1, 2).flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B,), of (B, 3, H, W) images in [0, 1]."""
        squares = squares_of(images, self.side)
        rows = squares.flatten(0, 1).split(MOST_AT_ONCE)
        contexts = torch.cat([self.contexts(part) for part in rows])
        pooled = self.attended(contexts.unflatten(0, squares.shape[:2]))
        return self.head(self.norm(pooled)).squeeze(1)

    def _projected(self, tokens: Tensor) -> Tensor:
        """Project (B, blocks, N, D) tokens to (B, blocks, N, width)."""
        projected = []
        for number, projector in enumerate(self.projectors):
            projected.append(projector(tokens[:, number]))
        return torch.stack(projected, dim=1)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self


def check_numbers(name: str, blocks: int, least: int, attention: int, heads: int) -> None:
    """Check a network's settings; see :class:`SpectralClassifier`.

    Raises:
        ValueError: If one is out of range.
    """
    if not blocks:
        msg = f"{name} has no blocks with patch tokens: name a ViT"
        raise ValueError(msg)
    if least < 1:
        msg = f"radius, width, heads and hidden are at least 1, got {least}"
        raise ValueError(msg)
    if attention < 1 or attention % heads:
        msg = f"attention is a multiple of heads, got {attention} and {heads}"
        raise ValueError(msg)


def projection(inputs: int, width: int, last: nn.Module, dropout: float) -> list[nn.Module]:
    """Build two layers, the second with an activation of its own, and a norm behind them."""
    return [
        *(nn.Dropout(dropout), nn.Linear(inputs, width), nn.GELU()),
        *(nn.Dropout(dropout), nn.Linear(width, width), last),
        *(nn.Dropout(dropout), nn.LayerNorm(width)),
    ]


def low_pass(side: int, radius: int) -> Tensor:
    """Build the mask, (side, side), of the low frequencies in a spectrum that is shifted.

    As published, its center is half a step before the lowest frequency.
    """
    half = torch.arange(side // 2, dtype=torch.float32)
    steps = torch.cat([half.flip(0), half])
    return (torch.hypot(steps[:, None], steps) < radius).float()


def split_frequencies(images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Split images into their low and high frequencies, each clipped to [0, 1].

    Args:
        images: (B, 3, S, S) in [0, 1].
        mask: (S, S), 1 for low frequencies, with the constant in the center.
    """
    whole = images.float()  # no FFT has half precision on every device
    spectrum = torch.fft.fft2(whole) * torch.fft.ifftshift(mask.float())
    low = torch.fft.ifft2(spectrum).real
    return low.clamp(0, 1).to(images.dtype), (whole - low).clamp(0, 1).to(images.dtype)


def squares_of(images: Tensor, side: int) -> Tensor:
    """Cut images into squares, from the upper left; what is left at the borders is not seen.

    Images with fewer than four squares give their corners and center. Small ones are extended by
    their reflection. An image of one square is that square.

    Args:
        images: (B, 3, H, W).
        side: Side of the squares, in pixels.

    Returns:
        (B, K, 3, side, side).
    """
    for dimension in (2, 3):
        room = side - images.shape[dimension]
        if room > 0:
            places = _reflected(images.shape[dimension], room // 2, side)
            images = images.index_select(dimension, places.to(images.device))
    height, width = images.shape[2:]
    if (height // side) * (width // side) >= LEAST_SQUARES:
        grid = images.unfold(2, side, side).unfold(3, side, side)
        return grid.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
    bottom, right = height - side, width - side
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    corners.append((round(bottom / 2), round(right / 2)))
    if bottom == right == 0:
        corners = corners[:1]  # equal squares have equal weights
    cut = [images[..., top : top + side, left : left + side] for top, left in corners]
    return torch.stack(cut, dim=1)


def _reflected(length: int, before: int, side: int) -> Tensor:
    """Return ``side`` places in a line that is reflected at its ends, without repeating them."""
    period = max(1, 2 * (length - 1))
    places = (torch.arange(side) - before) % period
    return torch.minimum(places, period - places).clamp(max=length - 1)
