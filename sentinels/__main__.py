"""``python -m sentinels VERB``: plant sentinels in a collection, check them, search it, and decide whether a generator used it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser, Verb, add_job_arguments, dispatch, job_options, parser, run

ABOUT = """usage: python -m sentinels VERB ...

  plant      make sentinels for some pictures of a collection: python -m sentinels plant PHOTOS/ -o SENTINELS/
  verify     check a record of sentinels against the files
  embed      vectors of a collection; only new and changed pictures are embedded
  retrieve   search a collection by text
  decide     did a system use the collection? With a p-value, from its answers to the keys (python -m eval rag gets such answers)

python -m sentinels VERB --help tells more."""

TINY = "checkpoints/tiny/embedder"


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code."""
    return dispatch(ABOUT, {"plant": plant, "verify": verify, "embed": embed, "retrieve": retrieve, "decide": decide}, arguments)


def plant(arguments: list[str]) -> int:
    """Plant sentinels; 0 only if all that were wanted were made."""
    from sentinels.plant import PlantConfig
    from sentinels.plate import PlateStyle
    from sentinels.service import Service

    made = parser("python -m sentinels plant", "Make sentinels: record.json says which, images/ holds them. A stopped job goes on.")
    made.add_argument("photos", type=Path, help="folder of the collection, flat or nested")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of record and sentinels, apart from the collection")
    made.add_argument("--planter", type=Literal["local", "diffusion", "service"], default="local", help="how sentinels are made")
    made.add_argument("--reader", type=str, default=TINY, help="reads the keys back: a model's folder, 'service', or 'none'")
    made.add_argument("--model", type=str | None, default=None, help="text-to-image pipeline of the diffusion planter")
    made.add_argument("--device", type=str, default="cpu", help="where that runs")
    made.add_argument("--describer", type=Literal["measured", "service"], default="measured", help="who tells it what a source shows")
    made.add_class_arguments(PlantConfig, as_group=False)
    made.add_class_arguments(PlateStyle, "style")
    made.add_class_arguments(Service, "service")
    settings = made.instantiate_classes(made.parse_args(arguments))
    config = PlantConfig(**{name: getattr(settings, name) for name in PlantConfig.__dataclass_fields__})
    report = asyncio.run(_plant(settings, config))
    for name, reason in report.failed.items():
        print(f"error: {name}: {reason}", file=sys.stderr)
    read = "keys read back" if report.read else "keys NOT read back: no reader"
    print(f"{len(report.record.sentinels)} of {config.count} sentinels in {settings.output} ({read})")
    print("copy images/ into the collection before it is published; keep everything else in that folder secret")
    return 0 if len(report.record.sentinels) >= config.count else 1


async def _plant(settings: Any, config: Any) -> Any:
    from contextlib import AsyncExitStack

    from sentinels.client import Client
    from sentinels.plant import plant as make
    from sentinels.planters import DiffusionPlanter, LocalPlanter, Planter, ServicePlanter

    async with AsyncExitStack() as stack:
        client = None
        if "service" in (settings.planter, settings.reader, settings.describer):
            client = await stack.enter_async_context(Client(settings.service, settings.output / "answers"))
        planter: Planter = LocalPlanter(settings.style)
        if settings.planter == "diffusion":
            if settings.model is None:
                msg = "the diffusion planter needs --model: a text-to-image pipeline's folder or Hub id"
                raise ValueError(msg)
            planter = DiffusionPlanter(settings.model, client if settings.describer == "service" else None, device=settings.device)
        elif settings.planter == "service":
            assert client is not None
            planter = ServicePlanter(client)
        return await make(settings.photos, settings.output, planter, config, letters_of(settings.reader, client))


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


def verify(arguments: list[str]) -> int:
    """Check a record; 0 only if no entry is in error."""
    from sentinels.reader import load_reader
    from sentinels.record import Record
    from sentinels.verify import verify as check

    made = parser("python -m sentinels verify", "Check a record against the files. Errors spoil evidence; warnings weaken or betray it.")
    made.add_argument("record", type=Path, help="record.json, or a record of the published program")
    made.add_argument("--reader", type=str, default="none", help="reads the keys off the sentinels: a model's folder, or 'none'")
    settings = made.parse_args(arguments)
    record = Record.open(settings.record)
    findings = check(record, None if settings.reader == "none" else load_reader(settings.reader))
    for finding in findings:
        print(f"{finding.level}: {finding.entry}: {finding.what}", file=sys.stderr)
    wrong = {finding.entry for finding in findings if finding.level == "error"}
    warned = {finding.entry for finding in findings} - wrong
    print(f"{len(record.sentinels)} sentinels: {len(wrong)} in error, {len(warned)} with warnings")
    return 1 if wrong else 0


