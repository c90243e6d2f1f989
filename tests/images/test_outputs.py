"""Outputs of jobs: a file for each image, and a tar file with its data for each tar file."""

import io
import os
import tarfile

import pytest

from images.inputs import find_images
from images.outputs import ImageTree, output_names


def write_files(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    return find_images([root]).images


def write_tar(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))


def run(output, images, failing=()):
    tree = ImageTree(output, images, "png")
    for image in images:
        if image.name not in failing:
            tree.write(image, b"done " + image.read())
    tree.close_group()
    return tree


def contents(path):
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read().decode() for member in archive}


def test_results_lie_in_the_same_tree_under_their_own_stems(tmp_path):
    images = write_files(
        tmp_path / "in", "a.jpg", "deep/b.tiff", "same.jpg", "same.png", "x.y.webp"
    )
    tree = run(tmp_path / "out", images)
    assert list(tree.names.values()) == [
        "a.png",
        "deep/b.png",
        "same.jpg.png",
        "same.png.png",
        "x.y.png",
    ]
    assert (tmp_path / "out" / "deep" / "b.png").read_bytes() == b"done deep/b.tiff"
    assert tree.targets() == [tmp_path / "out" / name for name in tree.names.values()]
    assert all(tree.exists(image) for image in images)


def test_two_results_of_one_name_are_refused(tmp_path):
    images = write_files(tmp_path / "in", "beach.jpg", "beach.png", "beach.jpg.png")
    with pytest.raises(ValueError, match=r"both be saved as beach\.jpg\.png"):
        output_names(images, "png")


def test_names_that_differ_in_capitals_alone_stay_apart_where_capitals_do_not_count(tmp_path):
    images = write_files(tmp_path / "in", "IMG.JPG", "img.png", "IMG_1.JPG", "img_1.jpg")
    names = list(output_names(images, "png").values())
    assert names == ["IMG.JPG.png", "IMG_1.JPG.png", "img.png.png", "img_1.jpg-2.png"]
    assert len({name.casefold() for name in names}) == 4


def test_the_longest_names_work_and_longer_ones_fail_by_name(tmp_path):
    (tmp_path / "in").mkdir()
    images = write_files(
        tmp_path / "in",
        "a" * 251 + ".jpg",
        "b" * 250 + ".tiff",
        "c" * 251 + ".png",
        "d" * 252 + ".ti",
    )[:3]
    run(tmp_path / "out", images)
    assert len(list((tmp_path / "out").iterdir())) == 3
    long = write_files(tmp_path / "more", "e" * 248 + ".jpg", "e" * 248 + ".png")
    tree = ImageTree(tmp_path / "out", long, "png")
    with pytest.raises(OSError, match=r"File name too long.*e\.jpg\.png"):
        tree.write(long[0], b"x")
    write_tar(tmp_path / "shards" / ("s" * 251 + ".tar"), ["a.jpg"])
    run(tmp_path / "sharded", find_images([tmp_path / "shards"]).images)
    assert [path.name for path in (tmp_path / "sharded").iterdir()] == ["s" * 251 + ".tar"]


