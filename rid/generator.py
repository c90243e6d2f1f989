"""RID's perturbation generator: a vision transformer from image to perturbation.

Architecture of arXiv 2412.09844 as released: a DiT whose condition is always the zero vector, so
that every adaptive layer norm reduces to learned constants. Those constants are parameters here
(``modulation``), and can be folded into the adjacent linear layers. The embedders and matrices that
the released files carry unused do not exist here.

Letters: B = images, S = side, P = patch side, N = (S / P)**2 tokens, W = width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from checkpoints.card import Purpose
from checkpoints.lightning_files import Config, Weights
from checkpoints.saved import SavedModel
from images.budget import check_budget

MOST_PATCHES = 128
"""Of a side: 2,048 pixels with the paper's patches of 16."""


def say_that_it_is_not_folded(config: Config, weights: Weights) -> tuple[Config, Weights]:
    """Mark a folder of format 0 as not folded."""
    return {"folded": False} | config, weights


class PerturbationGenerator(SavedModel, tags=["image-protection", "rid"]):
    """Network from an image to a bounded additive perturbation.

    The defaults are the released architecture. Its file holds 343 M values and uses 226 M of them.

    Args:
        budget: Largest change of any color value, in gray levels of 255. The paper's "12/255",
            stated on [-1, 1], is 6.
        image_size: Side of the square input images, in pixels.
        patch_size: Side of a token's patch, in pixels.
        width: Token width; divisible by 4 and by ``heads``.
        depth: Number of transformer blocks.
        heads: Attention heads.
        folded: Build without modulation, as :meth:`fold` returns it; the same function with fewer
            operations.

    Raises:
        ValueError: If the sizes do not fit together or the budget is not from 1 to 255.
    """

    MIGRATIONS = {0: say_that_it_is_not_folded}  # noqa: RUF012 - as the base declares it
    PURPOSE = Purpose(
        "RID's perturbation generator",
        use=(
            "Protecting one's own portraits before they are published: "
            "`python -m rid protect PHOTOS/ -o OUT/ --weights FOLDER`."
        ),
        limits=(
            "It hinders personalization by models like those it was trained against. Protection "
            "against other models is not certain. Image edits and adaptive attacks weaken it; "
            "measure it against your own attack."
        ),
    )

    origin: str | None = None
    """Name or folder it was loaded from; None for a new generator."""

    def __init__(
        self,
        budget: float = 6.0,
        image_size: int = 512,
        patch_size: int = 16,
        width: int = 1152,
        depth: int = 14,
        heads: int = 8,
        folded: bool = False,
    ) -> None:
        super().__init__()
        if min(image_size, patch_size, width, depth, heads) < 1:
            sizes = (
                f"image_size {image_size}, patch_size {patch_size}, width {width}, depth {depth}, "
                f"heads {heads}"
            )
            msg = f"a generator's sizes must be at least 1, got {sizes}"
            raise ValueError(msg)
        check_budget(budget)
        if image_size % patch_size:
            msg = f"image_size must be a multiple of patch_size, got {image_size} and {patch_size}"
            raise ValueError(msg)
        if image_size // patch_size > MOST_PATCHES:
            msg = (
                f"image_size may be at most {MOST_PATCHES} times patch_size, got {image_size} and "
                f"{patch_size}"
            )
            raise ValueError(msg)
        if width % heads or width % 4:
            msg = f"width must be a multiple of heads and of 4, got width {width} and heads {heads}"
            raise ValueError(msg)
        self.budget = budget
        self.image_size = image_size
        self.patch_size = patch_size
        self.checkpointing = False
        """Activation checkpointing: recompute the blocks in the backward pass."""
        self.settings = {
            "budget": budget,
            "image_size": image_size,
            "patch_size": patch_size,
            "width": width,
            "depth": depth,
            "heads": heads,
        }
        self.patches = nn.Conv2d(3, width, patch_size, patch_size)
        positions = sincos_positions(image_size // patch_size, width)
        self.register_buffer("positions", positions, persistent=False)
        self.blocks = nn.ModuleList(Block(width, heads, folded) for _ in range(depth))
        self.modulation = None if folded else nn.Parameter(torch.zeros(2, width))
        self.to_pixels = nn.Linear(width, 3 * patch_size**2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize as the paper: Xavier weights, zero output layer and biases.

        The initial perturbation is therefore exactly 0.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(module.weight.flatten(1))
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.to_pixels.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the perturbations of a batch.

        Args:
            images: (B, 3, S, S) RGB in [0, 1].

        Returns:
            (B, 3, S, S), to be added to ``images``; each value within ± budget / 255.

        Raises:
            ValueError: If the images are not S x S.
        """
        if images.shape[-2:] != (self.image_size, self.image_size):
            height, width = images.shape[-2:]
            msg = (
                f"this generator takes {self.image_size}x{self.image_size} images, got "
                f"{width}x{height}: resize them first"
            )
            raise ValueError(msg)
        views = (images * 2 - 1).to(self.patches.weight.dtype)
        tokens = self.patches(views).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            again = self.checkpointing and torch.is_grad_enabled()
            tokens = checkpoint(block, tokens, use_reentrant=False) if again else block(tokens)
        pixels = self.to_pixels(modulated_norm(tokens, self.modulation))
        return unpatchify(pixels, self.patch_size).float().tanh() * (self.budget / 255)

    def protect(self, images: Tensor) -> Tensor:
        """Add the perturbation and clamp; shapes as in :meth:`forward`."""
        return (images + self(images)).clamp(0, 1)

    @torch.no_grad()
    def fold(self) -> PerturbationGenerator:
        """Fold shifts, scales and gates into the adjacent linear layers.

        Exact algebra, computed in float64: ``W @ (x * (1 + scale) + shift) + b`` is one linear
        layer, and so is ``gate * (W @ x + b)``.

        Returns:
            A folded copy; the generator itself if it is already folded.
        """
        if self.modulation is None:
            return self
        settings = self.settings | {"budget": self.budget}  # it may have been changed
        folded = PerturbationGenerator(**settings, folded=True)  # type: ignore[arg-type]
        weights = {name: value.double() for name, value in self.state_dict().items()}
        after_norm = {"to_pixels": weights.pop("modulation")}
        gated: dict[str, Tensor] = {}
        for index in range(len(self.blocks)):
            shift1, scale1, gate1, shift2, scale2, gate2 = weights.pop(f"blocks.{index}.modulation")
            after_norm |= {
                f"blocks.{index}.qkv": torch.stack([shift1, scale1]),
                f"blocks.{index}.fc1": torch.stack([shift2, scale2]),
            }
            gated |= {f"blocks.{index}.proj": gate1, f"blocks.{index}.fc2": gate2}
        for name, (shift, scale) in after_norm.items():
            weights[f"{name}.bias"] += weights[f"{name}.weight"] @ shift
            weights[f"{name}.weight"] *= 1 + scale
        for name, gate in gated.items():
            weights[f"{name}.bias"] *= gate
            weights[f"{name}.weight"] *= gate.unsqueeze(1)
        folded.load_state_dict(weights)
        return folded.to(self.to_pixels.weight).train(self.training)


class Block(nn.Module):
    """Pre-norm attention and MLP with learned modulation.

    The rows of ``modulation`` are shift, scale and gate, of attention first and then of the MLP.
    A folded block has none.
    """

    def __init__(self, width: int, heads: int, folded: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.modulation = None if folded else nn.Parameter(torch.zeros(6, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform tokens, (B, N, W) to (B, N, W)."""
        if self.modulation is None:
            tokens = tokens + self._attention(modulated_norm(tokens, None))
            return tokens + self._mlp(modulated_norm(tokens, None))
        first, second = self.modulation.split(3)
        tokens = tokens + first[2] * self._attention(modulated_norm(tokens, first))
        return tokens + second[2] * self._mlp(modulated_norm(tokens, second))

    def _mlp(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens), approximate="tanh"))

    def _attention(self, tokens: Tensor) -> Tensor:
        query, key, value = (
            self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )
        return self.proj(
            F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        )


