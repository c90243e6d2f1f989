"""Files that are read: errors name them, and pipes are not waited for."""

import errno
import os
import socket
from pathlib import Path

import pytest

from engine.files import (
    file_digest,
    locked,
    open_for_reading,
    read_bytes,
    read_lines,
    read_text,
    refuse_special,
    write_bytes,
)
from engine.records import read_json


@pytest.mark.parametrize(
    "read", [read_bytes, read_lines, read_text, file_digest, lambda path: read_json(path, dict)]
)
def test_errors_of_the_disk_name_the_file(read, tmp_path):
    failing = tmp_path / "a.json"
    failing.symlink_to("/proc/self/mem")  # its first byte cannot be read
    with pytest.raises(OSError, match="Input/output error") as caught:
        read(failing)
    assert caught.value.filename == str(failing)


def test_pipes_sockets_and_devices_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "socket", "zero"):
        with (
            pytest.raises(OSError, match="not a file, but a pipe, socket or device") as caught,
            open_for_reading(tmp_path / name),
        ):
            pass
        assert caught.value.filename == str(tmp_path / name)
    (tmp_path / "file").write_bytes(b"ab")
    refuse_special(tmp_path / "file")
    with open_for_reading(tmp_path / "file") as stream:
        assert stream.read() == b"ab"


def test_text_is_utf8_with_or_without_its_mark_or_the_file_is_named(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeffä\r\nb".encode())
    assert read_text(tmp_path / "a.csv") == "ä\r\nb"
    (tmp_path / "a.csv").write_bytes(b"ab\xff")
    with pytest.raises(ValueError, match=r"a\.csv: not text in UTF-8 \(byte 2\)"):
        read_text(tmp_path / "a.csv")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a file, but a pipe, socket or device"):
        read_bytes(tmp_path / "pipe")


def test_a_read_only_file_system_is_an_error_of_the_target(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="Read-only") as found:
        write_bytes(tmp_path / "answers.csv", b"")
    assert found.value.filename == str(tmp_path / "answers.csv")


def test_a_folder_to_lock_is_no_file(tmp_path):
    (tmp_path / "out").write_text("")
    with (
        pytest.raises(ValueError, match="out: a file, but the results need a folder"),
        locked(tmp_path / "out"),
    ):
        pass
