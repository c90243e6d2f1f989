"""Metadata is kept in PNG and JPEG, or named as dropped; thumbnails are left out."""

import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from images.io import decode_photo, encode_photo, unsaved_metadata, without_metadata
from images.marks import Mark
from images.metadata import Metadata, read_marks
from images.photo import Photo
from tests.images.files import chunk, drawn, saved, with_chunks

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:dc="d">'
    b"<dc:rights>(c) Example</dc:rights></rdf:RDF></x:xmpmeta>"
)
IPTC = b"\x1c\x02\x74\x00\x0b(c) Example"


def notes(orientation=6):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Acme"
    exif[ExifTags.Base.Copyright] = "(c) Example"
    if orientation:
        exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "Lens"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


def reopened(content):
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("output", ["png", "jpeg"])
def test_exif_of_every_container_is_kept_and_the_image_upright(kind, output):
    photo = decode_photo(
        saved(
            drawn(), kind, exif=notes().tobytes(), **({"lossless": True} if kind == "WEBP" else {})
        )
    )
    assert photo.notes == ()
    assert photo.rgb.shape == (90, 70, 3)
    if kind != "JPEG":
        assert np.array_equal(photo.rgb, np.rot90(np.asarray(drawn()), -1))
    exif = reopened(encode_photo(photo, output)).getexif()
    assert ExifTags.Base.Orientation not in exif
    assert (exif[ExifTags.Base.Make], exif[ExifTags.Base.Copyright]) == ("Acme", "(c) Example")
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] == "Lens"
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "LA"])
def test_every_orientation(orientation, kind, mode):
    image = drawn()
    if mode == "LA":
        image = image.convert("LA")
        image.putalpha(drawn(seed=1).convert("L"))
    # Pillow's numbers of transpositions
    turned = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[orientation]
    photo = decode_photo(
        saved(
            image,
            kind,
            exif=notes(orientation),
            **({"lossless": True, "exact": True} if kind == "WEBP" else {}),
        )
    )
    assert np.array_equal(photo.rgb, np.asarray(image.convert("RGB").transpose(turned)))
    assert photo.alpha is None or np.array_equal(
        photo.alpha, np.asarray(image.getchannel("A").transpose(turned))
    )
    assert photo.rgb.flags.c_contiguous


def test_exif_with_the_plain_orientation_is_kept_to_the_byte():
    exif = notes(orientation=1).tobytes()
    assert decode_photo(saved(drawn(), "JPEG", exif=exif)).metadata.exif == exif


def test_an_orientation_in_xmp_is_applied_and_reset():
    photo = decode_photo(
        saved(drawn(), "JPEG", xmp=XMP.replace(b"<rdf:RDF", b'<rdf:RDF tiff:Orientation="6"'))
    )
    assert photo.rgb.shape == (90, 70, 3)
    assert b"Orientation" not in photo.metadata.xmp
    assert decode_photo(encode_photo(photo)).rgb.shape == (90, 70, 3)


@pytest.mark.parametrize("output", ["png", "jpeg"])
def test_xmp_iptc_resolution_and_texts_are_kept(output):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700] = XMP
    tags[33723] = IPTC
    tags[0x8298] = "(c) Example"
    block = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(IPTC)) + IPTC
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 16) + b"Photoshop 3.0\0" + block
    info = PngImagePlugin.PngInfo()
    info.add_text("Copyright", "(c) Example")
    info.add_itxt("Title", "naïve 画")
    files = {
        "TIFF": saved(drawn(), "TIFF", tiffinfo=tags, dpi=(300, 300)),
        "JPEG": saved(
            drawn(), "JPEG", xmp=XMP, extra=segment, dpi=(300, 300), comment=b"(c) Example"
        ),
        "PNG": saved(drawn(), "PNG", pnginfo=info, dpi=(300, 300)),
        "WEBP": saved(drawn(), "WEBP", xmp=XMP),
    }
    for kind, content in files.items():
        photo = decode_photo(content)
        assert photo.notes == (), kind
        assert unsaved_metadata(photo, output) == ()
        metadata = photo.metadata
        assert metadata.xmp == (XMP if kind != "PNG" else None), kind
        assert metadata.iptc == (IPTC if kind in ("TIFF", "JPEG") else None), kind
        assert metadata.dpi == (None if kind == "WEBP" else pytest.approx((300, 300), abs=0.01)), (
            kind
        )
        content = encode_photo(photo, output)
        kept = decode_photo(content).metadata
        assert (kept.xmp, kept.iptc) == (metadata.xmp, metadata.iptc), kind
        assert kept.dpi == (metadata.dpi and pytest.approx(metadata.dpi, abs=0.5)), kind
        if kind == "PNG":
            assert metadata.texts == {"Copyright": "(c) Example", "Title": "naïve 画"}
            if output == "png":
                assert kept.texts == metadata.texts
            else:
                assert reopened(content).getexif()[ExifTags.Base.Copyright] == "(c) Example"
                assert kept.texts == {"Comment": "Copyright: (c) Example\nTitle: naïve 画"}
        if kind == "JPEG":
            assert kept.texts == {"Comment": "(c) Example"}


