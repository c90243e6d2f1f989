"""The shipped IP-Adapter: one photo as a prompt gives the person, and not another."""

from tests.conftest import SHIPPED
from tiny.adapter_quality import adapter_quality


def test_one_photo_gives_the_person():
    folders = [str(SHIPPED / name) for name in ("sd-a1", "ip-adapter", "faces")]
    figures = adapter_quality(*folders, people=6)
    scores = figures["identity_score"]
    assert scores["the person"].value > scores["the next person"].value + 0.1
    assert scores["the person"].value > scores["no photo"].value + 0.1
    assert figures["face_share"].value == 1
