"""Text of ``python -m checkpoints list``."""

from __future__ import annotations

from checkpoints.pins import pinned
from checkpoints.pull import local_folder, partly_here
from checkpoints.registry import Entry, WeightFile, entry, registry


def overview() -> str:
    """Format the registry as a table with one line for each model."""
    rows = [("name", "here", "size", "license", "what it is")]
    for model in registry().values():
        license_name = model.license.partition(";")[0]
        rows.append((model.name, presence(model), size_text(model.size), license_name, model.title))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[4]]))
    more = "python -m checkpoints list NAME shows source, expected input and hashes of a model"
    return "\n".join([*lines, "", more])


def details(name: str) -> str:
    """Format all facts about one model.

    Raises:
        ValueError: If the registry has no such model.
    """
    # facts of the registry, of this machine and of the lock file
    model = entry(name)
    folder = local_folder(name)
    pin = pinned(name)
    gated = " (gated: agree to its terms there first)" if model.gated else ""
    revision = f"revision {pin.get('revision')}, first seen on {pin.get('first_seen')}"
    facts = {
        "what it is": model.title,
        "what for": model.use,
        "from": model.source + gated,
        "license": model.license,
        "it expects": model.input,
        "its answers": model.labels,
        "by hand": model.steps if model.page else None,
        "next": None if model.page else model.steps,
        "here": str(folder) if folder else presence(model),
        "pinned": revision if pin.get("revision") else None,
    }
    width = max(map(len, facts))
    lines = [f"{key.ljust(width)}  {value}" for key, value in facts.items() if value]

    # files of the registry, then those that are only pinned
    hashes = pin.get("sha256", {})
    files: dict[str, WeightFile | None] = {file.name: file for file in model.files}
    for file_name in hashes:
        files.setdefault(file_name, None)
    for file_name, file in files.items():
        lines.append(f"{'file'.ljust(width)}  {file_text(file_name, file, hashes)}")
    return "\n".join([name, *lines])


def presence(model: Entry) -> str:
    """Return yes, partly or no: the presence of a model on this machine."""
    if local_folder(model.name):
        return "yes"
    return "partly" if partly_here(model) else "no"


def size_text(size: int | None) -> str:
    """Format a size in bytes as kB, MB or GB."""
    if size is None:
        return "?"
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    if size >= 1e6:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e3:.0f} kB"


def file_text(name: str, file: WeightFile | None, pinned_hashes: dict[str, str]) -> str:
    """Format name, size and hash of a file.

    Args:
        name: Name of the file.
        file: Its registry entry; None if it has none.
        pinned_hashes: The pinned sha256 by file name.
    """
    size = size_text(file.size) if file else "?"
    if file and file.sha256:
        return f"{name}, {size}, sha256 {file.sha256}"
    seen = f", first seen as sha256 {pinned_hashes[name]}" if name in pinned_hashes else ""
    return f"{name}, {size}, unverified{seen}"
