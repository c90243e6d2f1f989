"""Finding and reading shards; errors name missing, damaged and empty ones."""

import io
import json
import os
import tarfile

import fsspec
import numpy as np
import pytest
from PIL import Image

from datamodules.exact import PADDING, ExactStream
from datamodules.fake2m.datamodule import Fake2MDataModule
from datamodules.fake2m.facts import read_facts
from datamodules.fake2m.origin import Origin
from datamodules.fake2m.sharding import shard_images
from datamodules.fake2m.subset_writer import Limits
from datamodules.shards import ShardSource, count_samples, find_shards, read_shards, refuse_empty
from datamodules.streams import MixedStream
from images.archives import Member
from images.transforms.views import View

SMALL = View("crop", size=8, resize=8)


def encoded(value=0, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(np.full((10, 12, 3), value, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def shards(folder, name="photos", count=6, label=0):
    members = [Member(f"{name}/{number}.png", encoded(number)) for number in range(count)]
    shard_images(members, folder, lambda _: Origin("train", name, label), limits=Limits(samples=2))
    return folder


def write_tar(path, files):
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(path)


def test_a_missing_shard_is_an_error_that_names_it(tmp_path):
    shards(tmp_path)
    shards(tmp_path, "other")
    assert len(find_shards(f"{tmp_path}/train-photos-{{000000..000002}}.tar")) == 3
    assert len(find_shards(f"{tmp_path}/train-*.tar")) == 6
    (tmp_path / "train-photos-000001.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"no shards at .*train-photos-000001\.tar"):
        find_shards(f"{tmp_path}/train-photos-{{000000..000002}}.tar")
    for pattern in ("train-photos-*.tar", "train-*.tar", "*.tar", "train-photos-00000[01]*.tar"):
        with pytest.raises(
            FileNotFoundError,
            match=r"train-photos-000001\.tar: listed in the index beside it, but not there",
        ):
            find_shards(f"{tmp_path}/{pattern}")
    assert len(find_shards(f"{tmp_path}/train-other-*.tar")) == 3, "another subset is whole"
    assert len(find_shards(f"{tmp_path}/train-photos-000002*.tar")) == 1, (
        "the missing one is not meant"
    )


def test_a_whole_subset_that_is_missing_is_missed(tmp_path):
    shards(tmp_path)
    shards(tmp_path, "other")
    for file in tmp_path.glob("train-other-*.tar"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"train-other-000000\.tar: listed"):
        find_shards(f"{tmp_path}/train-*.tar")


def test_shards_elsewhere_are_missed_too(tmp_path):
    system = fsspec.filesystem("memory")
    for file in shards(tmp_path).iterdir():
        system.pipe_file(f"/fit/{file.name}", file.read_bytes())
    assert len(find_shards("memory://fit/train-*.tar")) == 3
    system.rm("/fit/train-photos-000000.tar")
    with pytest.raises(FileNotFoundError, match=r"train-photos-000000\.tar: listed"):
        find_shards("memory://fit/train-*.tar")


def test_other_json_files_beside_shards_do_not_matter_but_a_damaged_index_does(tmp_path):
    shards(tmp_path)
    for name, text in (
        ("train.json", "[1, 2]"),
        ("train-notes.json", "{"),
        ("t.json", '{"shards": 3}'),
    ):
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"t\.json: not an index of shards"):
        find_shards(f"{tmp_path}/train-*.tar")
    (tmp_path / "t.json").unlink()
    assert len(find_shards(f"{tmp_path}/train-*.tar")) == 3
    (tmp_path / "train-photos.json").write_text("{")
    for wrong in (
        lambda: find_shards(f"{tmp_path}/train-*.tar"),
        lambda: count_samples(str(tmp_path / "train-photos-000000.tar")),
    ):
        with pytest.raises(ValueError, match=r"train-photos\.json: .*damaged"):
            wrong()


def test_a_folder_is_no_shard(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"a folder; name the shards in it, such as .*\*\.tar"
    ):
        find_shards(str(shards(tmp_path)))


def test_samples_are_counted_with_and_without_an_index(tmp_path):
    shards(tmp_path, count=5)
    counts = [count_samples(shard) for shard in find_shards(f"{tmp_path}/*.tar")]
    (tmp_path / "train-photos.json").unlink()
    assert (
        counts == [count_samples(shard) for shard in find_shards(f"{tmp_path}/*.tar")] == [2, 2, 1]
    )


RECORD = json.dumps({"label": 1}).encode()


def test_samples_with_dots_in_their_names_are_read_and_troubles_told(tmp_path):
    files = {
        "h.2020.05.jpg": encoded(1, "JPEG"),
        "h.2020.05.json": RECORD,
        "h.2020.06.jpeg": encoded(2, "JPEG"),
        "h.2020.06.json": RECORD,
    }
    files |= {
        "lost.json": RECORD,
        "two.jpg": b"x",
        "two.png": b"x",
        "two.json": RECORD,
        "anim.psd": b"x",
        "anim.json": RECORD,
    }
    shard = write_tar(tmp_path / "x.tar", files)
    samples = list(read_shards([shard]))
    assert [(sample.key, sample.image is not None, sample.fault) for sample in samples] == [
        ("h.2020.05", True, ""),
        ("h.2020.06", True, ""),
        ("lost", False, "no image in this sample"),
        ("two", False, "sample two has 2 images; one is expected"),
        (
            "anim",
            False,
            ".psd files are not supported; convert it to PNG, JPEG, WebP or TIFF first",
        ),
    ]
    assert count_samples(shard) == 5
    read = list(ExactStream([shard], SMALL, 5, 0, 1))
    assert [sample["label"] for sample in read] == [1, 1, PADDING, PADDING, PADDING]
    assert [len(sample["damaged"]) for sample in read] == [0, 0, 1, 1, 1]
    assert "lost: no image in this sample" in read[2]["record"]["error"]


@pytest.mark.parametrize("record", [b"{", b"[]", b"{}", b'{"label": 2}', b'{"label": -1}', None])
def test_records_without_a_label_are_errors_that_name_the_sample(tmp_path, record):
    shard = write_tar(
        tmp_path / "x.tar", {"a.png": encoded()} | ({} if record is None else {"a.json": record})
    )
    with pytest.raises(ValueError, match=r"x\.tar, a: .*(record|label)"):
        list(ExactStream([shard], SMALL, 1, 0, 1))


def test_a_damaged_shard_ends_a_stream_and_is_named(tmp_path):
    shards(tmp_path)
    file = tmp_path / "train-photos-000001.tar"
    content = bytearray(file.read_bytes())
    content[20] ^= 1
    file.write_bytes(content)
    fake = shards(tmp_path / "fake", label=1)
    for stream in (ExactStream([f"{tmp_path}/*.tar"], SMALL, 2, 0, 1), mixed(tmp_path, fake)):
        with pytest.raises(
            ValueError, match=r"train-photos-000001\.tar: (damaged|not an uncompressed tar)"
        ):
            list(stream)


def mixed(real, generated):
    sources = [ShardSource(f"{real}/train-*.tar")], [ShardSource(f"{generated}/train-*.tar")]
    return MixedStream(sources, SMALL, batch_size=4, batches=20, shuffle=4, seed=0, rank=0)


@pytest.mark.parametrize("label", [0, 1])
def test_shards_of_one_class_do_not_pass_for_the_other(tmp_path, label):
    folder = shards(tmp_path, label=label)
    with pytest.raises(ValueError, match=rf"but its label is {label}; 1 is generated") as told:
        list(mixed(folder, folder))
    assert f"{folder}/train-*.tar: " in str(told.value)
    assert ("data.real" in str(told.value)) == (label == 1)


def test_a_source_without_samples_is_an_error_before_training(tmp_path):
    (tmp_path / "none").mkdir()
    write_tar(tmp_path / "none" / "train-empty-000000.tar", {"notes.txt": b"x"})
    shards(tmp_path / "real")
    with pytest.raises(ValueError, match=r"train-\*\.tar: no samples in these shards"):
        mixed(tmp_path / "real", tmp_path / "none")
    with pytest.raises(ValueError, match=r"no samples in .*none"):
        ExactStream([f"{tmp_path}/none/*.tar"], SMALL, 1, 0, 1)
    data = Fake2MDataModule(
        [ShardSource(f"{tmp_path}/real/train-*.tar")],
        [ShardSource(f"{tmp_path}/none/*.tar")],
        batch_size=2,
        epoch_samples=4,
        num_workers=0,
    )
    with pytest.raises(ValueError, match="no samples"):
        data.train_dataloader()


def test_a_source_that_has_samples_by_its_index_alone_does_not_hang(tmp_path):
    shards(tmp_path / "real")
    shards(tmp_path / "fake", count=2, label=1)
    stream = mixed(tmp_path / "real", tmp_path / "fake")
    write_tar(tmp_path / "fake" / "train-photos-000000.tar", {"notes.txt": b"x"})
    with pytest.raises(ValueError, match=r"no samples in .*train-photos-000000\.tar"):
        list(stream)


def test_shards_elsewhere_without_an_index_are_taken_to_have_samples(tmp_path):
    system = fsspec.filesystem("memory")
    system.pipe_file(
        "/bare/x-000000.tar", (shards(tmp_path) / "train-photos-000000.tar").read_bytes()
    )
    refuse_empty("memory://bare/x-*.tar", find_shards("memory://bare/x-*.tar"))


def test_an_index_that_is_a_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "val-a-000000.tar").write_bytes(bytes(1024))
    os.mkfifo(tmp_path / "val-a.json")
    with pytest.raises(OSError, match="not a file, but a pipe"):
        find_shards(str(tmp_path / "val-a-*.tar"))


def test_records_of_others_are_named(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, content in (("a.png", encoded()), ("a.json", b'{"label": 1}')):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(
        ValueError, match=r"a\.tar, a\.json: no record of this project \(width is not a number\)"
    ):
        list(read_facts(tmp_path / "a.tar"))