def embed(arguments: list[str]) -> int:
    """Bring a collection's vectors up to date; 0 only if every image could be read."""
    verb = Verb("Embed what is new or changed in a collection.", "sentinels embed PHOTOS/ -o VECTORS/", embed_options, embed_act)
    return verb.run("sentinels embed", arguments)


def retrieve(arguments: list[str]) -> int:
    """Search a collection's vectors."""
    about = "Search a collection that was embedded; prints score and image, best first."
    return Verb(about, 'sentinels retrieve VECTORS/ "a red house"', retrieve_options, retrieve_act).run("sentinels retrieve", arguments)


def embed_options(parser: Parser) -> None:
    """What ``embed`` asks for."""
    parser.add_argument("photos", type=Path, nargs="+", help="folders and images")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the vectors")
    parser.add_argument("--model", type=str, default="clip", help="clip, siglip, dino, dinov2, timm:NAME, a folder or a Hub id")
    add_job_arguments(parser, batch_size=32)


def embed_act(settings: Any, output: Output) -> int:
    """Bring a collection's vectors up to date; 0 only if every image could be read."""
    from images.inputs import find_images, guard
    from models.embed_job import embed_images
    from models.embedders import open_embedder

    found = find_images(settings.photos)
    guard(settings.output, settings.photos, found.images)
    report = embed_images(found, settings.output, open_embedder(settings.model), "sentinels embed", job_options(settings))
    if report is None:
        return 0
    code = output.report(report.job, f"images embedded in {settings.output}")
    counts = {"embedded": report.embedded, "kept": report.kept, "dropped": report.dropped}
    words = ", ".join(f"{count} {what}" for what, count in counts.items())
    output.result(f"{words}, {len(report.job.failed)} failed; {settings.output}", output=settings.output, **counts)
    return code


def retrieve_options(parser: Parser) -> None:
    """What ``retrieve`` asks for."""
    parser.add_argument("vectors", type=Path, help="folder of python -m sentinels embed")
    parser.add_argument("text", type=str, help="what to look for")
    parser.add_argument("--model", type=str | None, default=None, help="the model the vectors are of, where its name has changed")
    parser.add_argument("--top-k", type=int, default=20, help="images to print")
    parser.add_argument("--captions", type=Path | None, default=None, help="captions to search, too: both rankings are fused")


def retrieve_act(settings: Any, output: Output) -> int:
    """Search a collection's vectors."""
    from models.embedder_config import EmbedderConfig
    from models.embedders import open_embedder
    from models.search import ExactIndex, rankings
    from models.store import VectorStore

    store = VectorStore.open(settings.vectors)
    embedder = open_embedder(settings.model or EmbedderConfig.of_record(store.embedder))
    store.check_embedder(settings.vectors, embedder.fingerprint, embedder.digest)
    query = embedder.embed_texts([settings.text]).cpu().numpy()
    found = rankings(ExactIndex([(store.labels, store.matrix)]), query, settings.top_k)[0]
    if settings.captions:
        from sentinels.retrieve import CaptionIndex, fused, read_captions

        known = set(store.labels)
        words = {name: text for name, text in read_captions(settings.captions).items() if name in known}
        found = fused([found, CaptionIndex(words).search([settings.text], settings.top_k)[0]], settings.top_k)
    for name, score in found:
        output.row("found", f"{score:.4f}  {name}", name=name, score=score)
    return 0


def decide(arguments: list[str]) -> int:
    """Test a system's answers; 0 if the test could be made, whatever it says."""
    from sentinels.decide import DecideConfig, in_words
    from sentinels.decide import decide as judge

    made = parser("python -m sentinels decide", "Did a system use the collection? decision.json has every figure.")
    made.add_argument("record", type=Path, help="the record of the sentinels")
    made.add_argument("answers", type=Path, help="folder of the system's answers: out.json and images/")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    made.add_argument("--control", type=Path | None, default=None, help="answers of a system without the sentinels")
    made.add_argument("--name", type=str, default="out", help="of the answers' JSON files, without .json")
    made.add_class_arguments(DecideConfig, as_group=False)
    settings = made.parse_args(arguments)
    config = DecideConfig(**{name: getattr(settings, name) for name in DecideConfig.__dataclass_fields__})
    print(in_words(judge(settings.record, settings.answers, settings.output, config, settings.control, settings.name)))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
