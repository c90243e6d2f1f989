"""One store of vectors: its layouts, what it refuses, and by which name."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from models.store import StoredImage, VectorStore
from models.store_parts import open_part

ROWS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
NAMES = [f"/photos/{number}.png" for number in range(5)]
MODEL = {"name": "some/model", "fingerprint": "f", "size": 32}


def in_parts(folder, used=(0, 2, 1)):
    """Write a store of the first format: two parts, with one unused row."""
    folder.mkdir()
    save_file({"vectors": ROWS[:3]}, folder / "part-00001.safetensors")
    save_file({"vectors": ROWS[3:]}, folder / "part-00002.safetensors")
    places = [("part-00001.safetensors", row) for row in used] + [("part-00002.safetensors", 0)]
    about = {"size": 10, "mtime_ns": 7, "sha256": "ab"}
    rows = [
        {"name": f"{number}.png", "path": f"/photos/{number}.png", "part": part, "row": row} | about
        for number, (part, row) in enumerate(places)
    ]
    content = {
        "format": 1,
        "model": {"name": "m", "sha256": {"model.safetensors": "cd"}},
        "rows": rows,
    }
    (folder / "index.json").write_text(json.dumps(content))
    return folder


def test_the_matrix_is_what_numpy_writes(tmp_path):
    VectorStore(ROWS, NAMES, MODEL).write(tmp_path / "s", fts=True)
    np.save(tmp_path / "plain.npy", ROWS)
    assert (tmp_path / "s" / "features.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()
    assert (tmp_path / "s" / "filenames.txt").read_text() == "".join(f"{name}\n" for name in NAMES)
    assert torch.equal(
        torch.load(tmp_path / "s" / "fts.pt", weights_only=True), torch.from_numpy(ROWS)
    )
    opened = VectorStore.open(tmp_path / "s")
    assert np.array_equal(opened.rows(1, 3), ROWS[1:3])
    assert (opened.names, opened.labels, opened.embedder) == (NAMES, NAMES, MODEL)


def test_what_is_known_of_images_is_kept(tmp_path):
    images = [StoredImage(f"{number}.png", NAMES[number], 1, 2, "ab") for number in range(5)]
    VectorStore(ROWS, NAMES, MODEL, lambda: images).write(tmp_path)
    opened = VectorStore.open(tmp_path)
    assert opened.images == images
    assert opened.labels == [image.name for image in images]
    assert str(opened.paths()["3.png"]) == "/photos/3.png"


@pytest.mark.parametrize("name", ["features.npy", "filenames.txt", "images.jsonl"])
def test_a_flipped_bit_is_refused_by_the_files_name(name, tmp_path):
    images = [StoredImage(f"{number}.png", NAMES[number], 1, 2, "ab") for number in range(5)]
    VectorStore(ROWS, NAMES, MODEL, lambda: images).write(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[-3] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is damaged or was replaced"):
        _ = VectorStore.open(tmp_path).images


def test_a_flipped_bit_of_the_published_layout_is_refused_too(tmp_path):
    VectorStore(ROWS, NAMES, MODEL).write(tmp_path, fts=True)
    (tmp_path / "features.npy").unlink()
    assert np.array_equal(VectorStore.open(tmp_path).matrix, ROWS)
    content = bytearray((tmp_path / "fts.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "fts.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"fts.pt is damaged or was replaced"):
        VectorStore.open(tmp_path)


def test_published_folders_without_a_record_open(tmp_path):
    torch.save(torch.from_numpy(ROWS), tmp_path / "fts.pth")
    (tmp_path / "filenames.txt").write_bytes(
        b"a\xe2\x80\xa8b.png\r\nc\x85d.png\r\n3\r\n4\r\ncaf\xe9.png\r\n"
    )
    store = VectorStore.open(tmp_path)
    assert store.names == ["a\u2028b.png", "c\udc85d.png", "3", "4", "caf\udce9.png"]
    assert store.fingerprint == ""


@pytest.mark.parametrize("name", ["a\nb.png", "a\rb.png"])
def test_a_name_with_a_line_break_is_refused_before_anything_is_written(name, tmp_path):
    with pytest.raises(ValueError, match="has a line break in it"):
        VectorStore(ROWS, [*NAMES[:4], name], MODEL).write(tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("features.json", "[[]]", "features.json: damaged, or not of the expected structure"),
        ("features.json", '{"extractor": 3}', "features.json: damaged"),
        ("features.json", '{"sha256": []}', "features.json: damaged"),
        ("features.npy", "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'for", "features.npy is damaged"),
        ("filenames.txt", "one\n", "filenames.txt is damaged"),
    ],
)
def test_damaged_records_are_told_with_their_names(file, content, words, tmp_path):
    VectorStore(ROWS, NAMES, MODEL).write(tmp_path)
    (tmp_path / file).write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=words):
        VectorStore.open(tmp_path)


def test_another_embedder_is_refused(tmp_path):
    store = VectorStore(ROWS, NAMES, MODEL)
    store.check_embedder(tmp_path, "f", "any")
    with pytest.raises(ValueError, match=r"vectors of another model or view \(some/model\)"):
        store.check_embedder(tmp_path, "g", "any")


def test_the_sentinels_first_stores_open(tmp_path):
    store = VectorStore.open(in_parts(tmp_path / "v"))
    assert store.labels == ["0.png", "1.png", "2.png", "3.png"]
    assert np.array_equal(store.matrix, ROWS[[0, 2, 1, 3]])
    assert store.images[1].sha256 == "ab"
    store.check_embedder(tmp_path, "whatever", "cd")
    with pytest.raises(ValueError, match="another model"):
        store.check_embedder(tmp_path, "whatever", "ce")


def change_row(folder, **change):
    content = json.loads((folder / "index.json").read_text())
    content["rows"][0] |= change
    (folder / "index.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda folder: (folder / "index.json").write_text("{}"), "index.json: damaged"),
        (
            lambda folder: (folder / "index.json").write_text(
                '{"format": 1, "model": {}, "rows": []}'
            ),
            "or an empty one",
        ),
        (lambda folder: change_row(folder, row=99), "does not fit its parts"),
        (lambda folder: change_row(folder, row=-1), "does not fit its parts"),
        (lambda folder: change_row(folder, part="../part-00001.safetensors"), "a part is named"),
        (
            lambda folder: (folder / "part-00001.safetensors").write_bytes(b"\xff" * 40),
            "part-00001.safetensors is damaged",
        ),
        (
            lambda folder: (folder / "part-00001.safetensors").unlink(),
            "part-00001.safetensors is damaged",
        ),
    ],
)
def test_damaged_first_stores_are_told(break_it, words, tmp_path):
    folder = in_parts(tmp_path / "v")
    break_it(folder)
    with pytest.raises(ValueError, match=words):
        VectorStore.open(folder)


def test_a_part_that_says_it_is_larger_than_its_file_is_refused(tmp_path):
    head = json.dumps(
        {"vectors": {"dtype": "F32", "shape": [10**9, 10**6], "data_offsets": [0, 4 * 10**15]}}
    ).encode()
    (tmp_path / "part.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(64))
    with pytest.raises(ValueError, match=r"part.safetensors is damaged"):
        open_part(tmp_path / "part.safetensors")
