"""The shipped index belongs to the shipped network."""

from tests.conftest import SHIPPED
from tiny.index import index_quality


def test_entries_of_the_shipped_index_are_found_by_their_own_pictures():
    found = index_quality(str(SHIPPED / "index"), pictures=40)
    assert found["entries"].value == 2000
    assert found["found by itself"].value == 1.0
    assert found["found by itself"].units == "40 images"
    assert found["found by jpeg 50"].value > 0.8
