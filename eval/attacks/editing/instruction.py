"""Editing by an instruction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffusers import DiffusionPipeline
from torch import Tensor

from eval.attacks.editing.edit import EDITS, Editing, EditRequest
from eval.attacks.single_image import Sampling


class InstructionEdit(Editing):
    """Editing by an instruction, as of InstructPix2Pix (arXiv 2211.09800).

    The model names its own pipeline, so that ``black-forest-labs/FLUX.1-Kontext-dev`` and
    ``Qwen/Qwen-Image-Edit`` work by their ids. The latter works at an area of 1024 x 1024 pixels.

    Args:
        model: Pipeline folder or Hub id of a model that takes an image and an instruction.
        edits: The edits to ask for, each with an instruction.
        sampling: Settings of the generated images.
        arguments: Further arguments of the pipeline, such as ``image_guidance_scale`` of
            InstructPix2Pix. Qwen-Image-Edit ignores ``guidance`` of ``sampling``; its edits are
            guided by ``true_cfg_scale`` if ``negative_prompt`` is set, even to a space.

    Raises:
        ValueError: If there is no edit, or one has no instruction.
    """

    opener = DiffusionPipeline

    def __init__(
        self,
        model: str = "timbrooks/instruct-pix2pix",
        edits: Sequence[EditRequest] = EDITS,
        sampling: Sampling = Sampling(),
        arguments: dict[str, Any] | None = None,
    ) -> None:
        for edit in edits:
            if not edit.instruction:
                msg = f"the edit to '{edit.after}' has no instruction, which this attack needs"
                raise ValueError(msg)
        super().__init__(model, edits, sampling, arguments)

    def arguments(
        self, image: Tensor, request: EditRequest, size: tuple[int, int]
    ) -> dict[str, Any]:
        return {"prompt": request.instruction}
