"""Tar files are read completely, or an error names the archive; nothing is lost silently."""

import gzip
import io
import os
import random
import re
import tarfile

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from images.archives import DamagedArchive, index_tar, read_tar, walk_folder
from images.shard_writer import ShardWriter
from images.sources import find_archives, read_source

NAMES = [
    f"deep/{name}"
    for name in (
        "a.png",
        "a.json",
        "long" + "g" * 120 + ".png",
        "caf\u00e9.png",
        "e.json",
        os.fsdecode(b"\xe9.png"),
    )
]


def tar_bytes(format_=tarfile.PAX_FORMAT, names=NAMES, kind="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=kind, format=format_) as archive:
        for index, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size = 700 * index
            archive.addfile(member, io.BytesIO(bytes([index]) * member.size))
    return buffer.getvalue()


def everything(content, path):
    """Read names and bytes in both ways, which must agree in content and errors."""
    path.write_bytes(content)
    found = []
    errors = []
    ways = (
        lambda: [(member.name, member.read()) for member in index_tar(path)],
        lambda: [
            (member.name, member.read()) for member in read_tar(io.BytesIO(content), str(path))
        ],
        lambda: [
            (member.name, member.read())
            for member in read_tar(io.BytesIO(content), str(path), seekable=True)
        ],
    )
    for way in ways:
        try:
            found.append(way())
        except ValueError as error:
            errors.append(str(error))
    assert not errors or not found, "the three ways agree"
    assert all(str(path) in error and "\n" not in error for error in errors)
    assert all(one == found[0] for one in found)
    return found[0] if found else None


EXPECTED = [(name, bytes([index]) * (700 * index)) for index, name in enumerate(NAMES)]


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_is_read_in_every_way(format_, tmp_path):
    names = ["deep/a.png", "b.png"] if format_ == tarfile.USTAR_FORMAT else NAMES
    assert [name for name, _ in everything(tar_bytes(format_, names), tmp_path / "x.tar")] == names
    assert everything(tar_bytes(), tmp_path / "x.tar") == EXPECTED


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated") / "x.tar"


KINDS = ["bit", "cut out", "double", "zero", "noise", "end"]


def harmed(content, kind, start, length, seed):
    """After a bit was turned, a piece cut out, doubled, zeroed or replaced, or the end cut off."""
    content = bytearray(content)
    piece = slice(start, start + length)
    if kind == "bit":
        content[start] ^= 1 << seed % 8
    elif kind == "cut out":
        del content[piece]
    elif kind == "double":
        content[start:start] = content[piece]
    elif kind in ("zero", "noise"):
        size = len(content[piece])
        content[piece] = bytes(size) if kind == "zero" else random.Random(seed).randbytes(size)
    else:
        del content[start:]
    return bytes(content)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.sampled_from(KINDS),
    st.floats(0, 1, exclude_max=True),
    st.one_of(st.integers(1, 600), st.sampled_from([512, 1024, 5120])),
    st.integers(0, 1 << 16),
)
def test_whatever_is_done_to_a_tar_file_no_entry_is_lost_in_silence(
    place, format_, kind, where, length, seed
):
    whole = tar_bytes(format_)
    content = harmed(whole, kind, int(where * len(whole)), length, seed)
    found = everything(content, place)
    if found is None or len(found) >= len(NAMES):
        return
    lost = len(whole.rstrip(b"\0")) - len(content.rstrip(b"\0"))
    assert kind in ("cut out", "zero"), "nothing else leaves fewer entries and a whole archive"
    assert lost >= 512, "only where whole entries are gone"
    assert kind == "zero" or lost % 512 == 0, "and nothing but they"
    assert {name for name, _ in found} < {name for name, _ in EXPECTED}


@pytest.mark.parametrize("end", [1, 512, 700, 1024, 1500])
def test_a_tar_file_must_end_in_its_end_mark(end, tmp_path):
    whole = tar_bytes().rstrip(b"\0")
    whole += bytes(-len(whole) % 512)
    assert everything(whole + bytes(1024), tmp_path / "x.tar") == EXPECTED
    assert everything((whole + bytes(1024))[:-end], tmp_path / "x.tar") is None


def test_errors_say_how_far_the_archive_was_good(tmp_path):
    content = bytearray(tar_bytes(names=["a.png", "b.png", "c.png"]))
    content[512 + 1024 + 512 + 10] ^= 1  # in the third header
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(
        DamagedArchive,
        match=r"x\.tar: damaged after 2 entries, which end at byte 2,048: a header is damaged",
    ):
        index_tar(tmp_path / "x.tar")
    streamed = []
    with pytest.raises(DamagedArchive, match="damaged after 2 entries"):
        streamed.extend(member.name for member in read_tar(io.BytesIO(bytes(content)), "x.tar"))
    (tmp_path / "two.tar").write_bytes(tar_bytes() * 2)
    with pytest.raises(DamagedArchive, match="data follows the end mark"):
        index_tar(tmp_path / "two.tar")


def test_sizes_are_not_believed(tmp_path):
    for size in (-512, 1 << 29):
        member = tarfile.TarInfo("a.png")
        member.size = size
        content = member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
        assert everything(content, tmp_path / "x.tar") is None
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    header.size = 5 << 20
    assert (
        everything(header.tobuf(tarfile.USTAR_FORMAT) + bytes(6 << 20), tmp_path / "x.tar") is None
    )
    negative = tarfile.TarInfo("a.png")
    negative.pax_headers = {"size": "-2048"}
    assert everything(negative.tobuf(tarfile.PAX_FORMAT) + bytes(1024), tmp_path / "x.tar") is None


