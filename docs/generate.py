"""Write the reference pages that are read off the code: commands, configs, metrics, attacks, models.

``python docs/generate.py`` writes them, and ``make docs`` calls it. A test compares the pages with what it would write.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

ROOMS = ("rid", "detectors", "indexing", "sentinels", "datamodules", "checkpoints", "eval", "tiny")

NOTE = "<!-- Written by docs/generate.py. Do not edit: change the code and run `make docs`. -->\n"

LIGHTNING = (
    "`--trainer.*` takes every argument of Lightning's "
    "[Trainer](https://lightning.ai/docs/pytorch/stable/common/trainer.html); `--help-all` lists them."
)


def pages() -> dict[str, str]:
    """Every generated page: its path below docs/, and its text."""
    found = {f"reference/cli/{room}.md": cli_page(room) for room in ROOMS}
    found["reference/cli/index.md"] = cli_index()
    found["reference/configs.md"] = configs_page()
    found["reference/metrics.md"] = metrics_page()
    found["reference/attacks.md"] = attacks_page()
    found["reference/models.md"] = models_page()
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return (
        "\n".join(
            "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in line) + " |"
            for line in lines
        )
        + "\n"
    )


def plain(text: str) -> str:
    """A docstring's text for a table cell: one line, no roles, no double backticks."""
    text = re.sub(r":\w+:`~?\.?([^`]+)`", r"`\1`", text)
    return " ".join(text.replace("``", "`").split())


# ---- commands ----


def cli_index() -> str:
    """All verbs in one table."""
    rows = []
    for room in ROOMS:
        for name, verb in importlib.import_module(f"{room}.__main__").VERBS.items():
            rows.append([f"[`{room} {name}`]({room}.md#{name})", plain(verb.about)])
    return (
        NOTE
        + "# Commands\n\n"
        + "Every command is `python -m PACKAGE VERB`. See [Using the commands](../../how-to/commands.md) for the options "
        + "that all of them share, for exit codes and for configs.\n\n"
        + table(["command", "purpose"], rows)
    )


def cli_page(room: str) -> str:
    """One package's verbs with their options, defaults and examples."""
    module = importlib.import_module(f"{room}.__main__")
    parts = [NOTE, f"# python -m {room}\n", plain(module.ROOM.about) + "\n"]
    for name, verb in module.VERBS.items():
        parts += [f"## {name}\n", plain(verb.about) + "\n", f"```\npython -m {verb.example}\n```\n"]
        parts += options(verb.parser(f"{room} {name}", outline=True))
    return "\n".join(parts)


def options(parser: Any) -> Iterator[str]:
    """The options of a verb as tables, one for each group."""
    from engine.cli import help as shown

    actions = [
        action for action in shown.visible_actions(parser) if action.dest not in shown.COMMON
    ]
    trainer = [action for action in actions if action.dest.startswith("trainer.")]
    needed = [action for action in actions if not action.option_strings or action.required]
    rest = [action for action in actions if action not in needed and action not in trainer]
    groups = {"Required": needed, "Options": [action for action in rest if "." not in action.dest]}
    for action in rest:
        if "." in action.dest:
            groups.setdefault(f"`--{shown.kebab(action.dest.split('.')[0])}.*`", []).append(action)
    for title, members in groups.items():
        if members:
            rows = [option_row(action) for action in members]
            yield f"**{title}**\n"
            yield f'<div class="options" markdown>\n\n{table(["option", "value", "default", "meaning"], rows)}\n</div>\n'
    if trainer:
        yield LIGHTNING + "\n"


def option_row(action: Any) -> list[str]:
    """One option: how it is written, what it takes, its default, what it means."""
    from engine.cli import help as shown
    from engine.cli.option_types import choices, one_of

    name = (
        ", ".join(f"`{spelling}`" for spelling in shown.spellings(action))
        or f"`{action.dest.upper()}`"
    )
    kind = shown.type_source(action)
    value = shown.placeholder(action) + (" ..." if action.nargs in ("+", "*") else "")
    allowed = choices(kind) if value.startswith("VALUE") else []
    about = plain(action.help or "")
    if allowed:
        about += f" ({one_of(allowed)})"
    default = shown.default_text(action)
    value = (
        value.strip()
        .replace("|", " or ")
        .replace("{", "")
        .replace("}", "")
        .replace(",", ", ")
        .replace("  ", " ")
    )
    return [name, f"`{value}`" if value else "", f"`{default}`" if default.strip() else "", about]


# ---- configs ----

CONFIG_ROOMS = {
    "rid": "RID: training and pairs",
    "detectors": "Detectors",
    "indexing": "Active Indexing",
    "sentinels": "ImageSentinel",
    "eval": "Evaluation",
    "tiny": "Toy models",
}

CONFIGS = """# Configs

Each YAML file in `configs/` is one experiment. Its header says what it does and how to start it. A config sets the same
names as the command line, with underscores. Options after `-c FILE` override it.

```
python -m rid fit -c configs/rid/tiny_adv_sds.yaml --print_config          # print the settings
python -m rid fit -c configs/rid/tiny_adv_sds.yaml --trainer.max_steps 50    # change one
```

`class_path` names any Python class, which is then built with `init_args`. A config can therefore run code: use one only
if you trust its source. `callbacks:` in a second config replaces the list of the first; `callbacks+:` appends to it.

"""


def configs_page() -> str:
    """Every config with its purpose and its commands."""
    parts = [NOTE, CONFIGS]
    for room, title in CONFIG_ROOMS.items():
        parts.append(f"## {title}\n")
        for file in sorted((ROOT / "configs" / room).glob("*.yaml")):
            lines = [line[1:] for line in file.read_text().splitlines() if line.startswith("#")]
            commands = [line.strip() for line in lines if re.match(r"\s{2,}\S", line)]
            about = " ".join(line.strip() for line in lines if not re.match(r"\s{2,}\S", line))
            parts.append(f"### {file.name}\n\n{about}\n")
            parts.append("```\n" + "\n".join(commands) + "\n```\n")
    return "\n".join(parts)


