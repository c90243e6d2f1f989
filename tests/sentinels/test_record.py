import io
import json

import numpy as np
import pytest
from PIL import Image

from engine.cli import run
from images.io import save_png
from images.photo import Photo
from sentinels.__main__ import main
from sentinels.compared import _hits_of_key
from sentinels.record import Record, Sentinel, parse_object
from sentinels.verify import verify

FENCED = '```json\n{"technical": {"resolution": {"width": 336, "height": 448}}}\n```'


@pytest.fixture
def published(tmp_path):
    """A record and files in the published layout."""
    root = tmp_path / "data" / "LLaVA_data"
    (root / "sentinelImages").mkdir(parents=True)

    def source(name, size):
        save_png(Photo(np.full((size[1], size[0], 3), 90, np.uint8)), root / "00000" / name)

    def sentinel(name, size, kind="PNG"):
        buffer = io.BytesIO()
        Image.new("RGB", size, (9, 99, 199)).save(buffer, format=kind)
        (root / "sentinelImages" / f"sentinel_{name}").write_bytes(buffer.getvalue())

    source("000000012.jpg", (336, 336))
    sentinel("000000012.jpg", (1024, 1024))
    source("000000030.jpg", (448, 336))
    sentinel("000000030.jpg", (1024, 1536))
    source("1007880.jpg", (800, 800))
    source("1149078.jpg", (800, 800))
    sentinel("1149078.jpg", (1024, 1024))
    keys = {
        "000000012.jpg": "DXrdDh",
        "000000030.jpg": "QZouzj",
        "1007880.jpg": "QRcbYj",
        "1149078.jpg": "jIkAJp",
    }
    entries = {
        name: {
            "random_key": key,
            "original_image": f"../data/LLaVA_data/00000/{name}",
            "generated_image": f"../data/LLaVA_data/sentinelImages/sentinel_{name}",
            "image_description": FENCED,
            "generation_prompt": "draw",
            "timestamp": "2025-10-01 10:00:00.123456",
        }
        for name, key in keys.items()
    }
    file = root / "processing_record_len6.json"
    file.write_text(
        json.dumps({"description_prompt": "describe", "processed_images": entries}, indent=4)
    )
    return file


def said(findings, entry, level):
    return " | ".join(
        finding.what for finding in findings if finding.entry == entry and finding.level == level
    )


def test_old_records_are_read_as_they_are(published):
    record = Record.open(published)
    assert record.sentinels["000000012.jpg"].key == "DXrdDh"
    assert (
        record.locate(record.sentinels["000000012.jpg"].generated).name == "sentinel_000000012.jpg"
    )
    assert record.sentinels["000000030.jpg"].described == {
        "technical": {"resolution": {"width": 336, "height": 448}}
    }
    assert record.description_prompt == "describe"


def test_verify_finds_what_does_not_fit(published):
    findings = verify(Record.open(published))
    assert "is not there" in said(findings, "1007880.jpg", "error")
    assert "holds png data" in said(findings, "000000012.jpg", "warning")
    assert "sides exchanged" in said(findings, "000000030.jpg", "warning")
    assert "of another shape" in said(findings, "000000030.jpg", "warning")
    assert "of another size" in said(findings, "000000012.jpg", "warning")
    assert "says in its name" in said(findings, "1149078.jpg", "warning")
    assert {finding.entry for finding in findings if finding.level == "error"} == {"1007880.jpg"}


@pytest.mark.parametrize(
    ("read", "legible"), [("DxrdDh", True), ("dX rdDH", True), ("DXrdDn", False), ("", False)]
)
def test_the_case_of_letters_does_not_count_when_keys_are_read(published, read, legible):
    record = Record.open(published)
    findings = verify(record, lambda images: [read])
    assert ("not legible" in said(findings, "000000012.jpg", "error")) != legible


def test_equal_and_near_keys_are_found(published):
    record = Record.open(published)
    first = record.sentinels["000000012.jpg"]
    record.sentinels |= {"same.jpg": Sentinel("dxRDdH", first.original, first.generated)}
    record.sentinels |= {"near.jpg": Sentinel("DXrdDk", first.original, first.generated)}
    record.sentinels |= {"odd.jpg": Sentinel("D1", first.original, first.generated)}
    findings = verify(record)
    assert "whatever the case" in said(findings, "same.jpg", "error")
    assert "less than 2 edits" in said(findings, "near.jpg", "warning")
    assert "three letters" in said(findings, "odd.jpg", "error")


def test_changed_files_are_found(published):
    record = Record.open(published)
    first = record.sentinels["000000012.jpg"]
    record.sentinels["000000012.jpg"] = Sentinel(
        first.key, first.original, first.generated, provenance={"sentinel_sha256": "0" * 64}
    )
    assert "not the file that was planted" in said(verify(record), "000000012.jpg", "error")


def test_the_command_ends_in_its_exit_code(published, capsys):
    assert run(main, ["verify", str(published), "--reader", "none"]) == 1
    assert "4 sentinels: 1 in error, 3 with warnings" in capsys.readouterr().out
    assert run(main, ["verify", str(published.with_name("none.json"))]) == 2
    published.write_text('{"processed_images": {"a.jpg": {"random_key": 3}}}')
    assert run(main, ["verify", str(published)]) == 2
    assert "the entry of a.jpg has no random_key" in capsys.readouterr().err


def test_a_record_comes_back_as_it_was_written(tmp_path):
    record = Record(tmp_path / "deep" / "record.json", provenance={"planter": "local"})
    record.sentinels["00000/ä.jpg"] = Sentinel(
        "BCDFGH", "../x.jpg", "images/y.jpg", "d", "p", "t", {"seed": 1}
    )
    record.write()
    again = Record.open(record.file)
    assert again.sentinels == record.sentinels
    assert again.provenance["planter"] == "local"
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ("```json\n{}\n```", {}),
        ("```\n{}\n```", {}),
        ("[1]", None),
        ("{", None),
    ],
)
def test_objects_come_out_of_fences(text, found):
    assert parse_object(text) == found


def test_the_published_name_of_a_sentinel():
    assert Sentinel("K", "a", "images/0/1.png").published == "0/1.png"
    assert Sentinel("K", "a", "../old/sentinel_1.jpg").published == "sentinel_1.jpg"


def test_a_sentinel_that_replaces_its_source_is_a_hit_and_the_source_is_not(tmp_path):
    """Both have the same name; a source in another folder of the same name is none either."""
    source, other = tmp_path / "photos" / "a" / "1.png", tmp_path / "photos" / "b" / "1.png"
    path = tmp_path / "out" / "images" / "a" / "1.png"
    for file in (source, other, path):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
    record = Record(tmp_path / "out" / "record.json")
    record.sentinels["a/1.png"] = Sentinel("K", "../photos/a/1.png", "images/a/1.png")

    def hit(*paths):
        trial = {"retrieved_images": [str(path) for path in paths]}
        return _hits_of_key([(trial, None)], record, "a/1.png").at[1]

    assert hit(path) == hit("1.png") == hit("/published/a/1.png") == 1
    assert hit(source) == hit(other) == hit("/published/b/1.png") == 0
