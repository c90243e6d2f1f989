"""``python -m rid export``: a generator as an ONNX file, or as a page for browsers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli import Output, Parser, Verb, add_export_arguments
from engine.files import refuse_existing

if TYPE_CHECKING:
    from rid.generator import PerturbationGenerator

MOST_DIFFERENCE = 0.01
"""Largest difference between a float file and the generator, in gray levels of 255."""


def options(parser: Parser) -> None:
    """Add the options of ``export``."""
    add_export_arguments(parser, "generator", "protects photos")
    parser.add_argument(
        "--int8",
        action="store_true",
        help="store weights as 8-bit integers: smaller and faster on CPUs, not exact",
    )


def act(settings: Any, output: Output) -> int:
    """Export a generator, and compare the file with it."""
    from rid.weights import load_generator

    target = settings.output
    refuse_existing(target)
    generator = load_generator(settings.weights)
    if target.suffix == ".onnx":
        largest, mean = export_onnx(generator, target, settings.int8)
        size = target.stat().st_size
    else:
        largest, mean, size = _export_page(generator, settings)
    output.result(
        f"{target}: {size / 1e6:.1f} MB, images of {generator.image_size} pixels; differs "
        f"from PyTorch by at most {largest:.2g} gray levels of 255, {mean:.2g} on average",
        output=target,
        bytes=size,
        largest_difference=largest,
        mean_difference=mean,
    )
    return 0


def _export_page(generator: PerturbationGenerator, settings: Any) -> tuple[float, float, int]:
    """Write the page's folder.

    Returns:
        Largest and mean difference of the network, and its size in bytes.
    """
    from checkpoints.card import made_for
    from checkpoints.folders import model_path
    from engine.browser.build import BrowserPage, build_page
    from engine.manifest import fingerprint

    place = model_path(settings.weights)
    weights = fingerprint(settings.weights, place)
    facts = {
        "image_size": generator.image_size,
        "budget_levels": float(generator.budget),
        "weights": " ".join(weights["sha256"].values()),
    }
    domain = made_for(place) or generator.PURPOSE.limits
    values = {"budget": generator.budget, "side": generator.image_size}
    page = BrowserPage("rid.browser", "protect.html", domain, facts, values)
    differences = []
    size = build_page(
        page,
        lambda file: differences.append(export_onnx(generator, file, settings.int8)),
        settings.output,
        command="rid export",
        weights=weights,
        int8=settings.int8,
    )
    [(largest, mean)] = differences
    return largest, mean, size


def export_onnx(
    generator: PerturbationGenerator, target: Path, int8: bool = False
) -> tuple[float, float]:
    """Write an ONNX file, and compare it with the generator.

    The file maps ``images``, (B, 3, S, S) float32 RGB in [0, 1], to ``perturbations`` of the same
    shape, to be added. Its metadata state ``image_size`` and ``budget_levels``.

    Args:
        generator: The generator, on the CPU.
        target: File to write.
        int8: Store the matrices as 8-bit integers.

    Returns:
        Largest and mean difference on random images, in gray levels of 255.

    Raises:
        ValueError: If packages are missing, or a file of floats differs by more than
            :data:`MOST_DIFFERENCE`.
    """
    import torch

    from engine.onnx_files import onnx_file

    folded = generator.fold().eval()
    side = generator.image_size
    facts = {"image_size": str(side), "budget_levels": f"{generator.budget:g}"}
    images = torch.rand(2, 3, side, side)
    with onnx_file(folded, images, ["perturbations"], target, facts) as partial:
        if int8:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(partial, partial, weight_type=QuantType.QInt8)
        largest, mean = _difference(folded, partial)
        if not int8 and largest > MOST_DIFFERENCE:
            msg = (
                f"{target}: differs from the generator by {largest:.3g} gray levels, more than "
                f"{MOST_DIFFERENCE}; nothing was written"
            )
            raise ValueError(msg)
    return largest, mean


def _difference(generator: PerturbationGenerator, file: Path) -> tuple[float, float]:
    """Compare a file with the generator on random images.

    Returns:
        Largest and mean difference, in gray levels of 255.
    """
    import torch

    from engine.onnx_files import run_onnx

    random = torch.Generator().manual_seed(0)
    side = generator.image_size
    images = torch.rand(3, 3, side, side, generator=random)
    perturbations = torch.from_numpy(run_onnx(file, images)[0])
    with torch.inference_mode():
        difference = (perturbations - generator(images)).abs() * 255
    return float(difference.max()), float(difference.mean())


VERB = Verb(
    "Export a generator to an ONNX file, or to a page that protects photos in the browser.",
    "rid export RID/ -o page/",
    options,
    act,
)
