"""Kinds of pickled files, recognized without unpickling."""

from __future__ import annotations

import pickletools
import tarfile
import zipfile
from pathlib import Path
from typing import IO

LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of files of PyTorch before 1.6: several pickles, followed by the numbers."""

LEGACY_PICKLES = 4
"""Number of pickles in such a file: magic number, version, machine, content."""

PROTOCOL = 2
"""Pickle protocol of ``torch.save``; PyTorch reads no other one without running code."""

ZIP_ERRORS = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError)
"""Errors of zipfile for damaged, encrypted and unsupported archives."""


def is_zipped(path: Path) -> bool:
    """Return True if a file is a zip archive, even a damaged one."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # raised for some damage instead of an answer
        return True


def pickled_names(path: Path) -> list[str]:
    """List the classes and functions outside PyTorch that legacy or bare pickles name."""
    names: set[str] = set()
    try:
        with path.open("rb") as stream:
            for _ in range(LEGACY_PICKLES):
                names |= _names_in(stream)
    except Exception:  # the end of the pickles, or damage
        pass
    foreign = names - {"collections.OrderedDict"}
    return sorted(name for name in foreign if not name.startswith("torch."))


def _names_in(stream: IO[bytes]) -> set[str]:
    """List the classes and functions that the next pickle in a file names."""
    names: set[str] = set()
    strings: list[str] = []
    memo: list[str] = []
    for code, argument, _ in pickletools.genops(stream):
        if code.name == "GLOBAL":
            names.add(str(argument).replace(" ", "."))
        elif code.name == "STACK_GLOBAL":
            names.add(".".join(strings[-2:]))
        elif code.name == "MEMOIZE":
            memo.append(strings[-1] if strings else "")
        elif code.name in ("BINGET", "LONG_BINGET") and isinstance(argument, int):
            strings += memo[argument : argument + 1]
        elif isinstance(argument, str):
            strings.append(argument)
    return names


def explain_unreadable(path: Path, error: BaseException) -> str:
    """Explain why a file cannot be read as plain content, with advice.

    Args:
        path: The file.
        error: Error of the unpickler.
    """
    again = "have it saved again by someone you trust, as .safetensors or with a current torch.save"
    if tarfile.is_tarfile(path):
        return f"in the tar format of PyTorch before 0.2, which cannot be read safely; {again}"
    with path.open("rb") as stream:
        head = stream.read(len(LEGACY_MAGIC))
    is_truncated = isinstance(error, EOFError) or "unexpected EOF" in str(error)
    if head == LEGACY_MAGIC and not is_truncated:
        return f"in the old format of PyTorch before 1.6, which cannot be read safely; {again}"
    protocol = _protocol(path, head)
    if protocol is not None and protocol != PROTOCOL:
        known = f"of which PyTorch reads only {PROTOCOL} without running code"
        return f"pickled in protocol {protocol}, {known}; {again}"
    if protocol is not None and head != LEGACY_MAGIC and not is_zipped(path):
        return f"a bare pickle, not a file that torch.save wrote; {again}"
    kind = type(error).__name__
    return f"damaged, cut short, or more than plain tensors ({kind}); download it again"


def _protocol(path: Path, head: bytes) -> int | None:
    """Return the pickle protocol of a file or of the pickle in an archive; None if unknown."""
    try:
        if is_zipped(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                inner = next((name for name in names if name.endswith("data.pkl")), None)
                if inner is None:
                    return None
                with archive.open(inner) as stream:
                    head = stream.read(2)
    except ZIP_ERRORS:
        return None
    return head[1] if head[:1] == b"\x80" and len(head) > 1 and head[1] <= 5 else None
