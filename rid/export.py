"""``python -m rid export``: a generator as an ONNX file, or as a page for browsers."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from engine.cli import Output, Parser, Verb
from engine.files import atomic_write

if TYPE_CHECKING:
    from rid.generator import PerturbationGenerator

INSTALL = "pip install -r requirements-onnx.txt"

MOST_DIFFERENCE = 0.01
"""Largest difference between a float file and the generator, in gray levels of 255."""


def options(parser: Parser) -> None:
    """Add the options of ``export``."""
    parser.add_argument("weights", type=str, help="generator: folder, Hub id or .ckpt file")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="an .onnx file, or a folder: a static page that protects photos in the visitor's "
        "browser; must not exist",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="store weights as 8-bit integers: smaller and faster on CPUs, not exact",
    )


def act(settings: Any, output: Output) -> int:
    """Export a generator, and compare the file with it."""
    from rid.weights import load_generator

    target = settings.output
    if target.exists():
        msg = f"{target} exists already: choose another name or delete it"
        raise ValueError(msg)
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
    """Write the page's folder, whole or not at all.

    Returns:
        Largest and mean difference of the network, and its size in bytes.
    """
    from checkpoints.card import made_for
    from checkpoints.folders import model_path
    from engine.manifest import fingerprint, read_manifest, write_manifest
    from rid.browser.build import build_page, runtime_folder

    runtime = runtime_folder()
    target = settings.output
    place = model_path(settings.weights)
    weights = fingerprint(settings.weights, place)
    domain = made_for(place) or generator.PURPOSE.limits
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        onnx = Path(scratch) / "generator.onnx"
        largest, mean = export_onnx(generator, onnx, settings.int8)
        folder = Path(scratch) / "page"
        write_manifest(folder, command="rid export", weights=weights, int8=settings.int8)
        record = read_manifest(folder) or {}
        build_page(generator, onnx, runtime, folder, weights["sha256"], domain, record)
        size = onnx.stat().st_size
        folder.rename(target)
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

    try:
        import onnxscript  # noqa: F401 - torch.onnx needs it
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        msg = f"ONNX export needs further packages ({error}): {INSTALL}"
        raise ValueError(msg) from error

    folded = generator.fold().eval()
    side = generator.image_size
    program = torch.onnx.export(
        folded,
        (torch.rand(2, 3, side, side),),
        input_names=["images"],
        output_names=["perturbations"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    # The exporter notes source files with their paths at each node.
    for node in program.model.graph:
        node.metadata_props.clear()
    facts = {"image_size": str(side), "budget_levels": f"{generator.budget:g}"}
    program.model.metadata_props.update(facts)

    with atomic_write(target) as partial:
        program.save(partial)
        if int8:
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
    import onnxruntime
    import torch

    random = torch.Generator().manual_seed(0)
    side = generator.image_size
    images = torch.rand(3, 3, side, side, generator=random)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    perturbations = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    with torch.inference_mode():
        difference = (perturbations - generator(images)).abs() * 255
    return float(difference.max()), float(difference.mean())


VERB = Verb(
    "Export a generator to an ONNX file, or to a page that protects photos in the browser.",
    "rid export RID/ -o page/",
    options,
    act,
)
