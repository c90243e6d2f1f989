"""``python -m indexing VERB``: copy detection, and pictures that are found again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from engine.cli import dispatch, parser, run

ABOUT = """usage: python -m indexing VERB ...

  prepare    DISC21 as the folders of the paper's experiments
  extract    a descriptor of every picture: python -m indexing extract PICTURES/ -o FEATURES/
  build      an index of descriptors, by any string of faiss: python -m indexing build FEATURES/ -o INDEX/ --factory IVF4096,PQ8x8
  add        further descriptors into an index
  activate   changed copies of photos that the index finds again after edits: python -m indexing activate PHOTOS/ -o OUT/ --index INDEX/
  search     which entries of an index are copies of these pictures: python -m indexing search PICTURES/ -o matches.csv --index INDEX/

python -m indexing VERB --help tells more."""

PICTURES = "folders, pictures, WebDataset shards (.tar), or text files that list pictures"


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code."""
    verbs = {"prepare": prepare, "extract": extract, "build": build, "add": add, "activate": activate, "search": search}
    return dispatch(ABOUT, verbs, arguments)


def prepare(arguments: list[str]) -> int:
    """Lay out DISC21."""
    from indexing.prepare import prepare_disc

    made = parser("python -m indexing prepare", "DISC21 as folders of links: references_10k, references_990k, queries_40k.")
    made.add_argument("data", type=Path, help="folder with DISC21's references/ and train/")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the three")
    made.add_function_arguments(prepare_disc, skip={"data", "output"})
    settings = made.parse_args(arguments)
    del settings.config
    counts = prepare_disc(**settings.as_dict())
    print(", ".join(f"{count} in {name}" for name, count in counts.items()))
    return 0


def extract(arguments: list[str]) -> int:
    """Describe pictures; 0 only if every picture could be read."""
    from indexing.extract import extract as describe

    made = parser("python -m indexing extract", "A descriptor of every picture: features.npy and filenames.txt. A stopped job goes on.")
    made.add_argument("inputs", type=Path, nargs="+", help=PICTURES)
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the descriptors")
    made.add_function_arguments(describe, skip={"inputs", "output", "extractor"})
    extractor_arguments(made)
    settings = made.parse_args(arguments)
    how = {key: settings[key] for key in ("batch_size", "workers", "accelerator", "devices", "fts")}
    report = describe(settings.inputs, settings.output, extractor_of(settings), **how)
    if report is None:
        return 0
    tell(report.skipped, report.failed)
    print(f"{len(report.features)} descriptors of {report.features.matrix.shape[1]} values in {settings.output}")
    return 1 if report.failed else 0


def build(arguments: list[str]) -> int:
    """Train and fill an index."""
    from indexing.build import build as make

    made = parser("python -m indexing build", "Train and fill an index; a trained one in the folder is not trained again.")
    made.add_argument("features", type=Path, nargs="+", help="folders of python -m indexing extract, or with fts.pt and filenames.txt")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder of the index")
    made.add_function_arguments(make, skip={"features", "output"})
    settings = made.parse_args(arguments)
    del settings.config
    index = make(**settings.as_dict())
    print(f"{len(index)} entries of {index.dimension} values in {settings.output}")
    return 0


def add(arguments: list[str]) -> int:
    """Insert descriptors."""
    from indexing.build import add as insert

    made = parser("python -m indexing add", "Further descriptors into an index.")
    made.add_argument("folder", type=Path, help="the index's folder")
    made.add_argument("features", type=Path, nargs="+", help="folders of descriptors; OUT/originals after python -m indexing activate")
    made.add_function_arguments(insert, skip={"folder", "features"})
    settings = made.parse_args(arguments)
    del settings.config
    index = insert(**settings.as_dict())
    print(f"{len(index)} entries in {settings.folder}")
    return 0


def activate(arguments: list[str]) -> int:
    """Change photos."""
    from indexing.activate_command import VERB

    return VERB.run("indexing activate", arguments)


def search(arguments: list[str]) -> int:
    """Look pictures up; 0 only if every picture could be read."""
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    from engine.csv_journal import write_table
    from indexing.extract import extract as describe
    from indexing.index import Index
    from indexing.search import COLUMNS
    from indexing.search import search as look_up
    from indexing.search_page import write_page

    made = parser("python -m indexing search", "Which entries of an index are copies of these pictures: a table, and a page with --html.")
    made.add_argument("pictures", type=Path, nargs="+", help=PICTURES)
    made.add_argument("-o", "--output", type=Path, required=True, help="the CSV file to write")
    made.add_argument("--index", type=Path, required=True, help="the index's folder")
    made.add_argument("--html", action="store_true", help="a page with the pictures beside the table, too")
    made.add_argument("--mapped", action="store_true", help="leave the index on disk and read only what is searched")
    made.add_argument("--workers", type=int, default=2, help="processes that open pictures")
    made.add_function_arguments(look_up, skip={"index", "queries", "batch"})
    extractor_arguments(made)
    settings = made.parse_args(arguments)
    index = Index.open(settings.index, settings.mapped)
    with TemporaryDirectory() as place:
        report = describe(settings.pictures, Path(place) / "queries", extractor_of(settings), workers=settings.workers)
        if report is None:
            return 0
        matches = look_up(index, report.features, **{key: settings[key] for key in ("k", "parameters", "beta", "threshold")})
        write_table(settings.output, COLUMNS, (asdict(match) for match in matches))
        if settings.html:
            write_page(matches, len(report.features), settings.output.with_suffix(".html"))
        tell(report.skipped, report.failed)
        found = len({match.query for match in matches})
        print(f"{found} of {len(report.features)} pictures have matches; {settings.output}")
    return 1 if report.failed else 0


def extractor_arguments(made: Any, several: bool = False) -> None:
    """Which network, as flags of every verb that describes pictures."""
    from models.embedder_config import EmbedderConfig

    made.add_class_arguments(EmbedderConfig, "extractor", skip={"trust_torchscript"})
    made.add_argument("--trust-torchscript", action="store_true", help="run the program that a TorchScript file is")
    if several:
        made.add_argument("--extractors", type=list[str], default=[], help="names of one network for each index, where they differ")


def extractor_of(settings: Any) -> Any:
    """The network's settings."""
    from models.embedder_config import EmbedderConfig

    return EmbedderConfig(**settings.extractor.as_dict() | {"trust_torchscript": settings.trust_torchscript})


def extractors_of(settings: Any) -> list[Any]:
    """The settings of one network for all indices, or of one for each."""
    from dataclasses import replace

    from models.embedder_config import EmbedderConfig

    given = settings.extractor
    one = given if isinstance(given, EmbedderConfig) else EmbedderConfig(**given.as_dict())
    one = replace(one, trust_torchscript=settings.trust_torchscript)
    return [replace(one, name=name) for name in settings.extractors] or [one]


def tell(skipped: dict[str, str], failed: list[str]) -> None:
    """Say what was passed over and what went wrong."""
    for name, why in skipped.items():
        print(f"skipped {name}: {why}", file=sys.stderr)
    for error in failed:
        print(f"error: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run(main))
