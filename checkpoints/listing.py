"""The registry in words."""

from __future__ import annotations

from checkpoints.pins import pinned
from checkpoints.pull import local_folder, partly_here
from checkpoints.registry import Entry, WeightFile, entry, registry


def overview() -> str:
    """A line for each model."""
    rows = [("name", "here", "size", "licence", "what it is")]
    rows += [
        (
            found.name,
            presence(found),
            amount(found.size),
            found.licence.partition(";")[0],
            found.title,
        )
        for found in registry().values()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            "",
            "python -m checkpoints list NAME tells where one is from, what it expects, and its hashes",
        ]
    )


def details(name: str) -> str:
    """All that is known of one.

    Raises:
        ValueError: If there is no such model.
    """
    found, folder = entry(name), local_folder(name)
    seen = pinned(name)
    facts = {
        "what it is": found.title,
        "what for": found.use,
        "from": found.source + (" (gated: agree to its terms there first)" if found.gated else ""),
        "licence": found.licence,
        "it expects": found.input,
        "its answers": found.labels,
        "by hand": found.steps if found.page else None,
        "next": None if found.page else found.steps,
        "here": str(folder) if folder else presence(found),
        "pinned": f"revision {seen['revision']}, first seen on {seen['first_seen']}"
        if seen.get("revision")
        else None,
    }
    width = max(map(len, facts))
    lines = [f"{key.ljust(width)}  {value}" for key, value in facts.items() if value]
    hashes = seen.get("sha256", {})
    files = {file.name: file for file in found.files} | {
        other: None for other in hashes if other not in {file.name for file in found.files}
    }
    return "\n".join(
        [
            name,
            *lines,
            *(
                f"{'file'.ljust(width)}  {in_words(other, file, hashes)}"
                for other, file in files.items()
            ),
        ]
    )


def presence(found: Entry) -> str:
    """Whether a model is on this machine."""
    if local_folder(found.name):
        return "yes"
    return "partly" if partly_here(found) else "no"


def amount(size: int | None) -> str:
    """A size in words."""
    if size is None:
        return "?"
    return (
        f"{size / 1e9:.1f} GB"
        if size >= 1e9
        else f"{size / 1e6:.1f} MB"
        if size >= 1e6
        else f"{size / 1e3:.0f} kB"
    )


def in_words(name: str, file: WeightFile | None, seen: dict[str, str]) -> str:
    """A file's size and hash, and who vouches for it."""
    size = amount(file.size) if file else "?"
    if file and file.sha256:
        return f"{name}, {size}, sha256 {file.sha256}"
    return f"{name}, {size}, unverified" + (
        f", first seen as sha256 {seen[name]}" if name in seen else ""
    )
