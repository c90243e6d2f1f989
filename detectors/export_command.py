"""``python -m detectors export``: a detector as an ONNX file, or as a page for browsers."""

from __future__ import annotations

from typing import Any

from engine.cli import Output, Parser, Verb, add_export_arguments
from engine.files import refuse_existing


def options(parser: Parser) -> None:
    """Add the options of ``export``."""
    add_export_arguments(parser, "detector", "judges images")


def act(settings: Any, output: Output) -> int:
    """Export a detector, and compare the file with it."""
    from detectors.export import export_onnx, export_page, open_exportable

    target = settings.output
    refuse_existing(target)
    ensemble, detector = open_exportable(settings.weights)
    if target.suffix == ".onnx":
        largest = export_onnx(detector, target)
        size = target.stat().st_size
    else:
        largest, size = export_page(settings.weights, ensemble, detector, target)
    output.result(
        f"{target}: {size / 1e6:.1f} MB, squares of {detector.view.size} pixels; logits differ "
        f"from PyTorch's by at most {largest:.2g}",
        output=target,
        bytes=size,
        largest_difference=largest,
    )
    return 0


VERB = Verb(
    "Export a detector to an ONNX file, or to a page that judges images in the browser.",
    "detectors export DETECTOR/ -o page/",
    options,
    act,
)
