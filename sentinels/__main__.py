"""Commands of ``python -m sentinels``: plan, plant, verify, embed, retrieve and decide."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from engine.cli import (
    Output,
    Parser,
    Room,
    Verb,
    add_job_arguments,
    dataclass_from,
    job_options,
    run,
)
from models.embedder_config import COPIES
from sentinels import plan_command, plant_command
from sentinels.reader_names import AUTO, HELP, NONE, SERVICE


def verify_options(parser: Parser) -> None:
    """Add the options of ``verify``."""
    parser.add_argument(
        "record", type=Path, help="record.json, or a record of the published program"
    )
    parser.add_argument(
        "--reader",
        type=str,
        default=AUTO,
        help=HELP,
    )
    parser.add_argument(
        "--collection",
        type=Path | None,
        default=None,
        help="folder of the collection; by default the one that the record names",
    )
    parser.add_argument(
        "--weights",
        type=str,
        default=COPIES,
        help="model that finds near copies, or 'none'",
    )
    parser.add_call("sentinels.service:Service", "service")


def verify(settings: Any, output: Output) -> int:
    """Check a record; return 0 only if no entry is in error."""
    from dataclasses import asdict

    from sentinels.reader import load_reader
    from sentinels.record import Record
    from sentinels.verify import verify as check

    record = Record.open(settings.record)
    collection = find_collection(settings.collection, settings.weights, record)
    if collection is None:
        output.tell("names are not compared: the collection is not there; name it by --collection")
    client = None
    if settings.reader == SERVICE:
        from sentinels.client import Client

        client = Client(settings.service, settings.record.parent / "answers")
    reader = None if settings.reader == NONE else load_reader(settings.reader, client)
    findings = check(record, reader, collection=collection)
    for finding in findings:
        output.tell(f"{finding.level}: {finding.entry}: {finding.what}")
    in_error = {finding.entry for finding in findings if finding.level == "error"}
    with_warnings = {finding.entry for finding in findings} & set(record.sentinels) - in_error
    output.result(
        f"{len(record.sentinels)} sentinels: {len(in_error)} in error, "
        f"{len(with_warnings)} with warnings",
        sentinels=len(record.sentinels),
        in_error=len(in_error),
        with_warnings=len(with_warnings),
        findings=[asdict(finding) for finding in findings],
    )
    return 1 if in_error else 0


def find_collection(folder: Path | None, weights: str, record: Any) -> Any:
    """Open the collection of a record; None if it is not there."""
    from models.embedders import open_embedder
    from sentinels.tells.findings import Collection

    if folder is None:
        recorded = record.provenance.get("inputs")
        folder = Path(recorded) if isinstance(recorded, str) else None
        if folder is None or not folder.is_dir():
            return None
    embedder = None if weights == "none" else open_embedder(weights, appearance=True)
    return Collection.of(folder, record, embedder)


def embed_options(parser: Parser) -> None:
    """Add the options of ``embed``."""
    parser.add_argument("photos", type=Path, nargs="+", help="folders and images")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the vectors")
    parser.add_argument(
        "--weights",
        type=str,
        default="clip",
        help="clip, siglip, dino, dinov2, timm:NAME, a folder, a Hub id, or an endpoint: "
        "https://HOST/v1#MODEL",
    )
    add_job_arguments(parser, batch_size=32)


def embed(settings: Any, output: Output) -> int:
    """Update a collection's vectors; return 0 only if every image is readable."""
    from images.inputs import find_images
    from images.overlap import refuse_overlap
    from models.embed_job import embed_images
    from models.embedders import open_embedder

    images = find_images(settings.photos)
    refuse_overlap(settings.output, settings.photos, images.images)
    report = embed_images(
        images,
        settings.output,
        open_embedder(settings.weights),
        "sentinels embed",
        job_options(settings),
    )
    if report is None:
        return 0
    code = output.report(report.job, f"images embedded in {settings.output}")
    counts = {"embedded": report.embedded, "kept": report.kept, "dropped": report.dropped}
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    output.result(
        f"{summary}, {len(report.job.failed)} failed; {settings.output}",
        output=settings.output,
        **counts,
    )
    return code


def retrieve_options(parser: Parser) -> None:
    """Add the options of ``retrieve``."""
    parser.add_argument(
        "vectors", type=Path, help="folder of vectors from python -m sentinels embed"
    )
    parser.add_argument("text", type=str, nargs="?", default="", help="search text")
    parser.add_argument(
        "--image", type=Path | None, default=None, help="image to search by, in place of a text"
    )
    parser.add_argument(
        "--weights",
        type=str | None,
        default=None,
        help="model of the vectors, if its name has changed",
    )
    parser.add_argument("--top-k", type=int, default=20, help="images to print")
    parser.add_argument(
        "--captions",
        type=Path | None,
        default=None,
        help="JSON file of captions to search as well; both rankings are fused",
    )


