"""Networks as ONNX files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.files import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

INSTALL = "pip install -r requirements-onnx.txt"


@contextmanager
def onnx_file(
    network: nn.Module,
    images: Tensor,
    outputs: Sequence[str],
    target: Path,
    facts: Mapping[str, str],
    any_batch: bool = True,
) -> Iterator[Path]:
    """Write an ONNX file that maps ``images`` to outputs.

    Args:
        network: The network, on the CPU.
        images: Example of the input.
        outputs: Names of its outputs.
        target: File to write.
        facts: Metadata of the file.
        any_batch: The file takes batches of any size; otherwise of the example's.

    Yields:
        The file under a temporary name. It becomes the target where the block raises nothing: the
        block compares the file with the network.

    Raises:
        ValueError: If packages are missing, or the network cannot be exported.
    """
    import torch

    try:
        import onnxruntime  # noqa: F401 - the file is compared with it
        import onnxscript  # noqa: F401 - torch.onnx needs it
    except ImportError as error:
        msg = f"ONNX export needs further packages ({error}): {INSTALL}"
        raise ValueError(msg) from error
    try:
        program = torch.onnx.export(
            network,
            (images,),
            input_names=["images"],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("batch")},) if any_batch else None,
            dynamo=True,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        msg = f"this network cannot be exported to ONNX: {error}"
        raise ValueError(msg) from error
    assert program is not None
    # The exporter notes source files with their paths at each node.
    for node in program.model.graph:
        node.metadata_props.clear()
    program.model.metadata_props.update(facts)
    with atomic_write(target) as partial:
        program.save(partial)
        yield partial


def run_onnx(file: Path, images: Tensor) -> list[NDArray[np.float32]]:
    """Compute the outputs of an ONNX file, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    results: list[Any] = session.run(None, {"images": images.numpy()})
    return results
