"""InsightFace backend, with a stand-in for the library, or the real one if installed."""

import sys
import types

import numpy as np
import pytest
import torch

from models.faces.backends import face_files, load_faces


@pytest.fixture
def pack(tmp_path):
    (tmp_path / "det.onnx").write_bytes(b"detector")
    (tmp_path / "rec.onnx").write_bytes(b"recogniser")
    return tmp_path


@pytest.fixture
def library(monkeypatch):
    """Finds a face of 40 pixels and one of 100 in pictures that are bright, none in dark ones."""

    class FaceAnalysis:
        def __init__(self, name, allowed_modules):
            self.name = name
            self.modules = allowed_modules

        def prepare(self, ctx_id, det_thresh, det_size):
            self.threshold = det_thresh

        def get(self, bgr):
            assert bgr.dtype == np.uint8
            assert min(bgr.shape[:2]) >= 320
            if bgr.mean() < 100:
                return []
            far = types.SimpleNamespace(
                bbox=np.array([0.0, 0, 40, 40]), det_score=0.9, embedding=np.array([9.0, 0])
            )
            near = types.SimpleNamespace(
                bbox=np.array([32.0, 64, 132, 164]), det_score=0.8, embedding=np.array([3.0, 4])
            )
            return [far, near]

    made = types.ModuleType("insightface.app")
    made.FaceAnalysis = FaceAnalysis
    monkeypatch.setitem(sys.modules, "insightface", types.ModuleType("insightface"))
    monkeypatch.setitem(sys.modules, "insightface.app", made)


def test_the_largest_face_counts(pack, library):
    seen = load_faces(f"insightface:{pack}")(
        torch.stack([torch.ones(3, 64, 128), torch.zeros(3, 64, 128)])
    )
    assert seen.detected.tolist() == [True, False]
    assert seen.boxes[0].tolist() == pytest.approx([82 / 640, 114 / 320, 100 / 640, 100 / 320])
    assert seen.embeddings.tolist() == [pytest.approx([0.6, 0.8]), [0, 0]]
    assert {role: file.name for role, file in face_files(f"insightface:{pack}").items()} == {
        "det": "det.onnx",
        "rec": "rec.onnx",
    }


def test_missing_models_are_not_downloaded_unasked(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"get them once with: insightface-cli model\.download buffalo_l"
    ):
        load_faces("insightface")


def test_a_missing_library_is_told(pack, monkeypatch):
    monkeypatch.setitem(sys.modules, "insightface", None)
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    with pytest.raises(
        ValueError, match=r"needs the library: pip install -r requirements-insightface\.txt"
    ):
        load_faces(f"insightface:{pack}")


def test_damaged_models_are_told(pack):
    pytest.importorskip("insightface")
    with pytest.raises(ValueError, match="InsightFace cannot read these models"):
        load_faces(f"insightface:{pack}")