def test_a_name_that_is_no_text(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    run(tmp_path / "out", write_files(tmp_path / "in", name))
    assert os.listdir(os.fsencode(tmp_path / "out")) == [b"caf\xe9.png"]


def test_a_result_whose_name_changes_leaves_no_earlier_one(tmp_path):
    run(tmp_path / "out", write_files(tmp_path / "in", "deep/x.jpg", "deep/y.jpg"))
    images = write_files(tmp_path / "in", "deep/x.webp", "deep/y.jpg.bmp")
    tree = ImageTree(tmp_path / "out", images, "png")
    earlier = {"deep/x.jpg": "deep/x.png", "deep/y.jpg": "deep/y.png"}
    unfinished = [image for image in images if not tree.exists(image, earlier.get(image.name, ""))]
    for image in unfinished:
        tree.write(image, b"again")
    written = sorted(path.name for path in (tmp_path / "out" / "deep").iterdir())
    assert written == ["x.jpg.png", "x.webp.png", "y.jpg.png", "y.png"]


@pytest.mark.parametrize("earlier", ["../x.png", "/x.png", "other/x.png", "b.png", "B.png"])
def test_no_file_but_an_images_own_earlier_result_is_deleted(tmp_path, earlier):
    images = write_files(tmp_path / "in", "a.jpg", "b.jpg")
    run(tmp_path / "out", images)
    for name in ("x.png", "out/x.png", "out/other/x.png", "out/B.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"another's")
    before = sorted(tmp_path.rglob("*"))
    tree = ImageTree(tmp_path / "out", images, "png")
    assert tree.exists(images[0], earlier)
    tree.write(images[0], b"again")
    assert sorted(tmp_path.rglob("*")) == before


def test_data_in_a_tar_file_pass_through_in_order(tmp_path):
    inside = [
        "README.md",
        "a.json",
        "a.jpg",
        "a.mask.npy",
        "v1.0/b.c.jpg",
        "v1.0/b.c.txt",
        "between.txt",
        "d.jpg",
        "d.cls",
        "last/notes.md",
    ]
    write_tar(tmp_path / "in" / "deep" / "s.tar", inside)
    run(tmp_path / "out", find_images([tmp_path / "in"]).images)
    found = contents(tmp_path / "out" / "deep" / "s.tar")
    assert list(found) == [
        *("README.md", "a.png", "a.json", "a.mask.npy", "v1.0/b.c.png", "v1.0/b.c.txt"),
        *("between.txt", "d.png", "d.cls", "last/notes.md"),
    ]
    assert found["a.png"] == "done a.jpg"
    assert all(found[name] == name for name in found if not name.endswith(".png"))


def test_no_image_under_another_name_gets_into_the_results(tmp_path):
    """What a job did not change must not look as if it had."""
    inside = ["e", "a.jpg", "a.json", "a.ppm", "b.ppm", "c.tga", "a.jpg.bak", "d.png_", "last.txt"]
    write_tar(tmp_path / "in" / "s.tar", inside)
    found = find_images([tmp_path / "in"])
    run(tmp_path / "out", found.images)
    written = list(contents(tmp_path / "out" / "s.tar"))
    assert written == ["a.png", "a.json", "last.txt"]
    assert set(found.skipped) == {f"s.tar/{name}" for name in set(inside) - {"a.jpg", *written}}


def test_samples_of_failed_images_are_left_out(tmp_path):
    write_tar(
        tmp_path / "in" / "s.tar",
        ["a.jpg", "a.json", "b.jpg", "b.json", "c.psd", "two.jpg", "two.png", "two.json"],
    )
    run(
        tmp_path / "out",
        find_images([tmp_path / "in"]).images,
        failing=("s.tar/a.jpg", "s.tar/c.psd"),
    )
    assert list(contents(tmp_path / "out" / "s.tar")) == ["b.png", "b.json"]


def test_a_stopped_tar_file_is_begun_anew(tmp_path):
    write_tar(tmp_path / "in" / "s.tar", ["a.jpg", "b.jpg"])
    images = find_images([tmp_path / "in"]).images
    tree = ImageTree(tmp_path / "out", images, "png")
    tree.write(images[0], b"x" * 2000)
    assert not tree.exists(images[0])
    (leftover,) = (tmp_path / "out").iterdir()
    with pytest.warns(ResourceWarning, match="unclosed file"):
        del tree  # killed: what it left is overwritten
    whole = run(tmp_path / "out", images)
    assert whole.exists(images[1])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s.tar"]
    assert leftover.name != "s.tar"
    again = ImageTree(tmp_path / "other", images, "png")
    again.write(images[0], b"x")
    again.abandon_group()
    assert list((tmp_path / "other").iterdir()) == []


def test_a_tar_file_that_changes_under_way_fails_by_name(tmp_path):
    write_tar(tmp_path / "in" / "s.tar", ["a.jpg"])
    images = find_images([tmp_path / "in"]).images
    write_tar(tmp_path / "in" / "s.tar", ["0.txt", "a.jpg"])
    tree = ImageTree(tmp_path / "out", images, "png")
    with pytest.raises(ValueError, match=r"s\.tar: changed since the job began"):
        tree.write(images[0], b"x")
    tree.abandon_group()


def test_the_same_images_give_the_same_bytes(tmp_path):
    write_tar(tmp_path / "in" / "s.tar", ["a.jpg", "a.json"])
    for name in ("one", "two"):
        run(tmp_path / name, find_images([tmp_path / "in"]).images)
    assert (tmp_path / "one" / "s.tar").read_bytes() == (tmp_path / "two" / "s.tar").read_bytes()
