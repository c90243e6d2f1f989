"""Settings that many verbs share, and dataclasses made of parsed ones."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from engine.cli.parser import Parser
    from engine.job import JobOptions

Kind = TypeVar("Kind")


def add_images(parser: Parser, name: str = "photos") -> None:
    """Add the positional argument of the images that a verb works on."""
    about = "folders, images, WebDataset shards (.tar), or text files that list images"
    parser.add_argument(name, type=Path, nargs="+", help=about)


def add_job_arguments(
    parser: Parser,
    batch_size: int | None = 8,
    workers: int | None = 2,
    per_batch: str = "images taken together",
) -> None:
    """Add the options of every batch job, with Lightning's meanings.

    Args:
        parser: The verb's.
        batch_size: Default of ``--batch-size``; None leaves the option out.
        workers: Default of ``--workers``; None leaves the option out.
        per_batch: What a batch is of, for the help.
    """
    from engine.devices import ACCELERATORS, Precision

    parser.add_argument(
        "--accelerator", type=Literal[ACCELERATORS], default="auto", help="kind of device"
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
    """How a job runs, by the options of :func:`add_job_arguments`."""
    from engine.devices import DeviceOptions
    from engine.job import JobOptions

    given = {name: settings[name] for name in ("batch_size", "workers") if name in settings}
    return JobOptions(dataclass_from(settings, DeviceOptions), **given)


def dataclass_from(settings: Any, kind: type[Kind]) -> Kind:
    """Make a dataclass of the settings that have its fields' names."""
    return kind(**{field.name: settings[field.name] for field in fields(kind)})  # type: ignore[arg-type]
