"""Fork server for commands: a process with all imports, so that runs begin at once.

Started as a program. A line of JSON on its input starts a command in a process group of its own; it
answers with the process's number, and with the exit code when it ends. The child does what
``python -m ROOM VERB …`` does, from ``__main__`` on.
"""

import json
import os
import random
import runpy
import signal
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]

HEAVY = (
    *(
        "torch",
        "lightning",
        "lightning.pytorch.cli",
        "lightning.pytorch.loggers",
        "diffusers",
        "transformers",
        "peft",
        "torchvision",
    ),
    *(
        "torchmetrics",
        "timm",
        "faiss",
        "kornia",
        "pyarrow.parquet",
        "scipy.stats",
        "PIL.Image",
        "jinja2",
        "filelock",
        "msgspec",
    ),
    *(
        "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
        "diffusers.models.unets.unet_2d_condition",
    ),
    *(
        "diffusers.models.autoencoders.autoencoder_kl",
        "transformers.models.clip.modeling_clip",
    ),
    *(
        "rid.protect.job",
        "rid.pairs.job",
        "rid.training.cli",
        "detectors.cli",
        "detectors.scan",
        "detectors.features",
    ),
    *(
        "indexing.activate",
        "indexing.extract",
        "models.embed_job",
        "sentinels.reader",
        "datamodules.fake2m.synthesize",
    ),
    *(
        "datamodules.fake2m.reconstruct",
        "datamodules.fake2m.datamodule",
        "datamodules.datamodule",
        "eval.studies.matrix",
    ),
    *("eval.callbacks", "eval.metrics.quality", "tiny.dataset", "torch.utils.tensorboard"),
)


class Moments:
    """Counts the operations on files below a folder, and ends this process at one of them.

    Args:
        folder: The folder.
        last: Number of the operation that does not happen any more; 0 if all happen.
        number: Of the signal that this process group is sent in its place.
        told: File that gets the count when the process ends by itself.
    """

    def __init__(self, folder: str, last: int, number: int, told: Path) -> None:
        self.folder = folder
        self.last = last
        self.number = number
        self.told = told
        self.count = 0
        self.owner = os.getpid()

    def __call__(self, event: str, arguments: tuple) -> None:
        if (
            event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "os.link")
            or os.getpid() != self.owner
        ):
            return
        reading = event == "open" and not (arguments[2] or 0) & (
            os.O_WRONLY | os.O_RDWR | os.O_CREAT
        )
        places = arguments[:2] if event == "os.rename" else arguments[:1]
        if reading or not any(
            isinstance(place, str | os.PathLike) and os.fspath(place).startswith(self.folder)
            for place in places
        ):
            return
        self.count += 1
        if self.count == self.last:
            os.killpg(0, self.number)

    def tell(self) -> None:
        self.told.write_text(str(self.count))


def become(room: str, arguments: list[str], log: str, moments: dict) -> None:
    """Be ``python -m ROOM ARGUMENTS``."""
    import atexit

    import numpy as np

    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    streams = (
        os.open(os.devnull, os.O_RDONLY),
        os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
    )
    for target, source in enumerate((streams[0], streams[1], streams[1])):
        os.dup2(source, target)
    random.seed()  # a process of its own would not draw what the one before drew
    np.random.seed()
    hook = Moments(moments["folder"], moments["last"], moments["signal"], Path(moments["told"]))
    atexit.register(hook.tell)
    sys.addaudithook(hook)
    sys.argv = [room, *arguments]
    runpy.run_module(room, run_name="__main__", alter_sys=True)


def serve() -> None:
    """Start what is asked for, one after another."""
    for name in HEAVY:
        import_module(name)
    threads = len(os.listdir("/proc/self/task"))
    print(json.dumps({"threads": threads}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            return become(**asked)
        print(json.dumps({"process": child}), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)
    return None


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    serve()
