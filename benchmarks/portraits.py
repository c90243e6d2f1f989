"""Speed of drawing portraits, in batches and one at a time.

Run ``python -m benchmarks.portraits``.
"""

from __future__ import annotations

import time

import torch

from tiny.portraits import draw


def images_per_second(batch: int, total: int = 512) -> float:
    """Measure the drawing speed at a batch size, at 64 pixels."""
    start = time.perf_counter()
    for first in range(0, total, batch):
        draw(range(first, first + batch), [0] * batch)
    return total / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    draw(range(32), [0] * 32)
    one = images_per_second(1, 64)
    print(f"threads {torch.get_num_threads()}")
    for batch in (1, 8, 32):
        speed = images_per_second(batch)
        print(f"batch {batch:>3}: {speed:6.0f} images/s, {speed / one:4.1f} x one at a time")


if __name__ == "__main__":
    main()
