"""Where a job runs: one process, or as many as Lightning, torchrun or SLURM start."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import torch

Precision = Literal["32-true", "bf16-true", "16-true", "bf16-mixed", "16-mixed"]

_started: Any = None
"""The processes of this command, once they run."""

DDP_TIMEOUT = timedelta(days=2)
"""How long finished processes wait for the slowest."""

PATIENCE = 10
"""Seconds that a process which is stopped in a barrier waits for the others to leave it."""


@dataclass(frozen=True)
class DeviceOptions:
    """Devices of a job; names and meanings are Lightning's.

    Attributes:
        accelerator: auto, cpu, gpu (or cuda) or mps.
        devices: How many. auto takes those that a launcher started, else all GPUs, else one.
        num_nodes: Machines.
        precision: Of the networks.
    """

    accelerator: str = "auto"
    devices: int | Literal["auto"] = "auto"
    num_nodes: int = 1
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        wrong = self.devices != "auto" and self.devices < 1
        if wrong or self.num_nodes < 1:
            msg = f"devices must be auto or at least 1 and num_nodes at least 1, got {self.devices} and {self.num_nodes}"
            raise ValueError(msg)
        if self.precision not in get_args(Precision):
            msg = f"precision '{self.precision}' is not one of {', '.join(get_args(Precision))}"
            raise ValueError(msg)
        if self.accelerator not in ACCELERATORS:
            msg = f"accelerator '{self.accelerator}' is not one of {', '.join(ACCELERATORS)}"
            raise ValueError(msg)


ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")


class Process:
    """This process among those of a job.

    Args:
        device: Its device.
        precision: Of the networks.
        fabric: What started it among others; None if it is alone.
    """

    def __init__(self, device: torch.device, precision: Precision, fabric: Any = None) -> None:
        self.device, self.precision, self.fabric = device, precision, fabric
        self.rank = 0 if fabric is None else int(fabric.global_rank)
        self.world = 1 if fabric is None else int(fabric.world_size)

    @property
    def dtype(self) -> torch.dtype:
        """What weights are held in."""
        import torch

        return {"bf16-true": torch.bfloat16, "16-true": torch.float16}.get(
            self.precision, torch.float32
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """The context that networks run in under mixed precision."""
        import torch

        kinds = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
        kind = kinds.get(self.precision)
        return nullcontext() if kind is None else torch.autocast(self.device.type, kind)

    def barrier(self, check: Callable[[], None]) -> None:
        """Wait for all processes.

        Args:
            check: Called now and then while this one waits; may raise to end the wait.
        """
        if self.fabric is None:
            return
        faults: list[BaseException] = []

        def meet() -> None:
            try:
                self.fabric.barrier()
            except BaseException as error:
                faults.append(error)

        waiting = threading.Thread(
            target=meet, daemon=True
        )  # signals are not seen inside a barrier
        waiting.start()
        try:
            while waiting.is_alive():
                waiting.join(0.2)
                check()
        except BaseException:
            self.end_others()  # which ends the barrier: a process that exits with a thread in one is aborted
            if not started_by_first():
                waiting.join(PATIENCE)
            raise
        if faults:
            raise faults[0]

    def end_others(self) -> None:
        """End the processes that this one started."""
        launcher = None if self.fabric is None else self.fabric.strategy.launcher
        for other in getattr(launcher, "procs", []):
            other.send_signal(signal.SIGTERM)


@contextmanager
def sigterm_waits() -> Iterator[None]:
    """Hold SIGTERM back in a block, and in the processes that it starts until they come to the end of the same block."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def leave_process_group() -> None:
    """Disconnect this process from the others of its job.

    Call it before the interpreter ends: a thread of an open process group may still hold a tensor
    then, and the process is aborted when that thread lets go of it.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def first_process() -> bool:
    """Whether this is the first process of a job, told before any connection between them is made."""
    ranks = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((rank == "0" for rank in ranks if rank is not None), True)


def started_by_first() -> bool:
    """Whether the first process of this job started this one and is connected to it; it is killed where one of them fails."""
    return _started is not None and not first_process() and launched() == 1


def launched() -> int:
    """How many processes a launcher started: torchrun, ``fabric run`` or SLURM's ``srun``; 1 without one."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    if os.environ.get("SLURM_JOB_NAME") not in (None, "bash", "interactive"):
        return int(os.environ.get("SLURM_NTASKS", "1"))
    return 1


def pick_device(accelerator: str) -> torch.device:
    """The device of a job that runs in one process.

    Raises:
        ValueError: If this machine has none of the kind.
    """
    import torch

    has = {
        "gpu": torch.cuda.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if accelerator == "auto":
        accelerator = next(name for name in ("cuda", "mps", "cpu") if has[name])
    elif accelerator == "gpu" and has["mps"]:
        accelerator = "mps"
    elif not has[accelerator]:
        msg = f"accelerator {accelerator}: there is none on this machine; use auto or cpu"
        raise ValueError(msg)
    return torch.device("cuda" if accelerator == "gpu" else accelerator)


def alone(options: DeviceOptions) -> Process:
    """Take this process and its device only, whatever others there are."""
    return Process(pick_device(options.accelerator), options.precision)


def start(options: DeviceOptions, at_most: int | None = None) -> Process:
    """Start the processes of a job and return this one of them.

    Args:
        options: Where it runs.
        at_most: Processes that would have work; more are not started, unless a launcher started them already.

    Raises:
        ValueError: If there is no such device, or a launcher started another number of processes.
    """
    global _started
    import torch

    already = launched()
    device = pick_device(options.accelerator)
    count = options.devices
    if count == "auto":
        count = (
            torch.cuda.device_count()
            if device.type == "cuda"
            else max(1, already // options.num_nodes)
        )
    if already > 1 and already != count * options.num_nodes:
        msg = (
            f"the launcher started {already} processes, but --devices x --num-nodes is {count * options.num_nodes}: "
            "make them equal, or each process would do all the work"
        )
        raise ValueError(msg)
    if already == 1 and at_most is not None and options.num_nodes == 1:
        # the processes that Lightning starts come here, too, and count the same
        count = max(1, min(count, at_most))
    if _started is not None:  # by an earlier job of this command
        return Process(_started.device, options.precision, _started)
    if count * options.num_nodes == 1:
        return Process(device, options.precision)
    from lightning.fabric import Fabric
    from lightning.fabric.strategies import DDPStrategy

    kind = "cpu" if device.type == "cpu" else "gpu"
    fabric = Fabric(
        accelerator=kind,
        devices=count,
        num_nodes=options.num_nodes,
        strategy=DDPStrategy(timeout=DDP_TIMEOUT),
    )
    with (
        sigterm_waits()
    ):  # in the processes that are started, too: the first would wait for one that has ended
        if "LT_CLI_USED" not in os.environ:  # `fabric run` has set the processes up already
            fabric.launch()
        _started = fabric
    return Process(fabric.device, options.precision, fabric)
