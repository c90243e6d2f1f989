"""The findings of a scan as a page with the pictures, the most suspicious first, and heat maps where the detector has places."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from detectors.detector import Detector
from detectors.scan import Finding
from engine.files import write_bytes
from images.inputs import ImageInput, find_images
from images.io import data_url

SHOWN = 300
SIDE = 180

STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "figure{display:inline-block;width:190px;margin:0 .6rem 1.2rem 0;vertical-align:top}figcaption{overflow-wrap:anywhere;font-size:13px}"
    "img{max-width:100%;display:block;margin-bottom:.2rem}.generated{color:#a11}.unsure{color:#a60}.real{color:#171}.error{color:#555}"
)


def write_page(inputs: Sequence[Path], found: Sequence[Finding], detectors: Sequence[Detector], target: Path) -> None:
    """Write one HTML file that needs nothing beside it; the pictures in it never leave the machine with it unless you send it.

    Args:
        inputs: As the scan's.
        found: Its findings.
        detectors: For heat maps.
        target: The file.
    """
    files = {file.name: file for file in find_images(inputs).images}
    ordered = sorted((row for row in found if not row.error), key=lambda row: -(row.probability or 0))
    counts = {verdict: sum(row.verdict == verdict for row in ordered) for verdict in ("generated", "unsure", "real")}
    failed = [row for row in found if row.error]
    parts = [f"<h1>{len(found)} pictures</h1><p>" + ", ".join(f'<b class="{kind}">{count} {kind}</b>' for kind, count in counts.items())]
    parts.append(f", {len(failed)} not read</p>" if failed else "</p>")
    if not all(detector.calibration.pictures for detector in detectors):
        parts.append("<p>This detector is not calibrated: its probabilities are its own idea, and no verdict is unsure.</p>")
    if len(ordered) > SHOWN:
        parts.append(f"<p>The {SHOWN} most suspicious are shown; the table has all.</p>")
    parts += [_figure(row, files[row.file], detectors) for row in ordered[:SHOWN]]
    parts += [f'<p class="error">{html.escape(row.error)}</p>' for row in failed]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Scan</title><style>{STYLE}</style>'
    write_bytes(target, f"{head}{''.join(parts)}</html>\n".encode(errors="replace"))


def _figure(row: Finding, file: ImageInput, detectors: Sequence[Detector]) -> str:
    rgb = file.open().rgb
    pictures = [rgb, *(heat for detector in detectors if (heat := heat_picture(rgb, detector)) is not None)]
    images = "".join(f'<img src="{_small(Image.fromarray(picture))}" alt="">' for picture in pictures)
    said = f'<b class="{row.verdict}">{row.verdict}</b>, P = {row.probability:.3f}'
    return f"<figure>{images}<figcaption>{said}<br>{html.escape(row.file)}</figcaption></figure>"


def heat_picture(rgb: NDArray[np.uint8], detector: Detector) -> NDArray[np.uint8] | None:
    """What the detector sees of an (H, W, 3) picture, (S, S, 3), the brighter the more generated a place looks to it.

    None for networks whose answer has no place.
    """
    view = detector.view(rgb, np.random.default_rng(0)).unsqueeze(0)
    with torch.no_grad():
        heat = detector.heat(view.to(next(detector.parameters()).device))
    if heat is None:
        return None
    coloured = mpl.colormaps["inferno"](heat[0].cpu().numpy())[..., :3]
    mixed = 0.45 * view[0].permute(1, 2, 0).numpy() + 0.55 * coloured
    return (mixed * 255).astype(np.uint8)


def _small(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.thumbnail((SIDE, SIDE))
    image.save(buffer, format="JPEG", quality=85)
    return data_url(buffer.getvalue(), "jpeg")
