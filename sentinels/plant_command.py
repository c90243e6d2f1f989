"""``python -m sentinels plant``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser, Verb, dataclass_from

TINY = "checkpoints/tiny/embedder"


def plant_options(parser: Parser) -> None:
    """What ``plant`` asks for."""
    parser.add_argument("photos", type=Path, help="folder of the collection, flat or nested")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder of record and sentinels, apart from the collection",
    )
    parser.add_argument(
        "--planter",
        type=Literal["local", "diffusion", "service"],
        default="local",
        help="how sentinels are made",
    )
    parser.add_argument(
        "--reader",
        type=str,
        default=TINY,
        help="reads the keys back: a model's folder, 'service', or 'none'",
    )
    parser.add_argument(
        "--model",
        type=str | None,
        default=None,
        help="text-to-image pipeline of the diffusion planter",
    )
    parser.add_argument("--device", type=str, default="cpu", help="where that runs")
    parser.add_argument(
        "--describer",
        type=Literal["measured", "service"],
        default="measured",
        help="who tells it what a source shows",
    )
    parser.add_call("sentinels.plant_config:PlantConfig")
    parser.add_call("sentinels.plate:PlateStyle", "style")
    parser.add_call("sentinels.service:Service", "service")


def plant(settings: Any, output: Output) -> int:
    """Plant sentinels; 0 only if all that were wanted were made."""
    from sentinels.client import Client
    from sentinels.plant import PlantConfig
    from sentinels.plant import plant as make

    asks = "service" in (settings.planter, settings.reader, settings.describer)
    client = Client(settings.service, settings.output / "answers") if asks else None
    letters = letters_of(settings.reader, client)
    report = make(
        settings.photos,
        settings.output,
        planter_of(settings, client),
        dataclass_from(settings, PlantConfig),
        letters,
        client,
    )
    if report is None:
        return 0
    read = "keys read back" if letters else "keys NOT read back: no reader"
    code = output.report(report, f"sentinels in {settings.output} ({read})")
    output.result(
        output=settings.output,
        planted=len(report.rows),
        asked=settings.count,
        keys_read_back=letters is not None,
    )
    output.result(
        "copy images/ into the collection before it is published; keep everything else in that folder secret"
    )
    return code


def planter_of(settings: Any, client: Any) -> Any:
    """The planter that was asked for, with the client of the service that it may ask."""
    from sentinels.planters import DiffusionPlanter, LocalPlanter, ServicePlanter

    if settings.planter == "local":
        return LocalPlanter(settings.style)
    if settings.planter == "service":
        return ServicePlanter(client)
    if settings.model is None:
        msg = "the diffusion planter needs --model: a text-to-image pipeline's folder or Hub id"
        raise ValueError(msg)
    return DiffusionPlanter(
        settings.model, client if settings.describer == "service" else None, device=settings.device
    )


def letters_of(name: str, client: Any) -> Any:
    """The function that reads a picture (H, W, 3): by a model's folder, by a service, or None."""
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
        return reader(torch.from_numpy(rgb.copy()).permute(2, 0, 1).float().unsqueeze(0) / 255)[0]

    return read


VERB = Verb(
    "Make sentinels for some images of a collection: record.json says which, images/ holds them. A stopped job goes on.",
    "sentinels plant PHOTOS/ -o SENTINELS/ --count 20",
    plant_options,
    plant,
)
