"""Keys of words: a secret grammar, things drawn into images, and nothing to read."""

import asyncio
import json
import math
import random

import numpy as np
import pytest

from engine.cli import run
from eval.attacks.rag import query_prompt
from eval.attacks.rag.judges import quoted
from images.io import open_photo
from sentinels.__main__ import main
from sentinels.client import Client
from sentinels.describe import generation_prompt
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter, ServicePlanter
from sentinels.record import Record
from sentinels.shapes import RGB, SHAPES, draw_things
from sentinels.tells.keys import has_key
from sentinels.verify import verify
from sentinels.word_keys import (
    ASKED,
    COLORS,
    DRAWN,
    Grammar,
    Thing,
    WordKeyMaker,
    is_word_key,
    parse_key,
    word_distance,
)

KEY = "a striped red star at the top left, a plain blue ring at the bottom right"


def test_a_grammar_is_a_secret_part_of_the_words():
    grammar = Grammar.draw(DRAWN, seed=1)
    assert grammar == Grammar.draw(DRAWN, seed=1)
    assert grammar != Grammar.draw(DRAWN, seed=2)
    assert set(grammar.things) < set(DRAWN.things)
    assert set(grammar.colors) < set(DRAWN.colors)
    assert grammar.bits > 25
    assert Grammar.draw(ASKED, seed=1).bits > 28


def test_the_number_of_keys_is_counted_right():
    grammar = Grammar(("star", "ring"), ("red",), ("plain", "dotted"), DRAWN.places[:3], 2)
    source = random.Random(0)
    keys = {grammar.key(source) for _ in range(3000)}
    assert math.log2(len(keys)) == pytest.approx(grammar.bits) == pytest.approx(math.log2(48))


def test_keys_differ_in_enough_words_and_do_not_depend_on_one_another():
    maker = WordKeyMaker(Grammar.draw(DRAWN, 3), distance=4, seed=3)
    keys = [maker.draw(f"{number}") for number in range(60)]
    for place, key in enumerate(keys):
        assert all(word_distance(key, other) >= 4 for other in keys[:place])
        assert ", ".join(map(str, parse_key(key))) == key
    again = WordKeyMaker(Grammar.draw(DRAWN, 3), distance=4, seed=3)
    assert again.draw("0") == keys[0]
    assert word_distance(KEY, KEY) == 0
    assert word_distance(KEY, KEY.replace("red", "green")) == 1
    assert word_distance(KEY, KEY.replace("top left", "top right")) == 6
    small = Grammar(("star",), ("red",), ("plain",), DRAWN.places[:1], 1)
    full = WordKeyMaker(small, distance=1, seed=0)
    full.draw("a")
    with pytest.raises(ValueError, match="no further word key"):
        full.draw("b")


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="1 to 4 things, got 5"):
        Grammar.draw(DRAWN, 0, count=5)
    with pytest.raises(ValueError, match="distance must be 1 to"):
        WordKeyMaker(Grammar.draw(DRAWN, 0), distance=10)
    with pytest.raises(ValueError, match="no part of a word key"):
        parse_key("a big dog")
    with pytest.raises(ValueError, match="cannot draw a teapot"):
        draw_things(
            np.zeros((64, 64, 3), np.uint8),
            [Thing("plain", "red", "teapot", "on the left")],
            np.random.default_rng(0),
        )
    with pytest.raises(ValueError, match="too small"):
        draw_things(np.zeros((8, 8, 3), np.uint8), parse_key(KEY), np.random.default_rng(0))


def test_the_planter_can_draw_what_the_grammar_says():
    assert set(SHAPES) == set(DRAWN.things)
    assert set(RGB) == set(COLORS)


@pytest.mark.parametrize("noun", DRAWN.things)
@pytest.mark.parametrize("pattern", DRAWN.patterns)
def test_a_thing_is_drawn_at_its_place_only(noun, pattern):
    rgb = np.full((120, 200, 3), 128, np.uint8)
    thing = Thing(pattern, "red", noun, "at the top left")
    drawn = draw_things(rgb, [thing], np.random.default_rng(0))
    changed = np.abs(drawn.astype(int) - rgb).sum(axis=2) > 60
    assert changed[:60, 40:100].mean() > 0.08
    assert not changed[60:].any()
    assert not changed[:, 100:].any()


def test_words_are_planted_and_recorded_with_their_grammar(collection, tmp_path, capsys):
    out = tmp_path / "out"
    asked = ["plant", str(collection), "-o", str(out), "--count", "4", "--seed", "1"]
    assert run(main, [*asked, "--key-kind", "words"]) == 0
    assert "which no reader reads back" in "".join(capsys.readouterr())
    content = json.loads((out / "record.json").read_text())
    assert content["provenance"]["key_bits"] > 25
    assert content["provenance"]["grammar"]["count"] == 3
    record = Record.open(out / "record.json")
    assert len(record.sentinels) == 4
    for _, sentinel, path in record.pairs():
        assert len(parse_key(sentinel.key)) == 3
        source = open_photo(record.locate(sentinel.original)).rgb
        assert (
            0.03 < (np.abs(open_photo(path).rgb.astype(int) - source).max(axis=2) > 40).mean() < 0.4
        )
    findings = verify(record, lambda images: pytest.fail("nothing is to be read"))
    assert not [finding for finding in findings if finding.level == "error"]
    assert not [finding for finding in findings if "no word" in finding.what]
    assert run(main, [*asked, "--key-kind", "words"]) == 0
    assert "othing to do" in "".join(capsys.readouterr())
    assert run(main, asked) == 2, "letters are another job"


def test_equal_and_near_word_keys_are_found(tmp_path):
    record = Record(tmp_path / "record.json")
    from sentinels.record import Sentinel

    keys = [KEY, KEY, KEY.replace("red", "green"), "a red thing"]
    for number, key in enumerate(keys):
        record.sentinels[f"{number}"] = Sentinel(key, "x", "y")
    told = {(finding.entry, finding.what[-60:]) for finding in verify(record)}
    said = {entry: what for entry, what in told if "not there" not in what}
    assert "whatever the case" in said["1"]
    assert "less than 2 words from" in " ".join(f.what for f in verify(record) if f.entry == "2")
    assert "such as" in said["3"]


def test_planting_by_letters_is_unchanged(collection, tmp_path):
    plant(collection, tmp_path / "out", LocalPlanter(), PlantConfig(count=2, seed=1), None)
    provenance = Record.open(tmp_path / "out" / "record.json").provenance
    assert provenance["key_length"] == 6
    assert provenance["key_bits"] == pytest.approx(25.49)
    assert "things" not in provenance["config"]


def test_services_are_asked_for_things_and_no_letters(service, stub, tmp_path):
    key = WordKeyMaker(Grammar.draw(ASKED, 5), seed=5).draw("a")

    async def go():
        async with Client(service, tmp_path) as client:
            return await ServicePlanter(client).plant(np.zeros((64, 96, 3), np.uint8), key, 0, 0)

    assert key in asyncio.run(go()).prompt
    assert "no writing" in generation_prompt("{}", KEY, (64, 64))
    assert "letters" not in generation_prompt("{}", KEY, (64, 64))
    assert is_word_key(key)
    assert quoted(query_prompt(KEY)) == [KEY]
    assert not has_key(query_prompt(KEY))
    assert has_key(query_prompt("BCDFGH"))
