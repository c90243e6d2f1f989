"""Every reader of files, with a sound file for each; built once, damaged a thousand times."""

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.hostile.mutations import mutated, mutated_json

Mutate = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        name: Of the reader.
        file: Name of the file that is damaged.
        content: A sound file.
        read: Reads it, given its path.
        mutate: Damages it.
    """

    name: str
    file: str
    content: bytes
    read: Callable[[Path], object]
    mutate: Mutate = mutated


def picture(kind: str, size: tuple[int, int] = (48, 40), seed: int = 0, **options: object) -> bytes:
    """A small image file with notes."""
    levels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "camera"
    if kind not in ("BMP", "GIF"):
        options["exif"] = exif
    Image.fromarray(levels).save(buffer, format=kind, **options)
    return buffer.getvalue()


def tar(members: dict[str, bytes]) -> bytes:
    """An uncompressed tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zipped() -> bytes:
    """A zip archive of images."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", picture("PNG"))
    return buffer.getvalue()


def table() -> bytes:
    """A parquet table of images with labels, as of the Hub."""
    buffer = io.BytesIO()
    images = [{"bytes": picture("PNG"), "path": f"{number}.png"} for number in range(3)]
    pq.write_table(pa.table({"image": images, "label": ["real", "fake", None]}), buffer)
    return buffer.getvalue()


def saved(write: Callable[[Path], object], folder: Path, name: str) -> bytes:
    """The bytes of a file that something writes."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / name)
    return (folder / name).read_bytes()


def imitate(path: Path) -> object:
    """Encode an image of another content as a file is encoded."""
    from images.imitation import encode_like
    from images.io import open_photo

    return encode_like(255 - open_photo(path).rgb, path.read_bytes())


def image_readers() -> list[Reader]:
    from images.headers import read_header
    from images.io import open_photo
    from images.kinds import header_size
    from images.provenance import read_provenance

    kinds = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "TIFF": "tif", "BMP": "bmp"}
    kinds |= {"AVIF": "avif", "GIF": "gif"}
    readers = [
        Reader(f"open {kind}", f"a.{ending}", picture(kind), open_photo)
        for kind, ending in kinds.items()
    ]
    readers += [
        Reader(f"size of {kind}", f"a.{ending}", picture(kind), header_size)
        for kind, ending in kinds.items()
    ]
    return [
        *readers,
        Reader("imitation", "a.jpg", picture("JPEG"), imitate),
        Reader("header", "a.jpg", picture("JPEG"), lambda path: read_header(path.read_bytes())),
        Reader(
            "provenance",
            "a.jpg",
            picture("JPEG"),
            lambda path: read_provenance(path.read_bytes(), open_photo(path).metadata),
        ),
    ]


def archive_readers() -> list[Reader]:
    from datamodules.shards import read_shards
    from images.inputs import find_images
    from images.samples import read_samples
    from images.sources import read_source

    shard = tar(
        {
            f"{number}.{end}": content
            for number in range(4)
            for end, content in (("png", picture("PNG")), ("json", b"{}"))
        }
    )

    def all_samples(path: Path) -> None:
        for sample in read_samples(path):
            sample.image.read()

    return [
        Reader("samples of a tar", "a.tar", shard, all_samples),
        Reader(
            "inputs of a tar",
            "a.tar",
            shard,
            lambda path: [image.read() for image in find_images([path]).images],
        ),
        Reader("stream of a tar", "a.tar", shard, lambda path: list(read_shards([str(path)]))),
        Reader("zip archive", "a.zip", zipped(), lambda path: list(read_source(str(path)))),
        Reader("table", "a.parquet", table(), lambda path: list(read_source(str(path)))),
    ]


