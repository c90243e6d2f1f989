"""White box or black box, told by the hashes of weights and the records of training."""

import json

import pytest

from eval.arms import Chain, Clean, Generator, Noise
from eval.studies.access import Access, access, boxes
from rid.lineage import NOTHING, UNKNOWN, Lineage, lineage_of, lineage_of_pairs

FILES = (
    "text_encoder/model.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
)


def model(name, text, unet, vae):
    return {"name": name, "sha256": dict(zip(FILES, (text, unet, vae), strict=True))}


A, B, C = model("a", "t", "ua", "v"), model("b", "t2", "ub", "v"), model("c", "t3", "uc", "vc")


@pytest.mark.parametrize(
    ("attacked", "against", "expected"),
    [
        (A, Lineage([B, A], True), Access("white", ("a",))),
        (A | {"name": "elsewhere/a"}, Lineage([A], False), Access("white", ("a",))),
        (A, Lineage([C], True), Access("black", ("c",))),
        (A, Lineage([B, C], True), Access("black", ("b", "c"), ("vae",))),
        (A, Lineage([B], False), Access("unknown", ("b",))),
        (A, UNKNOWN, Access("unknown")),
        (
            A,
            Lineage([A | {"sha256": {FILES[1]: "other precision"}}], True),
            Access("unknown", ("a",)),
        ),
        (A, Lineage([{"name": "x", "sha256": {}}], True), Access("unknown", ("x",))),
        (A | {"sha256": {}}, Lineage([B], True), Access("unknown", ("b",))),
        (A, NOTHING, Access("-")),
    ],
)
def test_by_hand(attacked, against, expected):
    assert access(attacked, against) == expected


def test_arms_that_use_no_model_have_no_box():
    for arm in (Clean(), Noise(), Chain([Clean(), Noise()])):
        assert access(A, arm.lineage) == Access("-")
    assert Access("-").words("clean", "a") == ""
    white = access(A, Lineage([A], True))
    assert "white box: the attacked model a is one" in white.words("pgd", "a")
    assert "shares its vae" in Access("black", ("b",), ("vae",)).words("rid", "a")


def test_a_chain_was_made_against_the_models_of_all_its_arms():
    rid = Generator("checkpoints/tiny/rid")
    assert rid.lineage == lineage_of("checkpoints/tiny/rid")
    assert Chain([Noise(), rid]).lineage == rid.lineage


def test_studies_without_a_record_are_unknown():
    found = boxes(
        {
            "access": {
                "rid": {"box": "white", "models": ["a"], "shared": []},
                "pgd": {"box": "grey"},
            }
        },
        ["clean", "rid", "pgd"],
    )
    assert [found[arm].box for arm in found] == ["-", "white", "unknown"]
    assert boxes({"access": 7}, ["rid"])["rid"].box == "unknown"


def test_the_shipped_generator_was_made_against_the_shipped_pipelines():
    found = lineage_of("checkpoints/tiny/rid")
    assert [entry["name"] for entry in found.models] == [
        f"checkpoints/tiny/{name}" for name in ("sd-a1", "sd-a2", "sd-b")
    ]
    assert not found.complete, (
        "its record is of a version that did not say what its pairs were made against"
    )


def test_records_of_pairs(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"settings": {"weights": [A]}}))
    assert (
        lineage_of_pairs(tmp_path / "pairs.json")
        == lineage_of_pairs(tmp_path)
        == Lineage([A], True)
    )
    assert lineage_of_pairs(tmp_path / "else" / "pairs.json") == UNKNOWN
