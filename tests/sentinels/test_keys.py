import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinels.keys import ALPHABET, KeyMaker, edit_distance, fold


def test_keys_are_far_apart_and_of_the_alphabet():
    maker = KeyMaker(length=5, distance=3, seed=1)
    keys = [maker.draw(str(number)) for number in range(150)]
    assert all(
        edit_distance(a.lower(), b.lower()) >= 3 for i, a in enumerate(keys) for b in keys[:i]
    )
    assert {letter for key in keys for letter in key} <= set(ALPHABET)
    assert not set("AEIOULQ") & set(ALPHABET)


def test_a_seed_gives_the_same_keys_in_any_order():
    first, second = KeyMaker(seed=3), KeyMaker(seed=3)
    names = ["a.jpg", "b.jpg", "c.jpg"]
    assert {name: first.draw(name) for name in names} == {
        name: second.draw(name) for name in reversed(names)
    }
    assert KeyMaker().draw("a.jpg") != KeyMaker().draw("a.jpg")


def test_case_does_not_make_a_key_another():
    maker = KeyMaker(distance=1)
    maker.register(["DXrdDh"])
    assert maker.find_near("dxRDdH") == "dxrddh"
    assert maker.find_near("DXRDDJ") is None


@given(
    st.text("bcd", min_size=3, max_size=6),
    st.text("bcd", min_size=3, max_size=6),
    st.integers(1, 3),
)
def test_near_means_the_edit_distance(a, b, distance):
    maker = KeyMaker(length=3, distance=distance)
    maker.register([a])
    assert (maker.find_near(b) is not None) == (edit_distance(a, b) < distance)


def test_no_room_is_said():
    maker = KeyMaker(length=3, distance=3, alphabet="BC", seed=0)
    with pytest.raises(ValueError, match="use longer keys"):
        _ = [maker.draw(str(number)) for number in range(10)]


@pytest.mark.parametrize(
    "wrong", [{"length": 2}, {"distance": 0}, {"alphabet": "AaB"}, {"alphabet": "A1"}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="letters"):
        KeyMaker(**wrong)


def test_fold():
    assert fold("jIK  A-Jp") == "jikajp"
    assert edit_distance("kitten", "sitting") == 3
