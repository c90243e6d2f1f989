"""Files that are read: errors name them, and pipes are not waited for."""

import os
import socket

import pytest

from engine.files import file_digest, opened, read_bytes, read_lines, refuse_special
from engine.records import read_json


@pytest.mark.parametrize("read", [read_bytes, read_lines, file_digest, lambda path: read_json(path, dict)])
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
        with pytest.raises(OSError, match="not a file, but a pipe, socket or device") as caught, opened(tmp_path / name):
            pass
        assert caught.value.filename == str(tmp_path / name)
    (tmp_path / "file").write_bytes(b"ab")
    refuse_special(tmp_path / "file")
    with opened(tmp_path / "file") as stream:
        assert stream.read() == b"ab"
