"""Training of one split of a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from detectors.protocol_plan import Catalog
from engine.files import read_text, write_text
from engine.training import launched_processes, newest_checkpoint

CONFIG = "fit.yaml"
"""Config of a split's training, in its folder."""


def split_config(
    recipe: Path, folder: Path, train: Catalog, val: Catalog, trained: Sequence[str]
) -> str:
    """Build the config of a split's training.

    Args:
        recipe: Config of ``detectors fit``; its shards are replaced.
        folder: Folder of the split.
        train: Shards to train on.
        val: Shards to watch; only those of the trained generators are.
        trained: Generators to train on, each drawn equally often.

    Returns:
        The config, as YAML.

    Raises:
        ValueError: If the recipe is no config with ``data`` and ``trainer``.
    """
    settings: Any = yaml.safe_load(read_text(recipe))
    known = settings if isinstance(settings, dict) else {}
    given, trainer = known.get("data"), known.get("trainer")
    if not isinstance(given, dict) or not isinstance(trainer, dict):
        msg = f"{recipe}: not a config of python -m detectors fit; it needs data and trainer"
        raise ValueError(msg)
    data = {name: value for name, value in given.items() if name not in ("twins", "align")}
    data["real"] = [{"urls": pattern_of(train.real)}]
    data["generated"] = [{"urls": pattern_of(train.generated[name])} for name in trained]
    watched = [shard for name in trained for shard in val.generated.get(name, [])]
    data["val"] = [*val.real, *watched]
    needed = ("logger", "enable_checkpointing")
    kept = {name: value for name, value in trainer.items() if name not in needed or value}
    trainer = kept | {"default_root_dir": str(folder / "run"), "devices": 1, "num_nodes": 1}
    return yaml.safe_dump(settings | {"data": data, "trainer": trainer}, sort_keys=False)


def pattern_of(shards: Sequence[str]) -> str:
    """Join paths of shards to one pattern.

    Raises:
        ValueError: If a path has a character of patterns.
    """
    for shard in shards:
        if any(letter in shard for letter in "{},*?["):
            msg = f"{shard}: a path with one of {{}},*?[ cannot be named in a config; move it"
            raise ValueError(msg)
    return shards[0] if len(shards) == 1 else f"{{{','.join(shards)}}}"


def train_split(folder: Path, config: str) -> Path:
    """Train a split's detector, or go on where a run was stopped.

    Args:
        folder: Folder of the split.
        config: The split's config; see :func:`split_config`.

    Returns:
        The detector's folder. One that is finished is not trained again.

    Raises:
        ValueError: If the folder holds the training of another config, or this is one of several
            processes.
    """
    file = folder / CONFIG
    if file.is_file() and read_text(file) != config:
        msg = f"{file}: the training of another recipe or other shards; choose another -o"
        raise ValueError(msg)
    if (finished := trained_detector(folder)) is not None:
        return finished
    if launched_processes() > 1:
        msg = (
            "a protocol trains in one process; train its splits on several with "
            f"python -m detectors fit -c {file}, then run it again"
        )
        raise ValueError(msg)
    write_text(file, config)
    from detectors.cli import main as run_detectors

    command = ["fit", "-c", str(file), "--gate", "off"]
    with suppress(FileNotFoundError):
        command += ["--ckpt_path", str(newest_checkpoint(folder / "run"))]
    run_detectors(command)
    detector = trained_detector(folder)
    if detector is None:
        msg = f"{file}: the training wrote no detector; its config must keep trainer.logger"
        raise ValueError(msg)
    return detector


def trained_detector(folder: Path) -> Path | None:
    """Find the finished detector of a split; None if there is none.

    Its manifest is written last.
    """
    files = list((folder / "run").glob("**/detector/manifest.json"))
    return max(files, key=lambda file: file.stat().st_mtime_ns).parent if files else None