def retrieve(settings: Any, output: Output) -> int:
    """Search a collection's vectors by a text or an image; return 0."""
    from images.io import open_photo
    from models.embedder_config import EmbedderConfig
    from models.embedders import open_embedder
    from models.search import ExactIndex, rankings
    from models.store import VectorStore

    store = VectorStore.open(settings.vectors)
    embedder = open_embedder(settings.weights or EmbedderConfig.from_record(store.embedder))
    store.check_embedder(settings.vectors, embedder.fingerprint, embedder.digest)
    if bool(settings.text) == bool(settings.image) or (settings.image and settings.captions):
        msg = "give a search text, with --captions or without, or an image by --image"
        raise ValueError(msg)
    if settings.image:
        query = embedder.embed_arrays([open_photo(settings.image).on_white().rgb]).numpy()
    else:
        query = embedder.embed_texts([settings.text]).cpu().numpy()
    index = ExactIndex([(store.labels, store.matrix)])
    (ranking,) = rankings(index, query, settings.top_k)
    if settings.captions:
        from sentinels.retrieve import CaptionIndex, read_captions, reciprocal_rank_fusion

        embedded = set(store.labels)
        captions = read_captions(settings.captions)
        searched = {name: text for name, text in captions.items() if name in embedded}
        (by_caption,) = CaptionIndex(searched).search([settings.text], settings.top_k)
        ranking = reciprocal_rank_fusion([ranking, by_caption], settings.top_k)
    for name, score in ranking:
        output.row("found", f"{score:.4f}  {name}", name=name, score=score)
    return 0


def decide_options(parser: Parser) -> None:
    """Add the options of ``decide``."""
    parser.add_argument("record", type=Path, help="the record of the sentinels")
    parser.add_argument(
        "answers", type=Path, help="folder of the system's answers: out.json and images/"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--control",
        type=Path | None,
        default=None,
        help="answers of a system without the sentinels",
    )
    parser.add_argument(
        "--sources",
        type=Path | None,
        default=None,
        help="folder of the original collection, if it is not where the record says",
    )
    parser.add_argument(
        "--name", type=str, default="out", help="name of the answers' JSON file, without .json"
    )
    parser.add_call("sentinels.decide_config:DecideConfig")


def decide(settings: Any, output: Output) -> int:
    """Test a system's answers; return 0 if all keys were compared, whatever the result."""
    from sentinels.decide import check_output
    from sentinels.decide import decide as run_test
    from sentinels.decide_config import DecideConfig
    from sentinels.decision_text import in_words, not_compared

    arguments = (
        settings.record,
        settings.answers,
        settings.output,
        dataclass_from(settings, DecideConfig),
        settings.control,
        settings.name,
        settings.sources,
    )
    check_output(*arguments)
    decision = run_test(*arguments)
    output.result(in_words(decision), decision=decision)
    missing = not_compared(decision)
    for error in missing:
        output.error(error)
    return 1 if missing else 0


VERBS = {
    "plan": plan_command.VERB,
    "plant": plant_command.VERB,
    "verify": Verb(
        "Check a record of sentinels against the files. Errors spoil the evidence; warnings weaken "
        "it or expose sentinels.",
        "sentinels verify SENTINELS/record.json",
        verify_options,
        verify,
    ),
    "embed": Verb(
        "Embed the images of a collection; only new and changed ones are embedded.",
        "sentinels embed PHOTOS/ -o VECTORS/ --weights clip",
        embed_options,
        embed,
        renamed={"model": "weights"},
    ),
    "retrieve": Verb(
        "Search an embedded collection by a text or an image; prints score and image, best first.",
        "sentinels retrieve VECTORS/ 'a red house' --top-k 20",
        retrieve_options,
        retrieve,
        renamed={"model": "weights"},
    ),
    "decide": Verb(
        "Decide from a system's answers to the keys whether it used the sentinels, with a "
        "p-value: decision.json. Answers are compared with the sentinels' sources.",
        "sentinels decide SENTINELS/record.json ANSWERS/ -o OUT/ --control CONTROL/",
        decide_options,
        decide,
    ),
}

ROOM = Room(
    "sentinels",
    "ImageSentinel: keyed images in a data set that prove its use by a retrieval-augmented "
    "generator.",
    VERBS,
)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))
