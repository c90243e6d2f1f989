"""Writer of reproducible tar files."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from engine.files import PARTIAL, partial_stem


class ShardWriter:
    """Writer of reproducible tar files: equal members give equal bytes.

    The file appears under its name when it is closed.

    Args:
        target: The file. Its folder is created; remains of a stopped run are overwritten.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.partial = target.parent / f"{partial_stem(target)}{PARTIAL}"
        target.parent.mkdir(parents=True, exist_ok=True)
        self.archive = self._guarded(lambda: tarfile.open(self.partial, "w"))  # noqa: SIM115

    def add(self, name: str, content: bytes) -> None:
        """Append a member."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._guarded(lambda: self.archive.addfile(member, io.BytesIO(content)))

    def close(self) -> None:
        """Finish the file and move it to its name."""
        self._guarded(self.archive.close)
        os.replace(self.partial, self.target)

    def abandon(self) -> None:
        """Delete the unfinished file."""
        stream = cast(Any, self.archive.fileobj)
        if not stream.closed:
            stream.close()
        self.partial.unlink(missing_ok=True)

    def _guarded(self, write: Callable[[], Any]) -> Any:
        """Run a write; errors name the target."""
        try:
            return write()
        except OSError as error:
            raise type(error)(
                error.errno, error.strerror or str(error), str(self.target)
            ) from error
