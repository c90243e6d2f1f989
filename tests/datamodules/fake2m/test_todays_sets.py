"""Tables, zip archives and trees of other data sets, through the command."""

import json
import re
import zipfile
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.__main__ import main
from datamodules.fake2m.published import published_sets
from engine.cli import run as run_command
from tests.datamodules.fake2m.archives import encoded, samples

run = partial(run_command, main)


def tree(folder, names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        content = encoded("PNG", number) if name.endswith(".png") else b"text"
        (folder / name).write_bytes(content)
    return folder


def sharded(source, output, *options):
    """Run ``shard``, and return exit code, records by source path, and the manifest."""
    command = ["shard", str(source), "-o", str(output), "--calibration-share", "0"]
    code = run([*command, "--dev-share", "0", *options])
    records = [json.loads(sample["json"]) for sample in samples(output)]
    (manifest,) = [json.loads(path.read_text()) for path in output.glob("*.run/manifest.json")]
    return code, {record["source_path"]: record for record in records}, manifest


def hub_table(path, rows, names=("real", "fake")):
    """A table as ``datasets`` writes it: an image of bytes and path, and a label with names."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    notes = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
    fields = [("image", image), ("label", pa.int64()), ("model", pa.string())]
    schema = pa.schema(fields, metadata={"huggingface": json.dumps(notes)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=2)


def row(number, label, model="", content=None):
    content = encoded("JPEG", number) if content is None else content
    return {"image": {"bytes": content, "path": f"{number}.jpg"}, "label": label, "model": model}


def test_a_table_of_the_hub(tmp_path, capsys):
    rows = [row(0, 0), row(1, 1, "FLUX"), row(2, None), row(3, 1, "SD3", b"no image"), row(4, 1)]
    hub_table(tmp_path / "set" / "train-00000-of-00002.parquet", rows)
    hub_table(tmp_path / "set" / "test-00000-of-00001.parquet", [row(5, 0), row(6, 1, "SD3")])
    options = ["--label", "column", "--columns", '{"generator": "model"}', "--name", "hub"]
    code, records, manifest = sharded(tmp_path / "set", tmp_path / "out", *options)
    assert code == 1, "two rows are left out"
    train, test = "train-00000-of-00002/00000000", "test-00000-of-00001/00000000"
    found = {name: (entry["label"], entry["generator"]) for name, entry in records.items()}
    assert found == {
        f"{train}0.jpg": (0, None),
        f"{train}1.jpg": (1, "FLUX"),
        f"{train}4.jpg": (1, None),
        f"{test}0.jpg": (0, None),
        f"{test}1.jpg": (1, "SD3"),
    }
    assert {entry["split"] for entry in records.values()} == {"train", "test"}
    assert manifest["labels"] == {"real": 0, "fake": 1}
    assert manifest["left_out"] == {"without a label in its row": 1, "unreadable": 1}
    assert manifest["counts"] == {"done": 5, "failed": 2, "skipped": 0}
    told = capsys.readouterr()
    assert "labels: fake = generated, real = real" in told.out
    assert "train-hub: 3 images in 1 shards; 1 real, 2 generated;" in told.out
    assert f"error: without a label in its row: {train}2.jpg" in told.err
    assert f"error: unreadable: {train}3.image: not a valid image file" in told.err


def test_numbers_of_a_table_need_a_stated_map(tmp_path, capsys):
    table = pa.table({"data": [encoded("PNG", 0), encoded("PNG", 1)], "label": [1, 0]})
    pq.write_table(table, tmp_path / "x.parquet")
    arguments = [tmp_path / "x.parquet", tmp_path / "out", "--label", "column"]
    assert run(["shard", str(arguments[0]), "-o", str(arguments[1]), "--label", "column"]) == 2
    assert "its label is 1, and data sets differ in what that means" in capsys.readouterr().err
    code, records, manifest = sharded(*arguments, "--label-map", '{"0": 1, "1": 0}')
    assert code == 0
    assert [records[f"x/00000000{number}.png"]["label"] for number in (0, 1)] == [0, 1]
    assert manifest["labels"] == {"0": 1, "1": 0}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--columns", '{"image": "gone"}'], "no column 'gone' for the image; it has a, b"),
        ([], "the columns a, b hold bytes of files, and one column of images is read"),
        (
            ["--columns", '{"pixels": "a"}'],
            "--columns names image, label, generator, released; 'pixels'",
        ),
    ],
)
def test_a_column_that_is_not_there_is_one_line(options, words, tmp_path, capsys):
    pq.write_table(pa.table({"a": [b"x"], "b": [b"y"]}), tmp_path / "x.parquet")
    command = ["shard", str(tmp_path / "x.parquet"), "-o", str(tmp_path / "out")]
    assert run([*command, "--label", "real", *options]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_a_zip_archive(tmp_path, capsys):
    names = ["WildRF/test/reddit/0_real/a.png", "WildRF/test/reddit/1_fake/b.png"]
    left_out = ["WildRF/test/loose.png", "WildRF/readme.txt", "WildRF/0_real/.hidden.png"]
    folder = tree(tmp_path / "tree", [*names, *left_out])
    with zipfile.ZipFile(tmp_path / "WildRF.zip", "w") as archive:
        for name in [*names, *left_out]:
            archive.write(folder / name, name)
    code, records, manifest = sharded(
        tmp_path / "WildRF.zip", tmp_path / "out", "--label", "folders"
    )
    assert code == 1
    assert {name: entry["label"] for name, entry in records.items()} == dict(
        zip(names, (0, 1), strict=True)
    )
    assert {entry["split"] for entry in records.values()} == {"test"}
    assert manifest["labels"] == {"0_real": 0, "1_fake": 1}
    assert manifest["left_out"] == {
        "in no labelled folder": 1,
        "no picture": 1,
        "unreadable": 1,
    }
    assert "in no labelled folder: WildRF/test/loose.png" in capsys.readouterr().err


TREES = {
    "0_real and 1_fake": (
        {
            "progan/cat/0_real/1.png": ("train", 0, None),
            "progan/cat/1_fake/2.png": ("train", 1, "progan"),
            "biggan/1_fake/3.png": ("train", 1, "biggan"),
        },
        {"0_real": 0, "1_fake": 1},
    ),
    "ai and nature": (
        {
            "Midjourney/train/ai/1.png": ("train", 1, "Midjourney"),
            "Midjourney/train/nature/2.png": ("train", 0, None),
            "Midjourney/val/ai/3.png": ("val", 1, "Midjourney"),
        },
        {"ai": 1, "nature": 0},
    ),
    "real and fake": (
        {
            "test/fake/FLUX/1.png": ("test", 1, "FLUX"),
            "test/real/2.png": ("test", 0, None),
        },
        {"fake": 1, "real": 0},
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_trees(name, tmp_path, capsys):
    expected, labels = TREES[name]
    loose = ["readme.md", "loose.png", "real/ai/both.png"]
    folder = tree(tmp_path / "set", [*expected, *loose])
    code, records, manifest = sharded(folder, tmp_path / "out", "--label", "folders")
    assert code == 1
    found = {
        path: (entry["split"], entry["label"], entry["generator"])
        for path, entry in records.items()
    }
    assert found == expected
    assert manifest["labels"].items() >= labels.items()
    assert manifest["left_out"] == {
        "in no labelled folder": 1,
        "in folders of both classes": 1,
        "no picture": 1,
    }
    assert manifest["counts"] == {"done": len(expected), "failed": 2, "skipped": 1}
    assert "in folders of both classes: real/ai/both.png" in capsys.readouterr().err


def test_folders_of_numbers_need_a_stated_map(tmp_path, capsys):
    folder = tree(tmp_path / "set", ["SD3/0/a.png", "SD3/1/b.png"])
    arguments = [folder, tmp_path / "out", "--label", "folders"]
    assert run(["shard", str(arguments[0]), "-o", str(arguments[1]), "--label", "folders"]) == 2
    assert "its folder is named 0, and data sets differ" in capsys.readouterr().err
    code, records, _ = sharded(*arguments, "--label-map", '{"0": 1, "1": 0}')
    assert code == 0
    assert [records[f"SD3/{name}"]["label"] for name in ("0/a.png", "1/b.png")] == [1, 0]


def test_a_folder_of_mixed_kinds_is_not_half_read(tmp_path, capsys):
    tree(tmp_path / "set", ["a.png"])
    zipfile.ZipFile(tmp_path / "set" / "b.zip", "w").close()
    command = ["shard", str(tmp_path / "set"), "-o", str(tmp_path / "out"), "--label", "real"]
    assert run(command) == 2
    assert "holds files of several kinds, such as a.png" in capsys.readouterr().err


SETS = published_sets()


def test_every_published_set_says_where_its_facts_are_from():
    assert list(SETS) == [
        "GenImage",
        "ForenSynths",
        "DRCT-2M",
        "Synthbuster",
        "Chameleon",
        "WildRF",
        "AI-GenBench",
        "AIGIBench",
        "CommunityForensics",
        "CommunityForensics-Small",
        "CommunityForensics-Eval",
        "OpenFake",
        "DDA-COCO",
        "EvalGEN",
    ]
    for entry in SETS.values():
        assert entry.home.startswith("https://")
        assert all(page.startswith("https://") for page in entry.facts)
        assert entry.facts
        assert entry.label in ("folders", "column", "generated")
        assert entry.label != "column" or entry.columns
        dates = entry.release_dates.values()
        assert all(re.fullmatch(r"20\d\d-\d\d-\d\d", date) for date in dates)
        assert len(dates) in (0, entry.generators)
        assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", entry.released or "2020-01")


@pytest.mark.parametrize(
    ("name", "files", "expected"),
    [
        (
            "GenImage",
            ["ADM/train/ai/1.png", "ADM/val/nature/2.png"],
            [("train", 1, "ADM"), ("val", 0, None)],
        ),
        (
            "ForenSynths",
            ["biggan/0_real/1.png", "progan/cat/1_fake/2.png"],
            [("train", 0, None), ("train", 1, "progan")],
        ),
        (
            "DRCT-2M",
            ["DRCT-2M/sdxl-turbo/train2017/1.png", "DRCT-2M/ldm/val2017/2.png"],
            [("train", 1, "sdxl-turbo"), ("val", 1, "ldm")],
        ),
        (
            "Synthbuster",
            ["synthbuster/dalle3/1.png", "synthbuster/firefly/2.png"],
            [("test", 1, "dalle3"), ("test", 1, "firefly")],
        ),
        ("Chameleon", ["0_real/1.png", "1_fake/2.png"], [("test", 0, None), ("test", 1, None)]),
        (
            "WildRF",
            ["WildRF/test/reddit/0_real/1.png", "WildRF/val/1_fake/2.png"],
            [("test", 0, None), ("val", 1, None)],
        ),
        (
            "AIGIBench",
            ["test/R3GAN/1_fake/1.png", "train/car/0_real/2.png"],
            [("test", 1, "R3GAN"), ("train", 0, None)],
        ),
        (
            "EvalGEN",
            ["Infinity/1.png", "NOVA/2.png"],
            [("test", 1, "Infinity"), ("test", 1, "NOVA")],
        ),
    ],
)
def test_a_published_tree_by_name(name, files, expected, tmp_path, capsys):
    folder = tree(tmp_path / "set", files)
    code, records, _ = sharded(folder, tmp_path / "out", "--set", name)
    assert code == 0
    found = [records[file] for file in files]
    assert [(one["split"], one["label"], one["generator"]) for one in found] == expected
    assert {one["subset"] for one in found} == {name}
    assert SETS[name].home in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in SETS if SETS[name].columns])
def test_a_published_table_by_name(name, tmp_path):
    columns = SETS[name].columns
    table = {columns["image"]: [encoded("PNG", 0), encoded("PNG", 1)]}
    table[columns["generator"]] = ["ProGAN", "ProGAN"]
    if "released" in columns:
        table[columns["released"]] = ["2024-08-01", "2024-08-01"]
    labels = [1, 1]
    if "label" in columns:
        labels = [0, 1]
        table[columns["label"]] = labels if SETS[name].label_map else ["real", "fake"]
    pq.write_table(pa.table(table), tmp_path / "test-0000.parquet")
    code, records, manifest = sharded(
        tmp_path / "test-0000.parquet", tmp_path / "out", "--set", name
    )
    assert code == 0
    assert [record["label"] for record in records.values()] == labels
    assert [record["generator"] for record in records.values()][1] == "ProGAN"
    dates = {"OpenFake": "2024-08-01", "AI-GenBench": "2017-10-27"}
    assert list(records.values())[1].get("released") == dates.get(name)
    assert {record["split"] for record in records.values()} == {"test"}
    assert len(manifest["labels"]) == ("label" in columns) * 2


def test_a_set_without_a_source_says_where_it_is(tmp_path, capsys):
    assert run(["shard", "--set", "Chameleon", "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "give its folder or archive; it is at https://github.com/shilinyan99/AIDE" in told
    assert "commercial use in any form is prohibited" in told