# ---- metrics ----

METRICS = """# Metrics

`python -m eval metrics` prints this list. It says which way a defender wants each metric to move, and which weights it needs.
Metrics that need downloaded weights, or much time, are named in `--extra-metrics`.

"""


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

ATTACKS = """# Attacks

Every attack is a class with its published settings as defaults. Name it in YAML by `class_path`, or on the command line.

```
python -m eval purify PHOTOS/ -o OUT/ --method Jpeg --method.quality 75
```

"""

PERSONALIZATION = """## Personalization

These attacks teach a diffusion model one person from a few images. They are in `eval.attacks.personalization`; each takes
a `config` with the settings below.

"""

PURIFICATION = """## Purification

These attacks wash a protection off before the model learns from the images. They are in `eval.attacks.purification`.

"""

RAG = """## Retrieval-augmented generation

These classes are the parts of the system that is suspected of using a collection. They are in `eval.attacks.rag`, and
`generator` and `judge` of `python -m eval rag` name them.

"""

EDITS = """## Edits of a stolen collection

The option `--edits` of `python -m eval rag-robustness` takes these names. `python -m detectors robustness` and `python -m eval retrieval`
have suites of their own, in `images.transforms.suites`.

| edit | what the thief does |
| --- | --- |
| `none` | uses the collection as it is |
| `jpeg` | codes every image again, quality 50 |
| `halved` | scales every image to half and back |
| `cropped` | keeps the middle 80 % |
| `inpainted` | finds letters with a reader and paints over them |
| `deleted` | removes every image in which a reader finds letters |
"""


def attacks_page() -> str:
    """Attack classes with their settings."""
    personalization = importlib.import_module("eval.attacks.personalization")
    purification = importlib.import_module("eval.attacks.purification")
    rag = importlib.import_module("eval.attacks.rag")
    parts = [NOTE, ATTACKS, PERSONALIZATION]
    for name in (
        "DreamBooth",
        "DreamBoothLora",
        "SDXLDreamBoothLora",
        "TextualInversion",
        "LoraTextualInversion",
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


def class_section(kind: type, settings: type | None = None) -> str:
    """A class's summary and the table of its settings."""
    rows = [list(row) for row in (fields_of(settings) if settings else arguments_of(kind))]
    head = f"### {kind.__name__}\n\n{plain(inspect.getdoc(kind).split(chr(10) * 2)[0])}\n"
    return head + ("\n" + table(["setting", "default", "meaning"], rows) if rows else "")


def fields_of(kind: type) -> Iterator[tuple[str, str, str]]:
    """Fields of a dataclass, with the text of the docstrings of its bases."""
    about = documented(kind)
    for field in dataclasses.fields(kind):
        default = field.default if field.default is not dataclasses.MISSING else None
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        yield (
            f"`{field.name}`",
            "required" if required else shown_default(default),
            about.get(field.name, ""),
        )


def arguments_of(kind: type) -> Iterator[tuple[str, str, str]]:
    """Arguments of a class's constructor."""
    about = documented(kind)
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        yield (
            f"`{name}`",
            "required" if required else shown_default(parameter.default),
            about.get(name, ""),
        )


def documented(kind: type) -> dict[str, str]:
    """Collect the descriptions of arguments in the docstrings of a class and its bases."""
    from docstring_parser import parse

    about: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        texts = [
            base.__dict__.get("__doc__") or "",
            getattr(base.__dict__.get("__init__"), "__doc__", "") or "",
        ]
        for text in texts:
            about |= {part.arg_name: plain(part.description or "") for part in parse(text).params}
    return about


def shown_default(value: Any) -> str:
    """A default in the spelling of YAML."""
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, str | int | float):
        return f"`{value}`" if str(value).strip() else "one blank" if value else "empty"
    return f"`{type(value).__name__}()`"


# ---- models ----

MODELS = """# Model zoo

`python -m checkpoints list` prints this list, and says which models are on your machine. A command or `from_pretrained` takes any of
these names. Models in the first table ship with the repository. The others are downloaded on request, under their own licenses:
see [Hub and offline use](../how-to/hub-and-offline.md).

```
python -m checkpoints list sd-1.5     # source, license, input, hashes
python -m checkpoints pull sd-1.5 taef2
```

The shipped toy models work on the drawn portraits only. See [the toy models](../explanation/toy-models.md).

"""


def models_page() -> str:
    """The registry."""
    from checkpoints.registry import registry

    entries = list(registry().values())
    here = [entry for entry in entries if entry.path]
    others = [entry for entry in entries if not entry.path]
    parts = [NOTE, MODELS, "## Shipped\n\n"]
    parts.append(
        table(
            ["name", "what it is", "use", "input"],
            [[f"`{e.name}`", e.title, plain(e.use), e.input] for e in here],
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


def source(entry: Any) -> str:
    """Where a model is from."""
    if entry.hub:
        return f"Hub: `{entry.hub}`"
    return f"<{entry.url or entry.page}>"


def stale() -> list[str]:
    """Paths of pages that differ from what would be written."""
    return [
        path
        for path, text in pages().items()
        if not (ROOT / "docs" / path).is_file() or (ROOT / "docs" / path).read_text() != text
    ]


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a page is out of date"
    )
    if parser.parse_args().check:
        for path in (found := stale()):
            print(f"docs/{path} is out of date: run make docs", file=sys.stderr)
        return 1 if found else 0
    for path, text in pages().items():
        target = ROOT / "docs" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
