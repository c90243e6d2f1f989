"""Effect of training RID against edits, measured after edits.

Run ``python -m benchmarks.robustness``.

The shipped small generator is trained further, for the same number of steps with each kind of edit
(``configs/rid/tiny_robust.yaml``). Protection raises the surrogates' denoising error, which is
measured on protected images of validation people after every edit. The pairs of
``configs/rid/pairs_tiny.yaml`` are needed.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from checkpoints.folders import ROOT
from eval.attacks.purification import DownUp, GaussianBlur, Jpeg, Purifier
from eval.metrics.denoising import denoising_error
from eval.metrics.quality import quantize
from rid.ensemble import DiffusionEnsemble
from rid.training.cli import main as rid
from tiny.dataset import PortraitDataset

CONFIG = ROOT / "configs" / "rid" / "tiny_robust.yaml"

NO_EDIT = {"jpeg": None, "blur": 0.0, "resize": 1.0, "rounding": False}

TRAINED: dict[str, dict[str, object] | None] = {
    "nothing": None,
    "rounding": NO_EDIT | {"rounding": True},
    "JPEG 50 to 95": NO_EDIT | {"jpeg": [50, 95]},
    "blur to 1 pixel": NO_EDIT | {"blur": 1.0},
    "scaling to a half": NO_EDIT | {"resize": 0.5},
    "all of them": {"jpeg": [50, 95], "blur": 1.0, "resize": 0.5, "rounding": True},
}
"""Edits in training."""

MEASURED: dict[str, Purifier | None] = {
    "no edit": None,
    "JPEG 75": Jpeg(75),
    "blur 0.7": GaussianBlur(0.7),
    "scaled to 0.7": DownUp(0.7),
}
"""Edits before measuring."""

PEOPLE = 64
NOISE_SAMPLES = 6


@torch.no_grad()
def errors(ensemble: DiffusionEnsemble, images: Tensor) -> list[float]:
    """Compute the ensemble's mean denoising error on 8-bit images after every edit.

    The noise is the same for all edits.
    """
    values = []
    for edit in MEASURED.values():
        edited = images if edit is None else edit(images, torch.Generator())
        values.append(denoising_error(ensemble, quantize(edited), NOISE_SAMPLES))
    return values


def main() -> None:
    """Print the table."""
    items = PortraitDataset(900_100, PEOPLE, 1).__getitems__(list(range(PEOPLE)))
    clean = torch.stack([item["image"] for item in items])
    base: list[float] = []
    for name, edits in TRAINED.items():
        root = Path("outputs") / "robustness" / name.replace(" ", "_")
        arguments = [
            "fit",
            "-c",
            str(CONFIG),
            f"--trainer.default_root_dir={root}",
            "--trainer.accelerator=cpu",
            f"--model.robustness={json.dumps(edits)}",
        ]
        run = rid(arguments)
        ensemble = run.model.ensemble
        if not base:
            print(f"| trained against | {' | '.join(MEASURED)} |")
            print("|---" * (len(MEASURED) + 1) + "|")
            base = errors(ensemble, clean)
        with torch.no_grad():
            protected = quantize(run.model.generator.eval().protect(clean))
        cells = [name]
        for after, before in zip(errors(ensemble, protected), base, strict=True):
            cells.append(f"+{after / before - 1:.1%}")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