def modulated_norm(tokens: Tensor, modulation: Tensor | None) -> Tensor:
    """Apply layer norm and modulation.

    The norm has no weights and eps 1e-6. The modulation is ``* (1 + scale) + shift``.
    The first two rows of ``modulation`` are shift and scale; None applies the norm alone.
    """
    normed = F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
    return normed if modulation is None else normed * (1 + modulation[1]) + modulation[0]


def sincos_positions(side: int, width: int) -> Tensor:
    """Compute the fixed sine-cosine position table, (1, side**2, width).

    The first half of the width encodes the column, the second the row, each as sines, then cosines.
    """
    frequency = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angle = torch.arange(side, dtype=torch.float64).outer(frequency)
    line = torch.cat([angle.sin(), angle.cos()], dim=1)
    columns = line.expand(side, -1, -1)
    rows = line[:, None].expand(-1, side, -1)
    return torch.cat([columns, rows], dim=-1).flatten(0, 1).unsqueeze(0).float()


def unpatchify(tokens: Tensor, patch: int) -> Tensor:
    """Assemble patches, (B, N, 3 * P**2), into images, (B, 3, S, S).

    Values within a patch are ordered by row, column, channel.
    """
    side = int(tokens.shape[1] ** 0.5)
    grid = tokens.unflatten(1, (side, side)).unflatten(-1, (patch, patch, 3))
    return grid.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
