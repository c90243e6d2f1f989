"""What gives sentinels away: names, files, copies, keys and the view of a retriever."""

import io

import numpy as np
import pytest
from PIL import Image

from engine.cli import run
from images.headers import read_header
from images.io import open_photo
from images.traits import file_traits
from sentinels.__main__ import main
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter
from sentinels.record import Record
from sentinels.tells.copies import hash_distance, same_by_embedding, same_by_hash
from sentinels.tells.files import differing_traits, unusual_files
from sentinels.tells.findings import Collection
from sentinels.tells.keys import has_key, key_pattern
from sentinels.tells.names import foreign_names, unusual_names
from sentinels.verify import verify

COUNTED = [f"IMG_{number:04d}.jpg" for number in range(40)]
HEXADECIMAL = [f"{number * 2654435761 % 2**32:08x}.png" for number in range(1, 40)]
SPARSE = [f"{number:012d}.jpg" for number in range(139, 581000, 9000)]


@pytest.mark.parametrize(
    ("originals", "name", "fault"),
    [
        (COUNTED, "IMG_0040.jpg", ""),
        (COUNTED, "IMG_7731.jpg", "numbers end at 39"),
        (COUNTED, "KQX_0012.jpg", "its pattern 'KQX_9999.jpg'"),
        (COUNTED, "IMG_0007.png", "0 of 40 originals"),
        (HEXADECIMAL, "00ff3a9c.png", ""),
        (HEXADECIMAL, "00ff3a9c1.png", "its pattern"),
        (SPARSE, "000000401007.jpg", ""),
        (["a.jpg", "b-b.jpg", "c-1_2.jpg"], "zzz.jpg", ""),
    ],
)
def test_a_name_outside_the_pattern_is_found(originals, name, fault):
    found = foreign_names([name], originals)
    assert bool(found) == bool(fault)
    assert fault in found.get(name, "")
    assert unusual_names([*originals, name]) == ({name} if fault else set())


def test_names_without_a_pattern_give_nothing_away():
    assert unusual_names([]) == set()
    assert foreign_names(["a"], []) == {}
    assert unusual_names(["a-b", "c", "1_2", "3.4_5-6"]) == set()


def encoded(codec="JPEG", mode="RGB", **options) -> bytes:
    buffer = io.BytesIO()
    ramp = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    Image.fromarray(ramp).convert(mode).save(buffer, codec, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("file", "trait"),
    [
        (encoded("PNG"), "codec"),
        (encoded(quality=60), "JPEG quality"),
        (encoded(quality=90, subsampling=0), "chroma subsampling"),
        (encoded(quality=90, progressive=True), "coding"),
        (encoded(quality=90, mode="L"), "color mode"),
        (encoded(quality=90, icc_profile=b"x" * 200), "color profile"),
        (encoded(quality=90, dpi=(300, 300)), "resolution"),
        (encoded(quality=90, comment=b"hello"), "parts of the file"),
    ],
)
def test_every_trait_of_a_file_is_told_apart(file, trait):
    usual = file_traits(encoded(quality=90))
    differences = differing_traits(file_traits(file), usual)
    assert any(difference.startswith(trait) for difference in differences)
    traits = {f"{number}.jpg": usual for number in range(6)} | {"odd.jpg": file_traits(file)}
    assert unusual_files(traits) == {"odd.jpg"}
    assert file_traits(b"nothing") == {}
    assert read_header(file) is not None


def test_near_copies_are_found_by_hash_and_by_embedding():
    rng = np.random.default_rng(0)
    bits = rng.random((5, 256)) < 0.5
    near = bits[0].copy()
    near[:9] ^= True
    hashes = {f"{index}": (row, 100) for index, row in enumerate(bits)} | {"near": (near, 100)}
    assert same_by_hash(hashes) == {"0", "near"}
    assert same_by_hash(hashes | {"near": (near, 10)}) == set()
    assert hash_distance((bits[0], 100), (near, 100)) == 9
    assert hash_distance((bits[0], 100), (bits[1], 100)) is None
    vectors = rng.normal(size=(30, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    named = {f"{index:02d}": row for index, row in enumerate(vectors)}
    assert same_by_embedding(named | {"near": vectors[3]}) == {"03", "near"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("a picture with the letters BCDFGH in it", True),
        ("DXrdDh", True),
        ("a red octagon over a striped boat, strong sun", False),
        ("rhythm", True),
        ("TV, DVD", False),
    ],
)
def test_a_filter_of_queries_sees_letters_that_are_no_word(query, found):
    assert has_key(query) == found


def test_the_pattern_of_keys_is_told():
    assert key_pattern(["BCDFGH", "KLMNPR"]) == (
        "2 of 2 keys are no word of a language, all have 6 letters"
    )
    assert key_pattern(["a red octagon", "two blue boats"]) == ""


class SharpReader:
    """Reads a key in images of more than 224 pixels only."""

    def __init__(self, record):
        self.keys = iter([sentinel.key for sentinel in record.sentinels.values()])

    def __call__(self, images):
        return [next(self.keys) if min(images.shape[-2:]) != 224 else "blurred"]


def test_verify_warns_of_each_tell(collection, tmp_path, capsys):
    plant(collection, tmp_path / "s", LocalPlanter(), PlantConfig(count=3, seed=3), None)
    record = Record.open(tmp_path / "s" / "record.json")
    (name, sentinel, path), *_ = record.pairs()
    path.write_bytes(encoded("PNG", mode="L"))
    source = record.locate(sentinel.original)
    odd = path.with_name("unlike.png")
    odd.write_bytes(source.read_bytes())
    record.sentinels[name] = type(sentinel)(
        sentinel.key, sentinel.original, record.relative(odd), provenance={}
    )
    record.write()
    findings = verify(record, SharpReader(record), collection=Collection.of(collection, record))
    told = "\n".join(f"{finding.entry}: {finding.what}" for finding in findings)
    assert f"{name}: unlike.png is not named like the collection" in told
    assert f"{name}: unlike.png is a near copy of its source by PDQ (0 of 256" in told
    assert "of unlike.png is not legible in the center square of 224 pixels that CLIP sees" in told
    assert "record.json: 3 of 3 keys are no word" in told
    assert run(main, ["verify", str(record.file), "--reader", "none"]) in (0, 1)
    printed = "".join(capsys.readouterr())
    assert "near copy of its source by embedding" in printed
    assert all(len(line.splitlines()) == 1 for line in printed.splitlines())
    assert run(main, ["verify", str(record.file), "--weights", "none", "--reader", "none"]) in (
        0,
        1,
    )
    assert "by embedding" not in "".join(capsys.readouterr())
    assert open_photo(odd).rgb.shape == open_photo(source).rgb.shape
