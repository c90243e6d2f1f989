"""What training against an edit buys after it.  ``python -m benchmarks.robustness``.

The shipped small generator goes on training for the same steps with each kind of edit (``configs/rid/tiny_robust.yaml``), and the
surrogates' denoising error on protected pictures of validation people, which protection raises, is measured after every edit. It needs
the pairs of ``configs/rid/pairs_tiny.yaml``.
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
NOTHING = {"jpeg": None, "blur": 0.0, "resize": 1.0, "rounding": False}
TRAINED: dict[str, dict[str, object] | None] = {
    "nothing": None,
    "rounding": NOTHING | {"rounding": True},
    "JPEG 50 to 95": NOTHING | {"jpeg": [50, 95]},
    "blur to 1 pixel": NOTHING | {"blur": 1.0},
    "scaling to a half": NOTHING | {"resize": 0.5},
    "all of them": {"jpeg": [50, 95], "blur": 1.0, "resize": 0.5, "rounding": True},
}
MEASURED: dict[str, Purifier | None] = {
    "no edit": None,
    "JPEG 75": Jpeg(75),
    "blur 0.7": GaussianBlur(0.7),
    "scaled to 0.7": DownUp(0.7),
}
PEOPLE, DRAWS = 64, 6


@torch.no_grad()
def errors(ensemble: DiffusionEnsemble, images: Tensor) -> list[float]:
    """The ensemble's mean denoising error on 8-bit pictures after every edit, under the same noise."""
    found = []
    for method in MEASURED.values():
        shown = images if method is None else method(images, torch.Generator())
        found.append(denoising_error(ensemble, quantize(shown), DRAWS))
    return found


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
            print(
                "| trained against | "
                + " | ".join(MEASURED)
                + " |\n"
                + "|---" * (len(MEASURED) + 1)
                + "|"
            )
            base = errors(ensemble, clean)
        with torch.no_grad():
            protected = quantize(run.model.generator.eval().protect(clean))
        cells = [
            f"+{after / before - 1:.1%}"
            for after, before in zip(errors(ensemble, protected), base, strict=True)
        ]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
