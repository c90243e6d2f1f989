"""Editing of a person's images, without training."""

from eval.attacks.editing.edit import Editing, EditRequest
from eval.attacks.editing.image_to_image import ImageToImageEdit
from eval.attacks.editing.inpainting import Inpainting
from eval.attacks.editing.instruction import InstructionEdit

__all__ = ["EditRequest", "Editing", "ImageToImageEdit", "Inpainting", "InstructionEdit"]
