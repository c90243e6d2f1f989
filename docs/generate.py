"""Generate the reference pages from the code: commands, configs, metrics, attacks, models.

``make docs`` calls ``python docs/generate.py``. A test checks that the pages are current.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from command_pages import ROOMS, cli_index, cli_page  # noqa: E402
from page_tables import class_section, plain, table  # noqa: E402
from page_texts import (  # noqa: E402
    ARMS,
    ATTACKS,
    CONFIGS,
    DATASETS,
    EDITING,
    EDITS,
    METRICS,
    MODELS,
    NOTE,
    OBJECTIVES,
    ONE_PHOTO,
    PERSONALIZATION,
    PURIFICATION,
    RAG,
)


def pages() -> dict[str, str]:
    """Generate the texts of all pages, by path below docs/."""
    texts = {f"reference/cli/{room}.md": cli_page(room) for room in ROOMS}
    texts["reference/cli/index.md"] = cli_index()
    texts["reference/configs.md"] = configs_page()
    texts["reference/metrics.md"] = metrics_page()
    texts["reference/attacks.md"] = attacks_page()
    texts["reference/models.md"] = models_page()
    texts["reference/datasets.md"] = datasets_page()
    return texts


# ---- configs ----

CONFIG_ROOMS = {
    "rid": "RID: training and pairs",
    "detectors": "Detectors",
    "indexing": "Active Indexing",
    "sentinels": "ImageSentinel",
    "eval": "Evaluation",
    "tiny": "Toy models",
}


def configs_page() -> str:
    """Describe every config with its purpose and commands."""
    parts = [NOTE, CONFIGS]
    for room, title in CONFIG_ROOMS.items():
        parts.append(f"## {title}\n")
        for file in sorted((ROOT / "configs" / room).glob("*.yaml")):
            lines = [line[1:] for line in file.read_text().splitlines() if line.startswith("#")]
            # Indented lines of a header are commands.
            commands = []
            sentences = []
            for line in lines:
                is_command = re.match(r"\s{2,}\S", line)
                (commands if is_command else sentences).append(line.strip())
            about = " ".join(sentences)
            parts.append(f"### {file.name}\n\n{about}\n")
            parts.append("```\n" + "\n".join(commands) + "\n```\n")
    return "\n".join(parts)


# ---- metrics ----


def metrics_page() -> str:
    """The catalog of ``python -m eval metrics``."""
    from eval.metrics.catalog import CATALOG

    rows = [[f"`{metric.name}`", plain(metric.says), metric.wanted] for metric in CATALOG]
    weights = [
        [f"`{metric.name}`", metric.weights, f"`{metric.local}`" if metric.local else ""]
        for metric in CATALOG
        if metric.weights
    ]
    return "".join(
        [
            NOTE,
            METRICS,
            table(["metric", "what it measures", "a defender wants it"], rows),
            "\n## Weights\n\n",
            table(["metric", "weights and their license", "local copy"], weights),
        ]
    )


# ---- attacks ----


def attacks_page() -> str:
    """Describe the classes of attacks and protections with their settings."""
    personalization = importlib.import_module("eval.attacks.personalization")
    purification = importlib.import_module("eval.attacks.purification")
    rag = importlib.import_module("eval.attacks.rag")
    parts = [NOTE, ATTACKS]
    for head, package, base in (
        (ARMS, "eval.arms", "Arm"),
        (OBJECTIVES, "rid.pairs.objectives", "SurrogateConfig"),
        (ONE_PHOTO, "eval.attacks.one_photo", ""),
        (EDITING, "eval.attacks.editing", "Editing"),
    ):
        module = importlib.import_module(package)
        parts.append(head)
        parts += [class_section(getattr(module, name)) for name in module.__all__ if name != base]
    sampling = importlib.import_module("eval.attacks.single_image").Sampling
    parts.append(class_section(sampling, sampling))
    parts.append(PERSONALIZATION)
    for name in (
        "DreamBooth",
        "DreamBoothLora",
        "TextualInversion",
        "LoraTextualInversion",
        "ContrastiveDecoupling",
    ):
        parts.append(
            class_section(getattr(personalization, name), getattr(personalization, f"{name}Config"))
        )
    parts.append(PURIFICATION)
    for name in purification.__all__:
        if name != "Purifier":
            parts.append(class_section(getattr(purification, name)))
    parts.append(RAG)
    for name in (
        "ImageToImageGenerator",
        "SdxlGenerator",
        "OmniGenGenerator",
        "ServiceGenerator",
        "ReadingJudge",
        "ServiceJudge",
    ):
        parts.append(class_section(getattr(rag, name)))
    return "\n".join([*parts, EDITS])


# ---- models ----


def models_page() -> str:
    """List the models of the registry."""
    from checkpoints.registry import registry

    entries = list(registry().values())
    shipped = [entry for entry in entries if entry.path]
    others = [entry for entry in entries if not entry.path]
    parts = [NOTE, MODELS, "## Shipped\n\n"]
    parts.append(
        table(
            ["name", "what it is", "use", "input"],
            [[f"`{e.name}`", e.title, plain(e.use), e.input] for e in shipped],
        )
    )
    parts.append("\n## On request\n\n")
    parts.append(
        table(
            ["name", "what it is", "license", "source"],
            [[f"`{e.name}`", e.title, e.license, source(e)] for e in others],
        )
    )
    parts.append("\n## Input, output and next step\n\n")
    rows = [
        [f"`{e.name}`", plain(e.use), e.input, e.labels or "", plain(e.steps or "")] for e in others
    ]
    parts.append(table(["name", "use", "input", "output", "next step"], rows))
    return "".join(parts)


def datasets_page() -> str:
    """List the published data sets that sharding knows by name."""
    from datamodules.fake2m.labels import MEANINGS
    from datamodules.fake2m.published import published_sets

    parts = [NOTE, DATASETS]
    head = ["set", "images", "generators", "released", "license", "where labels stand"]
    rows = []
    for entry in published_sets().values():
        counts = {"": entry.images, " generated": entry.generated, " real": entry.real}
        images = [f"{count:,}{word}" for word, count in counts.items() if count]
        meanings = (entry.label_map or {}).items()
        stated = [f"{key} is {MEANINGS[value]}" for key, value in meanings]
        labels = ": ".join(filter(None, [entry.label, ", ".join(stated)]))
        generators = str(entry.generators or "")
        name = f"[{entry.name}](#{entry.name.lower()})"
        row = [
            name,
            ", ".join(images),
            generators,
            entry.released or "",
            entry.license or "",
            labels,
        ]
        rows.append(row)
    parts.append(table(head, rows))
    for entry in published_sets().values():
        pages = " ".join(f"<{page}>" for page in dict.fromkeys([entry.home, *entry.facts]))
        listed = ", ".join(f"{name} {date}" for name, date in entry.release_dates.items())
        dates = listed and f"Release dates of its generators: {listed}"
        texts = [entry.paper, entry.classes, entry.notes, dates, f"Pages: {pages}"]
        parts.append(f"\n## {entry.name}\n\n")
        parts.append("".join(f"* {text}\n" for text in texts if text))
    return "".join(parts)


def source(entry: Any) -> str:
    """Format the source of a model: Hub id or URL."""
    if entry.hub:
        return f"Hub: `{entry.hub}`"
    return f"<{entry.url or entry.page}>"


def stale() -> list[str]:
    """List the paths of outdated or missing pages."""
    outdated = []
    for path, text in pages().items():
        file = ROOT / "docs" / path
        if not file.is_file() or file.read_text() != text:
            outdated.append(path)
    return outdated


def main() -> int:
    """Write the pages, or with ``--check`` compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a page is out of date"
    )
    if parser.parse_args().check:
        outdated = stale()
        for path in outdated:
            print(f"docs/{path} is out of date: run make docs", file=sys.stderr)
        return 1 if outdated else 0
    for path, text in pages().items():
        target = ROOT / "docs" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
