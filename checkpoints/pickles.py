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


def pickled_names(path: Path) -> list[str]:
    """List the classes and functions that a file of old or bare pickles names beside PyTorch's own; nothing is run."""
    found: set[str] = set()
    try:
        with path.open("rb") as stream:
            for _ in range(PICKLES):
                found |= _names_in(stream)
    except Exception:  # the end of the pickles, or damage
        pass
    return sorted(name for name in found if not name.startswith("torch.") and name != "collections.OrderedDict")


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
        elif code.name in ("BINGET", "LONG_BINGET") and isinstance(argument, int) and argument < len(memo):
            words.append(memo[argument])
        elif isinstance(argument, str):
            words.append(argument)
    return found


def unread(path: Path, error: BaseException) -> str:
    """Say why a file of plain content could not be read, and what to do, for the error that reading it raised."""
    again = "have it saved anew by someone you trust, as .safetensors or by today's torch.save"
    if tarfile.is_tarfile(path):
        return f"in the tar format of PyTorch before 0.2, which nothing opens without running it; {again}"
    with path.open("rb") as stream:
        head = stream.read(len(OLD))
    if head == OLD and not (isinstance(error, EOFError) or "unexpected EOF" in str(error)):
        return f"in the old format of PyTorch before 1.6, and not readable without running it; {again}"
    protocol = _protocol(path, head)
    if protocol is not None and protocol != PROTOCOL:
        return f"pickled in protocol {protocol}, of which PyTorch reads only {PROTOCOL} without running it; {again}"
    if protocol is not None and head != OLD and not zipfile.is_zipfile(path):
        return f"a bare pickle, not a file that torch.save wrote; {again}"
    return f"damaged, cut short, or more than plain tensors ({type(error).__name__}); download it again"


def _protocol(path: Path, head: bytes) -> int | None:
    """The pickle protocol of a file, or of the content of a zipped one; None if it cannot be told."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inner = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
                if inner is None:
                    return None
                with archive.open(inner) as stream:
                    head = stream.read(2)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        return None
    return head[1] if head[:1] == b"\x80" and len(head) > 1 and head[1] <= 5 else None
