"""Options and messages of ``python -m sentinels plant``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser, Verb, dataclass_from

TINY_READER = "checkpoints/tiny/embedder"
"""Toy reader, relative to the repository."""


def options(parser: Parser) -> None:
    """Add the options of ``plant``."""
    parser.add_argument("photos", type=Path, help="folder of the collection, flat or nested")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of record and sentinels, outside the collection",
    )
    parser.add_argument(
        "--planter",
        type=Literal["local", "diffusion", "service"],
        default="local",
        help="local: letter the source; diffusion, service: generate a new image",
    )
    parser.add_argument(
        "--reader",
        type=str,
        default=TINY_READER,
        help="model that reads the keys back: a folder, 'service', or 'none'",
    )
    parser.add_argument(
        "--model",
        type=str | None,
        default=None,
        help="text-to-image pipeline of the diffusion planter: a folder or Hub id",
    )
    about = "device of that pipeline: auto, cpu, gpu, cuda, mps, or one of several, such as cuda:1"
    parser.add_argument("--accelerator", type=str, default="cpu", help=about)
    parser.add_argument(
        "--describer",
        type=Literal["measured", "service"],
        default="measured",
        help="source of the diffusion planter's descriptions",
    )
    parser.add_call("sentinels.plant_config:PlantConfig")
    parser.add_call("sentinels.plate:PlateStyle", "style")
    parser.add_call("sentinels.service:Service", "service")


def plant(settings: Any, output: Output) -> int:
    """Plant sentinels; return 0 only if all are planted."""
    from sentinels.client import Client
    from sentinels.plant import PlantConfig
    from sentinels.plant import plant as plant_sentinels

    uses_service = "service" in (settings.planter, settings.reader, settings.describer)
    client = Client(settings.service, settings.output / "answers") if uses_service else None
    ocr = open_ocr(settings.reader, client)
    report = plant_sentinels(
        settings.photos,
        settings.output,
        open_planter(settings, client),
        dataclass_from(settings, PlantConfig),
        ocr,
        client,
    )
    if report is None:
        return 0
    check = "keys read back" if ocr else "keys NOT read back: no reader"
    code = output.report(report, f"sentinels in {settings.output} ({check})")
    output.result(
        output=settings.output,
        planted=len(report.rows),
        asked=settings.count,
        keys_read_back=ocr is not None,
    )
    output.result(
        "copy images/ into the collection before you publish it; "
        "keep everything else in that folder secret"
    )
    return code


def open_planter(settings: Any, client: Any) -> Any:
    """Create the planter that the command line names."""
    from sentinels.planters import DiffusionPlanter, LocalPlanter, ServicePlanter

    if settings.planter == "local":
        return LocalPlanter(settings.style)
    if settings.planter == "service":
        return ServicePlanter(client)
    if settings.model is None:
        msg = "the diffusion planter needs --model: a text-to-image pipeline's folder or Hub id"
        raise ValueError(msg)
    describer = client if settings.describer == "service" else None
    return DiffusionPlanter(settings.model, describer, device=device_of(settings.accelerator))


def device_of(accelerator: str) -> str:
    """Return the PyTorch device of an accelerator; device names are kept."""
    from engine.devices import ACCELERATORS, pick_device

    return str(pick_device(accelerator)) if accelerator in ACCELERATORS else accelerator


def open_ocr(name: str, client: Any) -> Any:
    """Create the function that reads an image (H, W, 3).

    Args:
        name: Folder of a model, ``service``, or ``none``.
        client: Client of the service, if it reads.

    Returns:
        An :data:`sentinels.plant_job.OCRFunction`; None for ``none``.
    """
    if name == "none":
        return None
    if name == "service":
        from images.io import encode_as
        from sentinels.describe import ask_letters

        return lambda rgb: ask_letters(client, encode_as(rgb, "jpg"))
    import torch

    from sentinels.reader import load_reader

    reader = load_reader(name)

    async def read(rgb: Any) -> str:
        image = torch.from_numpy(rgb.copy()).permute(2, 0, 1).float() / 255
        return reader(image.unsqueeze(0))[0]

    return read


VERB = Verb(
    "Make sentinels for some images of a collection: record.json lists them, images/ holds them. "
    "Repeat the command to resume.",
    "sentinels plant PHOTOS/ -o SENTINELS/ --count 20",
    options,
    plant,
    renamed={"device": "accelerator"},
)
