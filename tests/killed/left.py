"""What runs leave, as far as it must be the same whether they were killed or not."""

import io
import json
import re
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import torch
from safetensors.torch import load

Files = dict[str, bytes]


def every_file(output: Path) -> Files:
    """Return all files below a folder, without times in manifests, pages, records and results."""
    files = {
        str(path.relative_to(output)): path.read_bytes()
        for path in output.rglob("*")
        if path.is_file()
    }
    manifests = {
        name: json.loads(content)
        for name, content in files.items()
        if Path(name).name == "manifest.json"
    }
    times = {manifest.pop("time") for manifest in manifests.values()}
    files |= {name: json.dumps(manifest).encode() for name, manifest in manifests.items()}
    for name in [name for name in files if Path(name).name == "record.json"]:
        files[name] = re.sub(rb'"timestamp": "[^"]*"', b'"timestamp": ""', files[name])
    for name in [name for name in files if name.endswith(".html")]:
        for text in times:
            files[name] = files[name].replace(text.encode(), b"TIME")
    for name in [name for name in files if Path(name).name == "result.json"]:
        files[name] = json.dumps(json.loads(files[name]) | {"minutes": None}).encode()
    for name in [name for name in files if Path(name).name == "results.parquet"]:
        rows = pq.read_table(io.BytesIO(files[name])).to_pylist()
        files[name] = json.dumps([row | {"minutes": None} for row in rows]).encode()
    return files


def all_but_the_page(output: Path) -> Files:
    """Return all files below a folder but its own page, which shows minutes."""
    files = every_file(output)
    files.pop("report.html", None)
    return files


def trained(output: Path) -> Files:
    """The model that a training run leaves, and the state it ended in.

    Every start of fit has its own folder for logs, checkpoints and the model, which stays as a
    kill leaves it: the last counts.
    """
    files: Files = {}
    starts = sorted(
        output.glob("lightning_logs/version_*"), key=lambda path: int(path.name.partition("_")[2])
    )
    for folder in [
        folder
        for start in starts[-1:]
        for name in ("generator", "detector")
        for folder in start.glob(name)
    ]:
        files |= {f"{folder.name}/{name}": content for name, content in every_file(folder).items()}
    states = [torch.load(path, weights_only=True) for path in whole_checkpoints(output)]
    for state in sorted(states, key=lambda state: state["global_step"])[-1:]:
        buffer = io.BytesIO()
        torch.save(
            [
                state[key]
                for key in ("global_step", "state_dict", "optimizer_states", "lr_schedulers")
            ],
            buffer,
        )
        files["state"] = buffer.getvalue()
    return files


def trained_alike(output: Path) -> Files:
    """Return the same without the weights' values, for streamed data.

    Streams draw anew after each start.
    """
    shapes = {}
    for name, content in trained(output).items():
        if name.endswith("safetensors"):
            shapes[name] = str(
                sorted(
                    (key, value.shape)
                    for key, value in load(content).items()
                    if value.isfinite().all()
                )
            ).encode()
        elif name == "state":
            shapes[name] = str(torch.load(io.BytesIO(content), weights_only=True)[0]).encode()
        elif not name.endswith("sha256"):
            shapes[name] = content
    return shapes


def whole_checkpoints(output: Path) -> list[Path]:
    """The checkpoints below a folder that were not cut short."""
    return [path for path in output.rglob("checkpoints/*.ckpt") if zipfile.is_zipfile(path)]


def from_last(output: Path) -> list[str]:
    """Go on from the last checkpoint if there is one, as people are told to."""
    return ["--ckpt_path", "last"] if whole_checkpoints(output) else []