def test_links_and_special_entries_are_members_to_be_skipped(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        kinds = {
            "soft.png": tarfile.SYMTYPE,
            "hard.png": tarfile.LNKTYPE,
            "pipe.png": tarfile.FIFOTYPE,
            "d": tarfile.DIRTYPE,
        }
        for name, kind in kinds.items():
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = "to.png"
            archive.addfile(member)
    with (tmp_path / "x.tar").open("rb") as stream:
        streamed = list(read_tar(stream, "x.tar"))
    for members in (index_tar(tmp_path / "x.tar"), streamed):
        assert [member.name for member in members] == ["soft.png", "hard.png", "pipe.png"]
        assert [member.skip for member in members] == ["a link to to.png"] * 2 + [
            "neither a file nor a folder, but a special entry"
        ]
        with pytest.raises(ValueError, match=r"soft\.png: a link"):
            members[0].read()


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.png", "a/../../x.png"])
def test_names_that_lead_out_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="leads out of the archive"):
        list(read_tar(io.BytesIO(tar_bytes(names=[name])), "x.tar"))


def test_a_member_that_is_not_whole_any_more_is_an_error(tmp_path):
    (tmp_path / "x.tar").write_bytes(tar_bytes())
    member = index_tar(tmp_path / "x.tar")[-1]
    (tmp_path / "x.tar").write_bytes(tar_bytes()[:2000])
    with pytest.raises(DamagedArchive, match="changed while it was read"):
        member.read()


def test_files_of_a_folder_come_in_the_order_of_their_paths(tmp_path):
    for name in ("b.png", "a/z.png", "a.png", "c/d/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    members = list(walk_folder(tmp_path))
    assert [member.name for member in members] == ["a/z.png", "a.png", "b.png", "c/d/e.png"]
    assert [member.read().decode() for member in members] == [member.name for member in members]
    with pytest.raises(FileNotFoundError):
        list(walk_folder(tmp_path / "gone"))


def gz_parts(folder, count=5):
    folder.mkdir()
    whole = gzip.compress(tar_bytes(names=[f"d/{number}.png" for number in range(8)]), mtime=0)
    size = -(-len(whole) // count)
    for number in range(count):
        (folder / f"x.tar.gz.{number}").write_bytes(whole[number * size : (number + 1) * size])
    return folder


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_split_archive_is_whole_or_an_error(tmp_path_factory, data):
    folder = gz_parts(tmp_path_factory.mktemp("parts") / "in")
    part = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(part.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    part.write_bytes(content)
    names = []
    told = ""
    try:
        names = [member.name for member in read_source(str(folder))]
    except ValueError as error:
        told = str(error)
    assert "x.tar.gz" in told or names == [f"d/{number}.png" for number in range(8)], (
        "a bit of gzip's own header"
    )


def test_a_tar_that_is_cut_before_it_is_compressed_is_an_error(tmp_path):
    whole = tar_bytes(names=["a.png", "b.png", "c.png"])
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(whole[:2000]))
    with pytest.raises(DamagedArchive, match=r"x\.tar\.gz: damaged after 2 entries, .*end of data"):
        list(read_source(str(tmp_path)))
    assert [
        member.name
        for archive in find_archives(str(tmp_path))
        for member in _until_error(archive.members())
    ] == ["a.png", "b.png"]


def _until_error(members):
    try:
        yield from members
    except DamagedArchive:
        return


def test_shards_are_sources_from_any_file_system(tmp_path):
    system = fsspec.filesystem("memory")
    system.pipe_file("/shards/s-0.tar", tar_bytes())
    assert [member.name for member in read_source("memory://shards")] == [
        f"s-0/{name}" for name in NAMES
    ]
    system.pipe_file("/shards/s-0.tar", tar_bytes()[:3000])
    with pytest.raises(DamagedArchive, match=r"s-0\.tar: damaged after"):
        list(read_source("memory://shards"))


def test_a_full_disk_names_the_target_and_leaves_nothing(tmp_path, monkeypatch):
    writer = ShardWriter(tmp_path / "s.tar")
    monkeypatch.setattr(
        writer.archive,
        "addfile",
        lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    with pytest.raises(OSError, match=r"No space left on device: '.*s\.tar'"):
        writer.add("a.png", b"x")
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_written_shards_are_the_same_bytes_and_whole(tmp_path):
    for name in ("one.tar", "two.tar"):
        writer = ShardWriter(tmp_path / name)
        for member, content in EXPECTED:
            writer.add(member, content)
        writer.close()
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert [(member.name, member.read()) for member in index_tar(tmp_path / "one.tar")] == EXPECTED


def test_a_pipe_with_a_tar_files_name_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(OSError, match="not a file, but a pipe"):
        index_tar(tmp_path / "a.tar")


@pytest.mark.parametrize("name", ["shard.tar", "whole.tar.gz"])
def test_a_file_that_cannot_be_read_is_named(name, tmp_path):
    (tmp_path / name).symlink_to("/proc/self/mem")  # its first byte cannot be read
    source = tmp_path / name if name.endswith(".tar") else tmp_path
    with pytest.raises(OSError, match=re.escape(str(tmp_path / name))) as raised:
        list(read_source(str(source)))
    assert raised.value.filename == str(tmp_path / name)
