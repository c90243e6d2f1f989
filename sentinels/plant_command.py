"""Options and messages of ``python -m sentinels plant``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser, Verb, dataclass_from
from sentinels.reader_names import AUTO, HELP, NONE, SERVICE


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
        default=AUTO,
        help=HELP,
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
    from sentinels.reader import identify_reader, open_reader, reader_name

    uses_service = SERVICE in (settings.planter, settings.reader, settings.describer)
    client = Client(settings.service, settings.output / "answers") if uses_service else None
    reader = NONE if settings.key_kind == "words" else reader_name(settings.reader)
    report = plant_sentinels(
        settings.photos,
        settings.output,
        open_planter(settings, client),
        dataclass_from(settings, PlantConfig),
        open_reader(reader, client),
        client,
        identify_reader(reader),
    )
    if report is None:
        return 0
    for name, row in report.rows:
        if row.get("differences"):
            differences = "; ".join(row["differences"])
            output.tell(f"warning: {name}: its file is not like its source's: {differences}")
    check = "keys NOT read back: no reader"
    if settings.key_kind == "words":
        check = "keys of words, which no reader reads back"
    if reader != NONE:
        check = f"keys read back by {reader}"
    code = output.report(report, f"sentinels in {settings.output} ({check})")
    output.result(
        output=settings.output,
        planted=len(report.rows),
        asked=settings.count,
        keys_read_back=reader != NONE,
    )
    if not report.rows:
        return code
    images = settings.output / "images"
    publish = f"publish a copy of {settings.photos} with the files of {images} added"
    if settings.names == "neutral":
        publish = (
            f"publish a copy of {settings.photos} in which the files of {images} replace those of "
            "the same names, their sources (record.json: withhold); keep the sources, which decide "
            "needs"
        )
    output.result(f"{publish}; keep everything else in {settings.output} secret")
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


VERB = Verb(
    "Make sentinels for some images of a collection: record.json lists them, images/ holds them. "
    "Repeat the command to resume.",
    "sentinels plant PHOTOS/ -o SENTINELS/ --count 20",
    options,
    plant,
    renamed={"device": "accelerator"},
)
