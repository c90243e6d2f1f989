"""Image generation with local pipelines, one image at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

GENERATION_LOCK = threading.Lock()
"""Lock that serializes generations."""


def check_device(device: str) -> None:
    """Check that a device is available.

    Raises:
        ValueError: If the device is not on this machine.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # both are raised for missing devices
        msg = f"device {device}: not on this machine; use cpu, or cuda where there is a GPU"
        raise ValueError(msg) from error


async def run_in_turn(draw: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Generate an image in a thread, without gradients, after earlier calls.

    The event loop keeps running, so that requests to services do not time out.
    """

    def generate() -> NDArray[np.uint8]:
        with GENERATION_LOCK, torch.no_grad():
            return draw()

    return await asyncio.to_thread(generate)


def generate_image(pipeline: Any, prompt: str, seed: int, **arguments: Any) -> NDArray[np.uint8]:
    """Generate an image with a diffusers pipeline, with noise from the CPU.

    Noise from the CPU is the same for every device.

    Args:
        pipeline: The pipeline.
        prompt: Text prompt.
        seed: Seed of the noise.
        arguments: Further arguments of the pipeline.

    Returns:
        (H, W, 3) uint8.
    """
    return array_to_uint8(
        pipeline(
            prompt, generator=torch.Generator().manual_seed(seed), output_type="np", **arguments
        ).images[0]
    )


def array_to_uint8(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert an array in [0, 1] to uint8; NaN becomes 0."""
    return np.clip(np.nan_to_num(image) * 255, 0, 255).round().astype(np.uint8)
