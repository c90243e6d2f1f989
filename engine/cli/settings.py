"""Options that many verbs share, and conversion of settings to dataclasses."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from engine.cli.parser import Parser
    from engine.job import JobOptions

Kind = TypeVar("Kind")


def add_images(parser: Parser, name: str = "photos") -> None:
    """Add the positional argument of a verb's input images."""
    about = "folders, images, WebDataset shards (.tar), or text files that list images"
    parser.add_argument(name, type=Path, nargs="+", help=about)


def add_export_arguments(parser: Parser, model: str, does: str) -> None:
    """Add the options of a verb that exports a network.

    Args:
        parser: Parser of the verb.
        model: Noun for the network.
        does: Words on what the page does.
    """
    parser.add_argument("weights", type=str, help=f"{model}: folder, Hub id or .ckpt file")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help=f"an .onnx file, or a folder: a static page that {does} in the visitor's browser; "
        "must not exist",
    )


def add_job_arguments(
    parser: Parser,
    batch_size: int | None = 8,
    workers: int | None = 2,
    per_batch: str = "images taken together",
) -> None:
    """Add the options of every batch job, with Lightning's meanings.

    Args:
        parser: Parser of the verb.
        batch_size: Default of ``--batch-size``; None omits the option.
        workers: Default of ``--workers``; None omits the option.
        per_batch: Help of ``--batch-size``.
    """
    from engine.devices import ACCELERATORS, Precision

    parser.add_argument(
        "--accelerator",
        type=Literal[ACCELERATORS],
        default="auto",
        help="kind of device",
    )
    parser.add_argument(
        "--devices",
        type=int | Literal["auto"],
        default="auto",
        help="devices of each machine, a process each; auto: all GPUs, or one processor",
    )
    parser.add_argument("--num-nodes", type=int, default=1, help="machines")
    parser.add_argument("--precision", type=Precision, default="32-true", help="of the networks")
    if batch_size is not None:
        parser.add_argument("--batch-size", type=int, default=batch_size, help=per_batch)
    if workers is not None:
        parser.add_argument(
            "--workers",
            type=int,
            default=workers,
            help="threads that open and finish inputs beside the network",
        )


def job_options(settings: Any) -> JobOptions:
    """Return the job options from the settings of :func:`add_job_arguments`."""
    from engine.devices import DeviceOptions
    from engine.job import JobOptions

    given = {name: settings[name] for name in ("batch_size", "workers") if name in settings}
    return JobOptions(dataclass_from(settings, DeviceOptions), **given)


def dataclass_from(settings: Any, kind: type[Kind]) -> Kind:
    """Create a dataclass from the settings with its fields' names."""
    values = {field.name: settings[field.name] for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**values)