def record_readers(work: Path) -> list[Reader]:
    from detectors.calibration import Calibration
    from detectors.operating_points import OperatingPoint
    from engine.journal import read_journal
    from engine.manifest import read_manifest, write_manifest
    from sentinels.record import Record, Sentinel
    from sentinels.trials import Trials

    work.mkdir(parents=True, exist_ok=True)
    write_manifest(work, command="rid protect", settings={"a": [1, 2]}, counts={"done": 1})
    manifest = (work / "manifest.json").read_bytes()
    journal = (
        b'{"name": "a.png", "size": 3, "mtime_ns": 4, "sha256": "ab", '
        b'"row": {"output": "a.png"}, "error": ""}\n' * 3
    )
    points = (OperatingPoint(0.05, -0.4, 0.4),)
    Calibration(2.0, 0.1, images=100, points=points).save(work)
    record = Record(work / "record.json", {"a.png": Sentinel("BCDFGH", "a.png", "b.png")})
    record.write()
    trials = {"a": {"key": "BCDFGH"}}
    return [
        Reader(
            "manifest",
            "manifest.json",
            manifest,
            lambda path: read_manifest(path.parent),
            mutated_json,
        ),
        Reader("journal", "journal.jsonl", journal, lambda path: read_journal(path.parent)),
        Reader(
            "calibration",
            "calibration.json",
            (work / "calibration.json").read_bytes(),
            lambda path: Calibration.open(path.parent),
            mutated_json,
        ),
        Reader(
            "record", "record.json", (work / "record.json").read_bytes(), Record.open, mutated_json
        ),
        Reader(
            "trials",
            "out.json",
            json.dumps(trials).encode(),
            lambda path: Trials.open(path.parent),
            mutated_json,
        ),
    ]


def weight_readers(work: Path) -> list[Reader]:
    import torch

    from checkpoints.safe import read_state_dict
    from models.faces.face_net import FaceNet

    shipped = Path("checkpoints/tiny/faces")
    config = (shipped / "config.json").read_bytes()
    weights = (shipped / "model.safetensors").read_bytes()

    def with_weights(path: Path) -> None:
        (path.parent / "model.safetensors").write_bytes(weights)
        FaceNet.from_pretrained(path.parent)

    def with_config(path: Path) -> None:
        (path.parent / "config.json").write_bytes(config)
        FaceNet.from_pretrained(path.parent)

    state = saved(lambda path: torch.save({"a": torch.ones(4)}, path), work, "a.pt")
    return [
        Reader("config of weights", "config.json", config, with_weights, mutated_json),
        Reader("safetensors", "model.safetensors", weights[:4096] + weights[4096:], with_config),
        Reader("state dict", "a.pt", state, read_state_dict),
    ]


def table_readers(work: Path) -> list[Reader]:
    import faiss

    from detectors.scores import Scores
    from engine.tables import read_table, write_table
    from indexing.faiss_files import read_faiss
    from models.store import VectorStore

    rows = saved(
        lambda path: write_table(path, ["source", "psnr"], [{"source": "=a", "psnr": 1.5}] * 3),
        work,
        "t.csv",
    )
    index = faiss.index_factory(8, "IVF2,Flat")
    vectors = np.random.default_rng(0).normal(size=(90, 8)).astype(np.float32)
    index.train(vectors)
    index.add(vectors)
    facts = {"key": np.array(["a", "b"]), "subset": np.array(["s", "s"])}
    scores = saved(
        Scores(np.array([0, 1]), np.array([0.1, 0.2]), facts).write, work, "scores.parquet"
    )
    matrix = saved(lambda path: np.save(path, vectors), work, "features.npy")

    def features(path: Path) -> None:
        (path.parent / "filenames.txt").write_text("".join(f"{number}\n" for number in range(90)))
        VectorStore.open(path.parent)

    return [
        Reader("table", "t.csv", rows, read_table),
        Reader(
            "faiss",
            "index.faiss",
            saved(lambda path: faiss.write_index(index, str(path)), work, "i.faiss"),
            read_faiss,
        ),
        Reader("scores", "scores.parquet", scores, Scores.read),
        Reader("vectors", "features.npy", matrix, features),
    ]


def answer_readers(work: Path) -> list[Reader]:
    from eval.human.pictures import Stimulus
    from eval.human.store import Store

    sound = saved(
        lambda path: Store(path).create([Stimulus(Path("a.png"), "real", "", "")] * 3, [None] * 3),
        work,
        "a.sqlite",
    )
    return [Reader("answers", "a.sqlite", sound, lambda path: Store(path).stimuli())]


def all_readers(work: Path) -> list[Reader]:
    """Every reader, over sound files made in a folder."""
    return [
        *image_readers(),
        *archive_readers(),
        *record_readers(work / "records"),
        *weight_readers(work / "weights"),
        *table_readers(work / "tables"),
        *answer_readers(work / "answers"),
    ]
