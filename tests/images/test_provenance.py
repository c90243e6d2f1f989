"""What files say of their own origin."""

import json
import sys
from types import SimpleNamespace

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from images import provenance
from images.inputs import ImageInput
from images.io import decode_photo
from images.provenance import CREDENTIALS, Provenance, input_provenance, read_provenance
from tests.images.files import chunk, drawn, saved, with_chunks

XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r"><rdf:Description
Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/%s"/></rdf:RDF></x:xmpmeta>"""
GENERATED = XMP % b"trainedAlgorithmicMedia"


def read(content):
    return read_provenance(content, decode_photo(content).metadata)


def with_text(**texts):
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    return saved(drawn(), "PNG", pnginfo=info)


def store(digital_source_type=b"trainedAlgorithmicMedia"):
    """The beginning of a manifest store, unsigned."""
    return CREDENTIALS + b"\x03c2pa\0" + b"digitalsourcetype/" + digital_source_type + b"\xa0"


def test_a_file_that_says_nothing_has_empty_entries():
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"):
        assert read(saved(drawn(), kind)) == Provenance()
    assert not Provenance().says_generated
    assert str(Provenance()) == ""
    assert str(Provenance("valid", software="x")) == "C2PA: valid; software: x"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_the_source_type_of_iptc(kind):
    options = {"xmp": GENERATED}
    if kind == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", GENERATED.decode())
        options = {"pnginfo": info}
    if kind == "TIFF":
        options = {"tiffinfo": {700: GENERATED}}
    found = read(saved(drawn(), kind, **options))
    assert found == Provenance(digital_source_type="trainedAlgorithmicMedia")
    assert found.says_generated
    camera = read(saved(drawn(), "JPEG", xmp=XMP % b"digitalCapture"))
    assert camera.digital_source_type == "digitalCapture"
    assert not camera.says_generated


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"parameters": "a dog\nSteps: 20"}, "Stable Diffusion WebUI: a dog Steps: 20"),
        ({"prompt": "{}", "workflow": '{"nodes": []}'}, 'ComfyUI: {"nodes": []}'),
        ({"invokeai_metadata": "{}"}, "InvokeAI: {}"),
        ({"Software": "NovelAI", "Description": "a dog"}, "NovelAI: a dog"),
        ({"Description": "a dog --v 5.2 Job ID: 1-2"}, "Midjourney: a dog --v 5.2 Job ID: 1-2"),
        ({"Description": "my dog"}, ""),
    ],
)
def test_parameters_of_generators(texts, expected):
    found = read(with_text(**texts))
    assert found.parameters == expected
    assert found.says_generated == bool(expected)


def test_parameters_in_a_jpegs_comment():
    exif = Image.Exif()
    text = "a dog\nSteps: 20, Sampler: Euler a, Model: x"
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    exif[0x0131] = "a program 1.0"
    found = read(saved(drawn(), "JPEG", exif=exif))
    assert found.parameters == f"Stable Diffusion WebUI: {' '.join(text.split())}"
    assert found.software == "a program 1.0"


def test_texts_are_one_short_line_and_no_formula():
    exif = Image.Exif()
    exif[0x0131] = "=HYPERLINK(1)\n\x1b[31m" + "x" * 5000
    found = read(saved(drawn(), "JPEG", exif=exif)).software
    assert found.startswith("HYPERLINK(1) \N{REPLACEMENT CHARACTER}[31mxxx")
    assert len(found) <= 200


def test_credentials_without_their_library(monkeypatch):
    monkeypatch.setattr(provenance, "find_spec", lambda name: None)
    content = with_chunks(saved(drawn(), "PNG"), chunk(b"caBX", store()))
    assert read(content) == Provenance("present, not checked", "trainedAlgorithmicMedia")
    remote = saved(drawn(), "JPEG", xmp=b'<x dcterms:provenance="https://example.org/m.c2pa"/>')
    assert read(remote) == Provenance("remote, not fetched")


class Library:
    """Stands for c2pa-python: the states that it reports, and what it was asked."""

    class C2paError(Exception):
        pass

    def __init__(self, state, manifest):
        self.state, self.manifest, self.contexts = state, manifest, []
        self.Settings = SimpleNamespace(from_dict=lambda settings: settings)
        self.Context = self.contexts.append

    def Reader(self, kind, stream, context=None):
        if self.state is None:
            raise self.C2paError
        library = self

        class Opened:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def json(self):
                return json.dumps({"active_manifest": "a", "manifests": {"a": library.manifest}})

            def get_validation_state(self):
                return library.state

        return Opened()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("Valid", "valid, signed by Someone"),
        ("Trusted", "trusted, signed by Someone"),
        ("Invalid", "invalid, signed by Someone"),
        (None, "invalid"),
    ],
)
def test_credentials_with_their_library(state, expected, monkeypatch):
    edited = {"digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/humanEdits"}
    manifest = {"signature_info": {"issuer": "Someone"}, "assertions": [edited]}
    library = Library(state, manifest)
    monkeypatch.setitem(sys.modules, "c2pa", library)
    monkeypatch.setattr(provenance, "find_spec", lambda name: name)
    provenance._offline_context.cache_clear()
    content = with_chunks(saved(drawn(), "PNG"), chunk(b"caBX", store()))
    found = read(content)
    provenance._offline_context.cache_clear()
    assert found.c2pa == expected
    assert found.digital_source_type == (
        "trainedAlgorithmicMedia" if state is None else "humanEdits"
    )
    assert library.contexts == [{"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}]


def test_an_unsigned_store_is_invalid_to_the_library():
    pytest.importorskip("c2pa", reason="c2pa-python is optional")
    content = with_chunks(saved(drawn(), "PNG"), chunk(b"caBX", store()))
    assert read(content).c2pa == "invalid"


def test_an_input_is_read_within_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "find_spec", lambda name: None)
    file = tmp_path / "a.png"
    file.write_bytes(with_chunks(saved(drawn(), "PNG"), chunk(b"caBX", store())))
    source = ImageInput.from_file(file)
    assert input_provenance(source, source.open()).c2pa == "present, not checked"
    monkeypatch.setattr(provenance, "MAX_CHECKED_BYTES", 100)
    assert input_provenance(source, source.open()) == Provenance()
