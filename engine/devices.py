"""Devices and processes of a job: one process, or those of Lightning, torchrun or SLURM."""

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

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")

DDP_TIMEOUT = timedelta(days=2)
"""Longest wait of finished processes for the slowest one."""

BARRIER_EXIT_TIMEOUT_S = 10
"""Longest wait of a process that is stopped in a barrier for the others to leave it."""

_fabric: Any = None
"""Fabric of this command's processes, once they are started."""


@dataclass(frozen=True)
class DeviceOptions:
    """Devices of a job, with the names and meanings of Lightning.

    Attributes:
        accelerator: auto, cpu, gpu (or cuda) or mps.
        devices: Number of devices of each machine. auto takes the processes that a launcher
            started, else all GPUs, else one.
        num_nodes: Number of machines.
        precision: Precision of the networks.
    """

    accelerator: str = "auto"
    devices: int | Literal["auto"] = "auto"
    num_nodes: int = 1
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        too_few_devices = self.devices != "auto" and self.devices < 1
        if too_few_devices or self.num_nodes < 1:
            msg = (
                "devices must be auto or at least 1 and num_nodes at least 1, "
                f"got {self.devices} and {self.num_nodes}"
            )
            raise ValueError(msg)
        if self.precision not in get_args(Precision):
            msg = f"precision '{self.precision}' is not one of {', '.join(get_args(Precision))}"
            raise ValueError(msg)
        if self.accelerator not in ACCELERATORS:
            msg = f"accelerator '{self.accelerator}' is not one of {', '.join(ACCELERATORS)}"
            raise ValueError(msg)


class Process:
    """This process among those of a job.

    Args:
        device: Its device.
        precision: Precision of the networks.
        fabric: The Fabric that connects the job's processes; None for a single process.
    """

    def __init__(self, device: torch.device, precision: Precision, fabric: Any = None) -> None:
        self.device = device
        self.precision = precision
        self.fabric = fabric
        self.rank = 0 if fabric is None else int(fabric.global_rank)
        self.world = 1 if fabric is None else int(fabric.world_size)

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the weights."""
        import torch

        dtypes = {"bf16-true": torch.bfloat16, "16-true": torch.float16}
        return dtypes.get(self.precision, torch.float32)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context that networks run in under mixed precision."""
        import torch

        dtypes = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
        dtype = dtypes.get(self.precision)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def barrier(self, check: Callable[[], None]) -> None:
        """Wait until all processes reach the barrier.

        Args:
            check: Function that is called every 0.2 s; it may raise to end the wait.
        """
        if self.fabric is None:
            return
        errors: list[BaseException] = []

        def wait() -> None:
            try:
                self.fabric.barrier()
            except BaseException as error:
                errors.append(error)

        # wait in a thread: Python does not handle signals inside a barrier
        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        try:
            while waiting.is_alive():
                waiting.join(0.2)
                check()
        except BaseException:
            # end the barrier: a process that exits with a thread inside one is aborted
            self.end_others()
            if not started_by_first():
                waiting.join(BARRIER_EXIT_TIMEOUT_S)
            raise
        if errors:
            raise errors[0]

    def of_first(self, value: Any) -> Any:
        """Return the first process's value, on every process."""
        return value if self.fabric is None else self.fabric.broadcast(value)

    def end_others(self) -> None:
        """Send SIGTERM to the processes that this one started."""
        launcher = None if self.fabric is None else self.fabric.strategy.launcher
        for other in getattr(launcher, "procs", []):
            other.send_signal(signal.SIGTERM)


@contextmanager
def defer_sigterm() -> Iterator[None]:
    """Defer SIGTERM to the end of a block.

    A process that is started inside the block defers it until it reaches the end of the same block.
    """
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


def is_first_process() -> bool:
    """Return True if this is the first process of a job.

    The answer comes from the environment, so the processes need not be connected yet.
    """
    ranks = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((rank == "0" for rank in ranks if rank is not None), True)


def started_by_first() -> bool:
    """Return True if the job's first process started this one and is connected to it.

    Such a first process is killed when one of the others fails.
    """
    return _fabric is not None and not is_first_process() and count_launched() == 1


def count_launched() -> int:
    """Count the processes started by torchrun, ``fabric run`` or SLURM's ``srun``.

    The count is 1 without a launcher.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    if os.environ.get("SLURM_JOB_NAME") not in (None, "bash", "interactive"):
        return int(os.environ.get("SLURM_NTASKS", "1"))
    return 1


def pick_device(accelerator: str) -> torch.device:
    """Select the device of a job that runs in one process.

    Raises:
        ValueError: If this machine has no such device.
    """
    import torch

    available = {
        "gpu": torch.cuda.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if accelerator == "auto":
        accelerator = next(name for name in ("cuda", "mps", "cpu") if available[name])
    elif accelerator == "gpu" and available["mps"]:
        accelerator = "mps"
    elif not available[accelerator]:
        msg = f"accelerator {accelerator}: there is none on this machine; use auto or cpu"
        raise ValueError(msg)
    return torch.device("cuda" if accelerator == "gpu" else accelerator)


def single_process(options: DeviceOptions) -> Process:
    """Return this process with its device, without connecting it to others."""
    return Process(pick_device(options.accelerator), options.precision)


def start_processes(options: DeviceOptions, at_most: int | None = None) -> Process:
    """Start the processes of a job, and return this one of them.

    Args:
        options: Devices, nodes and precision.
        at_most: Number of processes with work; fewer are started if there are more devices.
            A launcher's processes are all used.

    Raises:
        ValueError: If there is no such device, or a launcher started another number of processes.
    """
    device = pick_device(options.accelerator)
    launched = count_launched()
    count = _devices_per_node(options, device, launched)

    # compare with the launcher
    wanted = count * options.num_nodes
    if launched > 1 and launched != wanted:
        msg = (
            f"the launcher started {launched} processes, "
            f"but --devices x --num-nodes is {wanted}: "
            "make them equal, or each process would do all the work"
        )
        raise ValueError(msg)

    # start no process without work; the processes that Lightning starts compute the same count
    if launched == 1 and at_most is not None and options.num_nodes == 1:
        count = max(1, min(count, at_most))

    # reuse the processes of an earlier job of this command
    if _fabric is not None:
        return Process(_fabric.device, options.precision, _fabric)
    if count * options.num_nodes == 1:
        return Process(device, options.precision)
    fabric = _launch(device, count, options.num_nodes)
    return Process(fabric.device, options.precision, fabric)


def _devices_per_node(options: DeviceOptions, device: torch.device, launched: int) -> int:
    """Resolve ``devices: auto``: all GPUs, or the launched processes, or one."""
    import torch

    if options.devices != "auto":
        return options.devices
    if device.type == "cuda":
        return torch.cuda.device_count()
    return max(1, launched // options.num_nodes)


def _launch(device: torch.device, count: int, num_nodes: int) -> Any:
    """Start and connect the processes, and return their Fabric."""
    global _fabric
    from lightning.fabric import Fabric
    from lightning.fabric.strategies import DDPStrategy

    fabric = Fabric(
        accelerator="cpu" if device.type == "cpu" else "gpu",
        devices=count,
        num_nodes=num_nodes,
        strategy=DDPStrategy(timeout=DDP_TIMEOUT),
    )
    # defer SIGTERM in the started processes, too: the first would wait for one that has ended
    with defer_sigterm():
        if "LT_CLI_USED" not in os.environ:  # `fabric run` has set the processes up already
            fabric.launch()
        _fabric = fabric
    return fabric
