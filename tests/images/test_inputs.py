"""Inputs of jobs: every entry of a folder, list or tar file is an image, failed or skipped."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from images.inputs import ImageInput, find_images
from images.overlap import refuse_overlap


def encoded(kind="PNG", value=100):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (value, 50, 60)).save(buffer, kind)
    return buffer.getvalue()


def write_tar(path, names, links=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for index, name in enumerate(names):
            content = (
                encoded("JPEG", index)
                if name.lower().endswith(("jpg", "png"))
                else name.encode("utf-8", "surrogateescape")
            )
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target, kind in links:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = target
            archive.addfile(member)
    return path


def names(found):
    return [image.name for image in found.images]


def test_everything_in_a_folder_is_found_failed_or_skipped_by_name(tmp_path):
    root = tmp_path / "album"
    (root / "deep").mkdir(parents=True)
    for name in (
        "b.PNG",
        "a.jpg",
        "deep/c.webp",
        ".hidden.png",
        ".DS_Store",
        "notes.txt",
        "old.tar.gz",
        "phone.HEIC",
    ):
        (root / name).write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.png").write_bytes(b"x")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "e.png").symlink_to(tmp_path / "elsewhere" / "d.png")
    (root / "lost.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(root / "pipe.png")
    write_tar(root / "foreign.tar", ["n.txt"])
    (root / "broken.tar").write_bytes(b"no tar at all")
    found = find_images([root])
    assert names(found) == ["a.jpg", "b.PNG", "deep/c.webp", "e.png", "phone.HEIC"]
    assert set(found.failed) == {"lost.png", "foreign.tar", "broken.tar"}
    assert "a link to nothing" in found.failed["lost.png"]
    assert "no images in this archive" in found.failed["foreign.tar"]
    assert "not an uncompressed tar file" in found.failed["broken.tar"]
    assert found.skipped == {
        ".DS_Store": "a hidden file",
        ".hidden.png": "a hidden file",
        "linked": "a link to a folder; name that folder among the inputs",
        "notes.txt": "not an image by its name",
        "old.tar.gz": "a compressed archive or table; "
        "make shards of it with python -m datamodules shard",
        "pipe.png": "not a file, but a pipe, socket or device",
    }
    with pytest.raises(ValueError, match="not an uncompressed tar"):
        found.complete()


def test_everything_in_a_tar_is_found_failed_or_skipped_by_name(tmp_path):
    inside = [
        "000.jpg",
        "000.json",
        "holiday.2020.05.jpg",
        "v1.0/001.jpg",
        "x.psd",
        "twice.jpg",
        "twice.png",
        "._a.jpg",
        "README",
        *("000.ppm", "000.jpg.bak", "b.tga"),
        *("c.cls", "000.mask.NPY", "v1.0/notes.txt"),
    ]
    links = [
        ("link.jpg", "000.jpg", tarfile.SYMTYPE),
        ("hard.jpg", "000.jpg", tarfile.LNKTYPE),
        ("null", "", tarfile.CHRTYPE),
    ]
    write_tar(tmp_path / "in" / "s.tar", inside, links)
    found = find_images([tmp_path / "in"])
    assert names(found) == [
        f"s.tar/{name}" for name in ("000.jpg", "holiday.2020.05.jpg", "v1.0/001.jpg", "x.psd")
    ]
    assert {image.group for image in found.images} == {"s.tar"}
    assert set(found.failed) == {"s.tar/twice.jpg", "s.tar/twice.png"}
    assert "sample twice has 2 images" in found.failed["s.tar/twice.jpg"]
    assert found.skipped == {
        "s.tar/._a.jpg": "a hidden file",
        "s.tar/link.jpg": "a link to 000.jpg",
        "s.tar/hard.jpg": "a link to 000.jpg",
        "s.tar/null": "neither a file nor a folder, but a special entry",
        **dict.fromkeys(
            [f"s.tar/{name}" for name in ("README", "000.ppm", "000.jpg.bak", "b.tga")],
            "not an image by its name",
        ),
    }
    passed_on = ["000.json", "c.cls", "000.mask.NPY", "v1.0/notes.txt"]
    told = {image.name for image in found.images} | set(found.failed) | set(found.skipped)
    assert {f"s.tar/{name}" for name in passed_on}.isdisjoint(told)
    assert len(told) + len(passed_on) == len(inside) + len(links)
    first = found.images[0]
    assert first.read() == encoded("JPEG", 0)
    assert (first.size, first.mtime_ns) == (len(encoded("JPEG", 0)), first.path.stat().st_mtime_ns)
    assert first.open().rgb.shape == (6, 8, 3)
    with pytest.raises(ValueError, match=r"s\.tar, x\.psd: \.psd files are not supported"):
        found.images[-1].open()


def test_a_tar_that_is_named_itself_must_be_whole_and_have_images(tmp_path):
    with pytest.raises(ValueError, match=r"n\.tar: no images in this archive"):
        find_images([write_tar(tmp_path / "n.tar", ["n.txt"])])
    (tmp_path / "cut.tar").write_bytes(
        write_tar(tmp_path / "s.tar", ["a.jpg", "b.jpg"]).read_bytes()[:1700]
    )
    with pytest.raises(ValueError, match=r"cut\.tar: damaged after 1 entries"):
        find_images([tmp_path / "cut.tar"])


def test_hidden_folders_are_skipped_by_name_in_folders_and_archives(tmp_path):
    root = tmp_path / "album"
    for name in ("a.png", "deep/.thumbnails/a.png", ".Trash-0/x/b.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded())
    found = find_images([root])
    assert names(found) == ["a.png"]
    assert found.skipped == dict.fromkeys([".Trash-0", "deep/.thumbnails"], "a hidden folder")
    found = find_images([write_tar(tmp_path / "s.tar", ["./a.jpg", "deep/.thumbnails/a.jpg"])])
    assert names(found) == ["s.tar/./a.jpg"]
    assert found.skipped == {"s.tar/deep/.thumbnails/a.jpg": "a hidden file"}


AWKWARD = [b"caf\xe9.png", "line\u2028end\u0085.png".encode(), b'a, "b".png']


def test_names_are_bytes_in_folders_lists_and_tars(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    awkward = [os.fsdecode(name) for name in AWKWARD]
    for name in awkward:
        (root / name).write_bytes(encoded())
    assert sorted(names(find_images([root]))) == sorted(awkward)
    (tmp_path / "list.txt").write_bytes(
        b"\xef\xbb\xbf# mine\r\n" + b"\r\n".join(b"in/" + name for name in AWKWARD) + b"\r\n"
    )
    assert names(find_images([tmp_path / "list.txt"])) == awkward
    (tmp_path / "list.json").write_text(
        json.dumps([{"image_file": f"in/{name}"} for name in awkward])
    )
    assert names(find_images([tmp_path / "list.json"])) == awkward
    write_tar(tmp_path / "s.tar", awkward)
    assert names(find_images([tmp_path / "s.tar"])) == [f"s.tar/{name}" for name in awkward]


def test_names_never_lead_out_of_the_tree(tmp_path, monkeypatch):
    for name in ("a/x.png", "b/y.png", "deep/list"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded())
    (tmp_path / "deep" / "list.txt").write_text("../a/x.png\n../deep/../b/y.png\n")
    assert names(find_images([tmp_path / "deep" / "list.txt"])) == ["a/x.png", "b/y.png"]
    monkeypatch.chdir(tmp_path / "deep")
    found = names(find_images([Path(".."), Path("../a")]))
    assert [name for name in found if ".." in name] == []


def test_inputs_that_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("# nothing\n")
    (tmp_path / "gone.txt").write_text("gone.png\n")
    (tmp_path / "bad.json").write_text('[{"file": 1}]')
    (tmp_path / "music.mp3").touch()
    (tmp_path / "x.tar.gz").touch()
    for name, kind, words in (
        ("nowhere", FileNotFoundError, "no such file or folder"),
        ("empty", FileNotFoundError, "no images in this folder; looked for"),
        ("list.txt", FileNotFoundError, "the list is empty"),
        ("gone.txt", FileNotFoundError, r"gone\.png does not exist"),
        ("bad.json", ValueError, "objects with image_file"),
        ("music.mp3", ValueError, "not an image by its name"),
        ("x.tar.gz", ValueError, "a compressed archive"),
    ):
        with pytest.raises(kind, match=words):
            find_images([tmp_path / name])


def test_one_place_in_the_tree_for_each_image(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded())
    with pytest.raises(ValueError, match=r"a\.png is given twice"):
        find_images([tmp_path / "a.png", tmp_path / "a.png"])


class TestGuard:
    """Results are kept apart from what they are made of, whichever way the folders lie."""

    @pytest.fixture
    def album(self, tmp_path):
        folder = tmp_path / "album"
        folder.mkdir()
        for name in ("p0.png", "p1.png"):
            (folder / name).write_bytes(encoded())
        (folder / "list.txt").write_text("p0.png\np1.png\n")
        return folder

    def refused(self, output, inputs, targets=()):
        with pytest.raises(ValueError, match="the") as caught:
            refuse_overlap(output, inputs, find_images(inputs).images, targets)
        return str(caught.value)

    def test_the_output_is_an_input_or_lies_in_one(self, album):
        assert "is the input" in self.refused(album, [album])
        assert "lies inside the input" in self.refused(album / "out", [album])

    def test_an_input_lies_in_the_output(self, album, tmp_path):
        assert f"the input {album / 'p0.png'} lies inside" in self.refused(
            album, [album / "p0.png", album / "p1.png"]
        )
        assert "lies inside the output folder" in self.refused(album, [album / "list.txt"])
        assert "lies inside the output folder" in self.refused(tmp_path, [album])
        (tmp_path / "link").symlink_to(album)
        assert "lies inside the output folder" in self.refused(
            tmp_path / "link", [album / "p0.png"]
        )

    def test_a_link_to_the_output_folder(self, album, tmp_path):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "x.png").symlink_to(album / "p0.png")
        assert "lies inside the output folder" in self.refused(album, [tmp_path / "in"])

    def test_a_target_is_another_link_to_an_input(self, album, tmp_path):
        out = tmp_path / "out"
        out.mkdir()
        os.link(album / "p0.png", out / "hard.png")
        (out / "soft.png").symlink_to(album / "p1.png")
        refuse_overlap(out, [album], find_images([album]).images, [out / "new.png"])
        assert "would overwrite the input" in self.refused(out, [album], [out / "hard.png"])
        assert f"would overwrite the input {album / 'p1.png'}" in self.refused(
            out, [album], [out / "soft.png"]
        )

    def test_a_folder_beside_the_inputs_is_fine(self, album, tmp_path):
        refuse_overlap(
            tmp_path / "out", [album], find_images([album]).images, [tmp_path / "out" / "p0.png"]
        )
        refuse_overlap(tmp_path / "album2", [album], find_images([album]).images)


def test_a_single_file_of_ones_own(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded())
    image = ImageInput.from_file(tmp_path / "a.png", "place/a.png")
    assert (image.name, image.group, image.size) == ("place/a.png", "", len(encoded()))
    assert image.read() == encoded()
    assert len(image.digest()) == 64


def test_looking_for_inputs_needs_no_torch():
    code = (
        "import sys, images.inputs, images.outputs; sys.exit('torch' in sys.modules or 'PIL' in "
        "sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be"])
def test_a_list_in_utf_16_is_refused_by_name(tmp_path, coding):
    mark = "" if coding == "utf-16" else "\ufeff"
    (tmp_path / "list.txt").write_bytes(f"{mark}a.png\n".encode(coding))
    with pytest.raises(ValueError, match=r"list\.txt: text in UTF-16; save it as UTF-8"):
        find_images([tmp_path / "list.txt"])


def test_a_list_with_the_mark_of_utf_8_is_read(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded())
    (tmp_path / "list.txt").write_bytes("\ufeffa.png\r\n".encode())
    assert len(find_images([tmp_path / "list.txt"]).images) == 1