def test_what_a_jpeg_has_no_room_for_is_named():
    metadata = Metadata(
        b"Exif\0\0" + bytes(70_000),
        XMP * 1000,
        IPTC * 9000,
        None,
        {"Story": "word " * 20_000, "Title": "Short"},
    )
    photo = Photo(np.asarray(drawn()), metadata=metadata)
    assert unsaved_metadata(photo, "png") == ()
    assert unsaved_metadata(photo, "jpeg") == tuple(
        f"its {name} is too long for a JPEG and was dropped"
        for name in ("EXIF", "XMP", "IPTC", "text Story")
    )
    kept = decode_photo(encode_photo(photo, "jpeg")).metadata
    assert kept == Metadata(texts={"Comment": "Title: Short"})


JPEG = saved(drawn(20, 20), "JPEG")


def test_small_copies_of_the_image_are_left_out():
    exif = notes()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"Acme\0" + JPEG
    thumbnail = b"8BIM" + struct.pack(">HHI", 0x040C, 0, len(JPEG)) + JPEG
    segment = b"\xff\xed" + struct.pack(">H", len(thumbnail) + 16) + b"Photoshop 3.0\0" + thumbnail
    xmp = XMP.replace(b"(c)", b"<xmpGImg:image>/9j/4AAQSkZJRg==</xmpGImg:image>")
    photo = decode_photo(saved(drawn(), "JPEG", exif=exif, xmp=xmp, extra=segment))
    assert photo.notes == (
        "its EXIF's MakerNote holds an image and was dropped",
        "its XMP holds an image and was dropped",
    )
    for output in ("png", "jpeg"):
        content = encode_photo(photo, output)
        assert JPEG not in content
        assert b"/9j/" not in content
        assert reopened(content).getexif()[ExifTags.Base.Make] == "Acme"


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0\xff\xff\xff\xff\0\0\0\x08",
        b"Exif\0\0II*\0\xff\0\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x01\x02" * 40,
        b"Exif\0\0I",
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_exif_is_dropped_and_the_image_is_good(exif, kind, recwarn):
    photo = decode_photo(saved(drawn(), kind, exif=exif))
    assert np.array_equal(photo.rgb, decode_photo(saved(drawn(), kind)).rgb)
    assert any("EXIF" in note for note in photo.notes)
    assert decode_photo(encode_photo(photo)).notes == ()
    assert not recwarn.list


def test_tags_of_a_tiff_that_are_kept_nowhere_are_named():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[33550], tags.tagtype[33550] = (1.0, 1.0, 0.0), 12  # a scale on the ground
    assert decode_photo(saved(drawn(), "TIFF", tiffinfo=tags)).notes == (
        "its TIFF tags 33550 were dropped",
    )


def test_content_credentials_and_extended_xmp_are_named_as_dropped():
    extended = b"http://ns.adobe.com/xmp/extension/\0" + bytes(40)
    segments = (
        b"\xff\xe1" + struct.pack(">H", len(extended) + 2) + extended + b"\xff\xeb\0\x0aJP..c2pa"
    )
    told = decode_photo(saved(drawn(), "JPEG", extra=segments)).notes
    assert ["extended XMP" in told[0], "C2PA" in told[1], len(told)] == [True, True, 2]
    assert (
        "C2PA"
        in decode_photo(with_chunks(saved(drawn(), "PNG"), chunk(b"caBX", b"signed"))).notes[0]
    )


MARKS = (Mark("protect", "ab" * 32, "cd" * 32, 6.0), Mark("activate", "12" * 32, "34" * 32))


@pytest.mark.parametrize("output", ["png", "jpeg"])
def test_marks_are_saved_with_the_image_and_read_back(output, tmp_path):
    photo = decode_photo(saved(drawn(), "PNG", exif=notes()))
    for mark in MARKS:
        photo = photo.marked(mark)
    content = encode_photo(photo, output)
    (tmp_path / "a").write_bytes(content)
    assert (
        decode_photo(content).metadata.marks
        == read_marks(content)
        == read_marks(tmp_path / "a")
        == MARKS
    )
    assert decode_photo(content).metadata.texts == {}
    assert without_metadata(photo).metadata == Metadata(marks=MARKS)
    again = encode_photo(decode_photo(content).marked(MARKS[0]), "png")
    assert read_marks(again) == (*MARKS, MARKS[0])


def test_a_mark_is_plain_json_in_an_international_text():
    content = encode_photo(Photo(np.asarray(drawn())).marked(MARKS[1]))
    text = f'[{{"job":"activate","weights":"{"12" * 32}","original":"{"34" * 32}","levels":null}}]'
    assert b"iTXtimage-defence\0\0\0\0\0" + text.encode() in content
    assert reopened(content).text == {"image-defence": text}


@pytest.mark.parametrize(
    "text", ["{}", "[1]", '[{"job": 1}]', "[" * 70_000, "[" * 5000, "nonsense"]
)
def test_another_text_of_that_name_is_no_mark(text):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("image-defence", text)
    for content in (
        saved(drawn(), "PNG", pnginfo=info),
        saved(drawn(), "JPEG", comment=f"image-defence {text}"[:60_000].encode()),
    ):
        photo = decode_photo(content)
        assert photo.metadata.marks == ()
        assert photo.notes == ("its record of earlier protection is damaged and was dropped",)
        assert read_marks(content) == ()
    assert read_marks(b"") == ()


def test_files_without_metadata_are_the_bytes_of_the_image_alone():
    rgb = np.asarray(drawn())
    assert encode_photo(Photo(rgb)) == saved(drawn(), "PNG", compress_level=4)
    assert encode_photo(Photo(rgb), "jpeg", 90) == saved(drawn(), "JPEG", quality=90, subsampling=0)
