"""Learning rate schedule of the generator's training."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warm_up_and_decay(optimizer: Optimizer, total: int, warmup: int) -> LambdaLR:
    """Build a linear warm-up, followed by linear decay to zero.

    Args:
        optimizer: Optimizer with the peak learning rate.
        total: Optimizer steps of the run.
        warmup: Optimizer steps of the warm-up.

    Raises:
        ValueError: If the run is not longer than the warm-up.
    """
    if total <= warmup:
        msg = f"the run has {total} steps, but warmup_steps is {warmup}: lower warmup_steps"
        raise ValueError(msg)

    def factor(step: int) -> float:
        decay = (total - step) / (total - warmup)
        return min((step + 1) / warmup, decay) if warmup else decay

    return LambdaLR(optimizer, factor)
