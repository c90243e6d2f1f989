"""Zip archives and parquet tables: bounded, and nothing leads out of them."""

import io
import stat
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from images import zips
from images.archives import DamagedArchive
from images.sources import read_source
from images.tables import read_table
from images.zips import read_zip
from tests.images.files import drawn, saved


def zipped(members, **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer


def read(buffer):
    return {member.name: member for member in read_zip(buffer, "x.zip")}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_come_in_order_and_folders_do_not(method):
    found = read(zipped({"b/": b"", "b/2.png": b"two", "a.png": b"one"}, compression=method))
    assert list(found) == ["b/2.png", "a.png"]
    assert [member.read() for member in found.values()] == [b"two", b"one"]


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "b/../../a.png", "..\\a.png"])
def test_a_name_that_leads_out_is_refused(name):
    with pytest.raises(ValueError, match="leads out of the archive; do not trust this file"):
        read(zipped({name: b"x"}))


def test_links_hidden_files_and_foreign_methods_are_named(monkeypatch):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = zipped({link: b"/etc/passwd", "__MACOSX/._a.png": b"x", ".b/c.png": b"x"})
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("packed.png", b"x")
    found = read(buffer)
    assert found["link.png"].skip == "a link"
    assert found["__MACOSX/._a.png"].skip == "a hidden file"
    assert found[".b/c.png"].skip == "a hidden file"
    assert found["packed.png"].fault.startswith("packed in a way that is not read")
    with pytest.raises(ValueError, match=r"link\.png: a link"):
        found["link.png"].read()


def test_an_encrypted_member_is_named():
    content = bytearray(zipped({"a.png": b"secret"}).getvalue())
    for magic, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(magic) + place] |= 1
    assert read(io.BytesIO(bytes(content)))["a.png"].fault.startswith("encrypted")


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(zips, "FREE_BYTES", 1000)
    found = read(zipped({"a.bmp": bytes(1 << 20), "b.png": b"x"}, compression=zipfile.ZIP_DEFLATED))
    assert "unpacks to 1,048,576 bytes from" in found["a.bmp"].fault
    assert found["b.png"].read() == b"x"


def test_a_member_larger_than_stated_is_damaged():
    content = zipped({"a.png": bytes(5000)}, compression=zipfile.ZIP_DEFLATED).getvalue()
    for place in (22, content.index(b"PK\1\2") + 24):
        content = content[:place] + (100).to_bytes(4, "little") + content[place + 4 :]
    assert "damaged" in read(io.BytesIO(content))["a.png"].fault


def test_members_that_share_their_bytes_are_refused():
    """As in bombs whose members overlap."""
    content = zipped({"a.png": bytes(3000), "b.png": b""}).getvalue()
    place = content.rindex(b"PK\1\2")
    first = content[content.index(b"PK\1\2") :]
    content = content[: place + 20] + first[20:28] + content[place + 28 :]
    with pytest.raises(DamagedArchive, match="its members are larger than the archive"):
        read(io.BytesIO(content))


def test_a_wrong_checksum_is_one_members_fault():
    content = zipped({"a.png": b"first", "b.png": b"second"}).getvalue()
    found = read(io.BytesIO(content.replace(b"first", b"firsT")))
    assert "damaged" in found["a.png"].fault
    assert found["b.png"].read() == b"second"


def test_a_cut_archive_says_what_to_do():
    with pytest.raises(DamagedArchive, match=r"x\.zip: not a whole zip archive .* zip -s 0"):
        read(io.BytesIO(zipped({"a.png": b"x"}).getvalue()[:-10]))


def table_file(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def rows(path):
    with path.open("rb") as stream:
        return list(read_table(stream, str(path)))


def test_a_table_of_raw_bytes(tmp_path):
    images = [saved(drawn(), "PNG"), saved(drawn(), "WEBP"), None, b"", b"not an image"]
    file = table_file(tmp_path / "x.parquet", image_data=images, label=[0, 1, 1, 1, 1])
    found = rows(file)
    assert [member.name for member in found] == [
        "000000000.png",
        "000000001.webp",
        "000000002.image",
        "000000003.image",
        "000000004.image",
    ]
    assert [member.read() for member in found[:2]] == images[:2]
    assert [member.fault for member in found[2:4]] == ["no image in this row"] * 2
    assert found[1].columns == {"label": "1"}
    (prefixed, *_) = read_source(str(file))
    assert prefixed.name == "x/000000000.png"


def test_rows_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    sizes = []
    real = pq.ParquetFile.iter_batches

    def counted(self, *args, **options):
        for batch in real(self, *args, **options):
            sizes.append(len(batch))
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    file = table_file(tmp_path / "x.parquet", image=[saved(drawn(), "JPEG")] * 40)
    assert len(rows(file)) == 40
    assert max(sizes) <= 16


def test_a_damaged_table_says_how_far_it_was_read(tmp_path):
    file = table_file(tmp_path / "x.parquet", image=[saved(drawn(), "PNG")] * 3)
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    with pytest.raises(DamagedArchive, match=r"x\.parquet: not a whole parquet file .*complete"):
        rows(file)
    file.write_bytes(whole[:4] + bytes(60) + whole[64:])
    with pytest.raises(DamagedArchive, match=r"x\.parquet: "):
        rows(file)
