"""What kind of pickled file a file is, told from its bytes without unpickling it."""

from __future__ import annotations

import pickletools
import tarfile
import zipfile
from pathlib import Path
from typing import IO

OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of PyTorch before 1.6 begin: one pickle after the other, then the numbers."""

PICKLES = 4
"""Of such a file: a mark, the version, the machine, the content."""

PROTOCOL = 2
"""Pickle's, as ``torch.save`` writes it; PyTorch reads no other without running it."""


ZIP_FAULTS = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError)
"""Errors of zipfile: names that are no text raise ValueError, unknown versions and encryption the last two."""


def is_zipped(path: Path) -> bool:
    """Tell whether a file is a zip archive, be it a damaged one."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # raised for some damage instead of an answer
        return True


def pickled_names(path: Path) -> list[str]:
    """List the classes and functions that old or bare pickles name beside PyTorch's own."""
    found: set[str] = set()
    try:
        with path.open("rb") as stream:
            for _ in range(PICKLES):
                found |= _names_in(stream)
    except Exception:  # the end of the pickles, or damage
        pass
    foreign = found - {"collections.OrderedDict"}
    return sorted(name for name in foreign if not name.startswith("torch."))


def _names_in(stream: IO[bytes]) -> set[str]:
    """Of the next pickle in a file."""
    found: set[str] = set()
    words: list[str] = []
    memo: list[str] = []
    for code, argument, _ in pickletools.genops(stream):
        if code.name == "GLOBAL":
            found.add(str(argument).replace(" ", "."))
        elif code.name == "STACK_GLOBAL":
            found.add(".".join(words[-2:]))
        elif code.name == "MEMOIZE":
            memo.append(words[-1] if words else "")
        elif code.name in ("BINGET", "LONG_BINGET") and isinstance(argument, int):
            words += memo[argument : argument + 1]
        elif isinstance(argument, str):
            words.append(argument)
    return found


def unread(path: Path, error: BaseException) -> str:
    """Say why a file of plain content could not be read, and what to do.

    Args:
        path: The file.
        error: What reading it raised.
    """
    again = "have it saved anew by someone you trust, as .safetensors or by today's torch.save"
    if tarfile.is_tarfile(path):
        return f"in the tar format of PyTorch before 0.2, which only running it opens; {again}"
    with path.open("rb") as stream:
        head = stream.read(len(OLD))
    if head == OLD and not (isinstance(error, EOFError) or "unexpected EOF" in str(error)):
        return f"in the old format of PyTorch before 1.6, which only running it opens; {again}"
    protocol = _protocol(path, head)
    if protocol is not None and protocol != PROTOCOL:
        known = f"of which PyTorch reads only {PROTOCOL} without running it"
        return f"pickled in protocol {protocol}, {known}; {again}"
    if protocol is not None and head != OLD and not is_zipped(path):
        return f"a bare pickle, not a file that torch.save wrote; {again}"
    kind = type(error).__name__
    return f"damaged, cut short, or more than plain tensors ({kind}); download it again"


def _protocol(path: Path, head: bytes) -> int | None:
    """The pickle protocol of a file, or of a zipped one's content; None if it cannot be told."""
    try:
        if is_zipped(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                inner = next((name for name in names if name.endswith("data.pkl")), None)
                if inner is None:
                    return None
                with archive.open(inner) as stream:
                    head = stream.read(2)
    except ZIP_FAULTS:
        return None
    return head[1] if head[:1] == b"\x80" and len(head) > 1 and head[1] <= 5 else None
