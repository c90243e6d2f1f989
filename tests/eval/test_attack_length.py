"""What a protection costs the attacker, from a matrix with made-up figures."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.attack_length import by_length, difference, steps_to_clean, table
from eval.studies.rows import open_results

SCORES = {
    200: {"clean": 0.6, "rid": 0.2, "pgd": 0.1},
    400: {"clean": 0.7, "rid": 0.5, "pgd": 0.1},
    800: {"clean": 0.8, "rid": 0.58, "pgd": 0.2},
}


@pytest.fixture
def lengths(tmp_path):
    """Three lengths of one attack, one of them again after JPEG, and another attack."""
    cells = [(f"lora_{steps}", "none", steps, 0) for steps in (800, 200, 400)]
    cells += [("lora_200", "jpeg", 200, 0), ("lora_seed_1", "none", 200, 1)]
    rows = []
    for attack, purification, steps, seed in cells:
        for arm, score in SCORES[steps].items():
            for person in range(4):
                score_of_person = score + 0.01 * (-1) ** person * (arm != "clean")
                facts = {"fdfr": 0.0, "real_ism": 0.9, "person": f"{person}", "arm": arm}
                names = {"attack": attack, "purification": purification}
                rows.append(names | facts | {"ism_all": score_of_person})
        settings = {
            "attack": {"class": "LoraTextualInversion", "steps": steps, "seed": seed},
            "purification": None if purification == "none" else {"class": "Jpeg"},
        }
        folder = tmp_path / "cells" / attack / purification
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"settings": settings}))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "results.parquet")
    found = by_length(open_results(tmp_path))
    assert list(found) == ["lora_200"], "other seeds and purified images are another attack"
    return found["lora_200"]


def test_lengths_are_compared_with_clean_photos_after_the_fewest_steps(lengths):
    assert list(lengths) == [200, 400, 800]
    assert difference(lengths, "rid", 400).mean == pytest.approx(-0.1)
    assert difference(lengths, "clean", 800).mean == pytest.approx(0.2)
    assert difference(lengths, "rid", 400).interval.low < -0.1
    assert steps_to_clean(lengths, "rid") == 800
    assert steps_to_clean(lengths, "pgd") is None
    lines = table(lengths)
    assert "| 200 | rid | 0.200 | -0.400 (-0.418 to -0.382) | 0.1250 |" in lines
    assert lines[-2:] == [
        "rid: 800 steps for what 200 steps learn from clean photos",
        "pgd: more than 800 steps for what 200 steps learn from clean photos",
    ]
