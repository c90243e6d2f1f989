"""OCR of the optional library rapidocr, and the choice among readers."""

import numpy as np
import pytest

from models import ocr as module
from models.ocr import OCR, identify_ocr
from sentinels import reader as readers
from sentinels.plate import set_key
from sentinels.reader import KeyReader, load_reader, reader_name, reads_as
from sentinels.reader_names import TOY_READER

pytest.importorskip("rapidocr", reason="rapidocr is optional")
pytest.importorskip("onnxruntime", reason="onnxruntime is optional")

PLAIN = np.full((224, 320, 3), (90, 120, 150), np.uint8)


@pytest.fixture(scope="module")
def plate():
    return set_key(PLAIN, "BCDFGH", np.random.default_rng(1))


def test_a_key_is_read_where_it_is(plate, monkeypatch):
    """No connection is opened: the networks come with the library."""

    def refuse(*_):
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr("socket.socket.connect", refuse)
    (line,) = OCR().lines(plate.rgb)
    assert reads_as(line.text, "BCDFGH")
    assert 0.5 <= line.score <= 1
    assert np.linalg.norm(line.corners.mean(axis=0) - plate.centers.mean(axis=0)) < 10
    assert OCR().lines(PLAIN) == []


def test_ocr_is_the_default_where_it_is_installed(plate, monkeypatch):
    assert reader_name() == "ocr"
    assert reader_name("some/folder") == "some/folder"
    (reading, nothing) = KeyReader.from_pretrained().read([plate.rgb, PLAIN])
    assert reading.has("bcdfgh")
    assert nothing.text == ""
    assert set(readers.identify_reader("auto")["sha256"]) == {module.DETECTOR, module.RECOGNIZER}
    monkeypatch.setattr(readers, "has_ocr", lambda: False)
    assert reader_name() == TOY_READER


def test_a_missing_library_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(module, "has_ocr", lambda: False)
    for call in (OCR, identify_ocr, lambda: load_reader("ocr")):
        with pytest.raises(FileNotFoundError, match=r"requirements-ocr\.txt"):
            call()
    with pytest.raises(ValueError, match="needs a service"):
        load_reader("service")
