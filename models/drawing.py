"""How local models draw among requests to services: where there is the device, one picture at a time, beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

TURN = threading.Lock()


def check_device(device: str) -> None:
    """Say before the work that a device is missing.

    Raises:
        ValueError: If it is not on this machine.
    """
    try:
        torch.zeros(1, device=device)
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # what torch raises where there is no such device
        msg = f"device {device}: not on this machine; use cpu, or cuda where there is a GPU"
        raise ValueError(msg) from error


async def run_in_turn(draw: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Draw a picture without gradients, after those that were asked for before; no answer of a service times out meanwhile."""

    def alone() -> NDArray[np.uint8]:
        with TURN, torch.no_grad():
            return draw()

    return await asyncio.to_thread(alone)


def generate_image(pipeline: Any, prompt: str, seed: int, **how: Any) -> NDArray[np.uint8]:
    """A picture, (H, W, 3), by a pipeline of diffusers, its noise drawn on the processor: the same on every device.

    Args:
        pipeline: The pipeline.
        prompt: What is drawn.
        seed: Of the noise.
        how: What else it is called with.
    """
    return array_to_uint8(pipeline(prompt, generator=torch.Generator().manual_seed(seed), output_type="np", **how).images[0])


def array_to_uint8(drawn: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey levels of a drawn picture in [0, 1]; values that are none become 0."""
    return np.clip(np.nan_to_num(drawn) * 255, 0, 255).round().astype(np.uint8)
