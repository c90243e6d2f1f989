"""Samples of archives: an image and what is named after it, with dots in names, in any order."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from images.archives import Member
from images.samples import group_samples, sample_key, skip_reason, stream_samples


def members(*names):
    return [Member(name, name.encode()) for name in names]


def told(samples):
    return [
        (
            sample.key,
            [image.name for image in sample.images],
            [other.name for other in sample.others],
        )
        for sample in samples
    ]


def test_a_key_is_the_name_without_its_ending():
    keys = {
        "a.jpg": "a",
        "v1.0/b.png": "v1.0/b",
        "holiday.2020.05.JPG": "holiday.2020.05",
        "Shot 12.30.png": "Shot 12.30",
        "none": "none",
    }
    assert {name: sample_key(name) for name in keys} == keys


ROWS = members(
    *(
        "README",
        "1.jpg",
        "1.json",
        "1.seg.npy",
        "2.json",
        "2.jpg",
        "h.2020.05.jpg",
        "h.2020.05.txt",
        "h.2020.06.json",
        "h.2020.06.jpg",
    ),
    *(
        "v1.0/x.json",
        "v1.0/x.png",
        "twice.jpg",
        "twice.png",
        "3.psd",
        "3.json",
        "4.psd",
        "4.jpg",
        "4.json",
    ),
)
EXPECTED = [
    ("1", ["1.jpg"], ["1.json", "1.seg.npy"]),
    ("2", ["2.jpg"], ["2.json"]),
    ("h.2020.05", ["h.2020.05.jpg"], ["h.2020.05.txt"]),
    ("h.2020.06", ["h.2020.06.jpg"], ["h.2020.06.json"]),
    ("v1.0/x", ["v1.0/x.png"], ["v1.0/x.json"]),
    ("twice", ["twice.jpg", "twice.png"], []),
    ("3", ["3.psd"], ["3.json"]),
    ("4", ["4.jpg"], ["4.json"]),
    ("4", ["4.psd"], []),
]


def test_an_index_and_a_stream_have_the_same_samples():
    samples, loose = group_samples(ROWS)
    assert told(samples) == EXPECTED
    assert [member.name for member in loose] == ["README"]
    assert told(stream_samples(iter(ROWS))) == EXPECTED


def test_an_index_finds_what_belongs_together_wherever_it_lies():
    samples, loose = group_samples(
        members("a.json", "b.jpg", "notes.txt", "a.jpg", "b.json", "a.b.txt", "c.txt")
    )
    assert told(samples) == [("b", ["b.jpg"], ["b.json"]), ("a", ["a.jpg"], ["a.json", "a.b.txt"])]
    assert [member.name for member in loose] == ["notes.txt", "c.txt"]


def test_a_record_that_lost_its_image_is_a_sample_of_a_stream():
    samples = stream_samples(members("notes.md", "1.json", "2.json", "2.jpg", "3.json"))
    assert told(samples) == [
        ("1", [], ["1.json"]),
        ("2", ["2.jpg"], ["2.json"]),
        ("3", [], ["3.json"]),
    ]


def test_a_stream_holds_one_sample_at_a_time():
    taken = []

    def endless():
        for number in range(10_000):
            for name in (f"common.{number}.json", f"common.{number}.jpg"):
                taken.append(name)
                yield Member(name, b"")

    next(samples := stream_samples(endless()))
    assert len(taken) <= 4
    assert sum(1 for _ in samples) == 9_999


def test_skipped_members_are_in_no_sample():
    link = Member("1.png", b"", skip="a link")
    assert told(stream_samples([link, *members("1.jpg")])) == [("1", ["1.jpg"], [])]
    assert told(group_samples([link, *members("1.jpg")])[0]) == [("1", ["1.jpg"], [])]


PARTS = st.lists(st.sampled_from(["a", "b", "a.b", "v1.0/a"]), min_size=1, max_size=8)


@given(
    PARTS,
    st.lists(st.sampled_from([".jpg", ".json", ".txt", ".psd", ".png"]), min_size=8, max_size=8),
)
def test_every_image_is_in_exactly_one_sample(stems, endings):
    names = list(dict.fromkeys(stem + ending for stem, ending in zip(stems, endings, strict=False)))
    images = sorted(name for name in names if name.endswith(("jpg", "psd", "png")))
    for samples in (group_samples(members(*names))[0], list(stream_samples(members(*names)))):
        assert sorted(image.name for sample in samples for image in sample.images) == images
        others = [other.name for sample in samples for other in sample.others]
        assert len(others) == len(set(others))


def test_data_too_large_to_copy_are_named():
    whole = Member("a.npy", b"")
    assert skip_reason(whole) == ""
    assert skip_reason(replace(whole, fault="too large")) == "too large"
    assert skip_reason(Member("a.jpg", b"", fault="too large")) == "", "it fails by name"
