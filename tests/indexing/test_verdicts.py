"""Verdicts: false matches at the stated rate, refusals, similarities and normalization."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import betabinom

from engine.cli import run
from engine.pages.shell import number
from engine.statistics import conformal_bound, least_scores
from indexing.__main__ import main
from indexing.build import build
from indexing.index import Index
from indexing.search import search
from indexing.similarity import Similarity, decimal
from indexing.verdicts import unlike_words
from models.store import StoredImage, VectorStore


def unit(rng, count, dimension=8):
    rows = rng.normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def store(rows, name="", folder=None):
    made = VectorStore(rows, [f"{name}{number}" for number in range(len(rows))], {})
    if folder is not None:
        made.write(folder)
    return made


def of_queries(index, rows, **options):
    matches, _ = search(index, store(rows, "q"), k=1, **options)
    return {match.query: match for match in matches}


@pytest.mark.parametrize("source", ["background", "index"])
def test_strangers_are_called_copies_at_the_stated_rate_and_no_more(source, tmp_path):
    rates = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        folder = tmp_path / str(seed)
        store(unit(rng, 250), "e", folder / "f")
        store(unit(rng, 199), "b", folder / "b")
        background = folder / "b" if source == "background" else None
        index = build([folder / "f"], folder / "i", "Flat", background=background)
        found = of_queries(index, unit(rng, 400), max_fpr=0.02)
        rates.append(np.mean([match.verdict == "copy" for match in found.values()]))
    # expected: at most 0.02, and at least 0.02 - 2 / 200; 4 standard errors of 30 calibrations
    spread = 4 * np.sqrt(0.02 * 0.98 / 200 / 30 + 0.02 * 0.98 / 400 / 30)
    assert 0.01 - spread < np.mean(rates) < 0.02 + spread


def test_entries_need_one_stranger_more_than_a_background(tmp_path):
    assert least_scores(0.01) == 99
    assert least_scores(0.01, spare=1) == 199
    assert conformal_bound(np.arange(198), 0.01, 1) is None
    assert conformal_bound(np.arange(199), 0.01, 1) == 198
    rng = np.random.default_rng(0)
    store(unit(rng, 198), "e", tmp_path / "f")
    index = build([tmp_path / "f"], tmp_path / "i", "Flat")
    assert {match.verdict for match in of_queries(index, unit(rng, 9)).values()} == {"no threshold"}
    assert "this rate takes 199" in index.judge(0.01).words()
    assert index.judge(0.02).copy is not None
    store(unit(rng, 1), "more", tmp_path / "m")
    index.add(VectorStore.open(tmp_path / "m"))
    assert index.judge(0.01).copy is not None


def test_a_copy_is_found_and_a_twin_is_no_stranger(tmp_path):
    rng = np.random.default_rng(1)
    rows = unit(rng, 400, 16)
    rows[200:205] = rows[100:105]  # images that are there twice
    store(rows, "e", tmp_path / "f")
    index = build([tmp_path / "f"], tmp_path / "i", "Flat")
    record = json.loads((tmp_path / "i" / "index.json").read_text())["threshold"]
    assert (record["strangers"], record["excluded"], record["source"]) == (390, 10, "index")
    assert record["thresholds"]["0.01"] < 0.999
    assert record["thresholds"]["0.001"] is None
    assert "not in the index, that are called copies" in record["bounds"]
    opened = Index.open(tmp_path / "i")
    copy = of_queries(opened, rows[7:8])["q0"]
    assert (copy.match, copy.verdict, copy.similarity) == ("e7", "copy", 1.0)
    assert opened.judge(0.01) == index.judge(0.01)


def test_background_images_of_the_index_are_left_out(tmp_path):
    rng = np.random.default_rng(2)
    rows = unit(rng, 300)
    store(rows, "e", tmp_path / "f")
    store(np.concatenate([rows[:50], unit(rng, 150)]), "b", tmp_path / "b")
    index = build([tmp_path / "f"], tmp_path / "i", "Flat", background=tmp_path / "b")
    assert (len(index.strangers), index.strangers.excluded) == (150, 50)
    assert not index.strangers.background.size  # too few to normalize by half of them


def test_scores_are_normalized_by_half_of_a_large_background(tmp_path):
    rng = np.random.default_rng(3)
    rows, others = unit(rng, 300), unit(rng, 260)
    store(rows, "e", tmp_path / "f")
    store(others, "b", tmp_path / "b")
    index = build([tmp_path / "f"], tmp_path / "i", "Flat", background=tmp_path / "b")
    half = index.strangers.background
    assert len(half) == len(index.strangers) == 130
    queries = unit(rng, 20)
    for number_, match in enumerate(of_queries(index, queries).values()):
        query = queries[int(match.query[1:])]
        nearest = np.sort(half @ query)[-2:].mean()
        assert match.similarity == pytest.approx((rows @ query).max(), abs=1e-5), number_
        assert match.score == pytest.approx(match.similarity - nearest, abs=1e-5)
    judge = index.judge(0.01)
    assert judge.unlike(unit(rng, 300)) < 0.05 * 300
    narrow = rows[:1] + 0.01 * unit(rng, 200)
    store(narrow / np.linalg.norm(narrow, axis=1, keepdims=True), "n", tmp_path / "n")
    judge = build([tmp_path / "f"], tmp_path / "j", "Flat", background=tmp_path / "n").judge(0.01)
    assert judge.unlike(queries) == 20  # what lies elsewhere is not of the background's kind
    assert "20 of 20 images are unlike the background set" in unlike_words(20, 20)
    assert unlike_words(1, 20) == ""


def test_other_search_parameters_are_calibrated_for_when_asked(tmp_path):
    rng = np.random.default_rng(4)
    store(unit(rng, 600), "e", tmp_path / "f")
    index = build([tmp_path / "f"], tmp_path / "i", "IVF16,Flat", parameters="nprobe=2")
    assert index.default_parameters == "nprobe=2"
    wide = build([tmp_path / "f"], tmp_path / "wide", "IVF16,Flat", parameters="nprobe=16")
    narrow = build([tmp_path / "f"], tmp_path / "narrow", "IVF16,Flat")
    assert narrow.default_parameters == "nprobe=1"
    assert index.judge(0.05, "nprobe=16").copy == wide.judge(0.05).copy > narrow.judge(0.05).copy
    opened = Index.open(tmp_path / "i")
    queries = unit(rng, 30)
    assert of_queries(opened, queries) == of_queries(index, queries, parameters="nprobe=2")


@pytest.mark.parametrize(("metric", "factory"), [("l2", "Flat"), ("ip", "Flat"), ("l2", "LSH")])
def test_similarities_are_similarities_of_every_metric(metric, factory, tmp_path):
    rng = np.random.default_rng(5)
    rows = unit(rng, 220, 16)
    store(rows, "e", tmp_path / "f")
    index = build([tmp_path / "f"], tmp_path / "i", factory, metric)
    far, same = of_queries(index, -rows[:1])["q0"], of_queries(index, rows[:1])["q0"]
    assert same.similarity == pytest.approx(1, abs=1e-5)
    assert far.similarity < same.similarity
    assert same.verdict == "copy"


def test_zero_has_no_sign_and_long_vectors_have_similarities_below_1():
    assert str(decimal(-1e-9)) == "0.0"
    assert number(-0.0001) == "0.000"
    inverse = Similarity("inverse distance")(np.array([[-0.0, 3.0, 9.0]]), np.array([[0, 1, -1]]))
    assert inverse[0, :2].tolist() == [1.0, 0.25]
    assert np.isnan(inverse[0, 2])
    assert Similarity("cosine")(np.array([[-1e-7]]), np.array([[0]]))[0, 0] == 1.0


def test_search_states_the_rate_and_sorts_by_score(index, extractor, references, tmp_path, capsys):
    features = index.parent / "features"
    command = ["build", str(features), "-o", f"{tmp_path}/i", "--factory=Flat"]
    assert run(main, [*command, "--background", str(references)]) == 0
    assert "0 images of a background set" in capsys.readouterr().out  # they are all entries
    searched = ["search", str(references), "-o", f"{tmp_path}/m.csv", "--index", f"{tmp_path}/i"]
    searched += ["--extractor.name", str(extractor), "--workers=0", "--k=2", "--html"]
    assert run(main, searched) == 0
    told = capsys.readouterr().out
    assert (
        "without verdicts: the index has no threshold for a rate of false matches of 0.01" in told
    )
    assert run(main, ["build", str(features), "-o", f"{tmp_path}/j", "--factory=Flat"]) == 0
    searched[searched.index(f"{tmp_path}/i")] = f"{tmp_path}/j"
    assert run(main, [*searched, "--overwrite", "--max-fpr=0.05"]) == 0
    told = capsys.readouterr().out
    assert "100 of 100 images are copies of entries" in told
    assert "at a rate of false matches of at most 0.05" in told
    with (tmp_path / "m.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    first = [float(row["score"]) for row in rows if row["rank"] == "1"]
    assert first == sorted(first, reverse=True)
    assert {row["verdict"] for row in rows if row["rank"] == "1"} == {"copy"}
    assert "-0.000" not in (tmp_path / "m.html").read_text()
    assert run(main, [*searched, "--overwrite", "--max-fpr=0"]) == 2
    assert "max_fpr must be above 0 and below 1" in capsys.readouterr().err


def test_an_index_of_an_earlier_version_has_no_threshold(tmp_path, capsys):
    rng = np.random.default_rng(6)
    store(unit(rng, 300), "e", tmp_path / "f")
    build([tmp_path / "f"], tmp_path / "i", "Flat")
    facts = json.loads((tmp_path / "i" / "index.json").read_text())
    for key in ("similarity", "threshold"):
        del facts[key]
    for name in ("digests.npy", "strangers.safetensors"):
        del facts["sha256"][name]
        (tmp_path / "i" / name).unlink()
    (tmp_path / "i" / "index.json").write_text(json.dumps(facts))
    opened = Index.open(tmp_path / "i")
    found = of_queries(opened, unit(rng, 5))
    assert {match.verdict for match in found.values()} == {"no threshold"}
    assert all(-1 <= match.similarity <= 1 for match in found.values())
    assert "not calibrated" in opened.judge(0.01).words()
    assert run(main, ["update", f"{tmp_path}/i", f"{tmp_path}/f"]) == 2
    assert "without digests" in capsys.readouterr().err
    build([tmp_path / "f"], tmp_path / "i", "Flat")
    assert Index.open(tmp_path / "i").judge(0.01).copy is not None


@pytest.mark.parametrize("name", ["digests.npy", "strangers.safetensors"])
def test_damaged_files_of_the_threshold_are_named(name, tmp_path, capsys):
    store(unit(np.random.default_rng(7), 60), "e", tmp_path / "f")
    build([tmp_path / "f"], tmp_path / "i", "Flat")
    facts = json.loads((tmp_path / "i" / "index.json").read_text())
    (tmp_path / "i" / name).write_bytes(b"nothing at all, but long enough")
    assert run(main, ["add", f"{tmp_path}/i", f"{tmp_path}/f"]) == 2
    assert f"{name} is damaged or was replaced" in capsys.readouterr().err
    facts["sha256"][name] = None
    (tmp_path / "i" / "index.json").write_text(
        json.dumps(facts | {"sha256": {**facts["sha256"], name: ""}})
    )
    assert run(main, ["add", f"{tmp_path}/i", f"{tmp_path}/f"]) == 2
    assert name in capsys.readouterr().err


FACES = next(
    (
        folder
        for parent in Path(__file__).parents
        if (folder := parent / "shared" / "data" / "faces").is_dir()
    ),
    None,
)


@pytest.mark.skipif(FACES is None, reason="needs ../shared/data/faces")
def test_real_strangers_are_called_copies_no_more_often_than_stated(tmp_path):
    files = sorted(FACES.iterdir())[:900]
    parts = {}
    for offset, name in enumerate(("entries", "background", "strangers")):
        (tmp_path / f"{name}.txt").write_text("".join(f"{file}\n" for file in files[offset::3]))
        command = ["extract", f"{tmp_path}/{name}.txt", "-o", f"{tmp_path}/{name}", "--workers=0"]
        assert run(main, [*command, "--extractor.name=checkpoints/tiny/copies"]) == 0
        parts[name] = VectorStore.open(tmp_path / name)
    for background in (tmp_path / "background", None):
        index = build(
            [tmp_path / "entries"],
            tmp_path / f"i{background is None}",
            "Flat",
            background=background,
        )
        matches, judge = search(index, parts["strangers"], k=1, max_fpr=0.02)
        found = sum(match.verdict == "copy" for match in matches)
        # false matches of one calibration are beta-binomial (Vovk 2012)
        strangers = len(index.strangers)
        rank = int((strangers + 1) * judge.max_fpr) - index.strangers.spare
        assert found <= betabinom(300, rank, strangers + 1 - rank).ppf(0.999) <= 25
        matches, _ = search(index, parts["entries"], k=1)
        assert sum(match.verdict == "copy" for match in matches) == 300


def test_copies_in_the_background_count_once(tmp_path):
    rng = np.random.default_rng(6)
    store(unit(rng, 30), "e", tmp_path / "f")
    others = np.repeat(unit(rng, 14), 8, axis=0)
    store(others, "b", tmp_path / "b")
    index = build([tmp_path / "f"], tmp_path / "i", "Flat", background=tmp_path / "b")
    assert (len(index.strangers), index.strangers.excluded) == (14, 98)
    words = index.judge(0.01).words()
    assert "Calibrated on 14 images of a background set" in words
    assert "this rate takes 99; 98 left out, being copies of another one or of an entry" in words


def test_equal_files_count_once_even_if_batches_changed_their_descriptors(tmp_path):
    rng = np.random.default_rng(7)
    rows = unit(rng, 12)
    images = [StoredImage(f"{n}.png", f"/{n}.png", 1, 1, f"{n % 4}") for n in range(12)]
    names = [image.path for image in images]
    VectorStore(rows, names, {}, lambda: images).write(tmp_path / "b")
    store(unit(rng, 30), "e", tmp_path / "f")
    index = build([tmp_path / "f"], tmp_path / "i", "Flat", background=tmp_path / "b")
    assert np.array_equal(np.sort(index.strangers.vectors, axis=0), np.sort(rows[:4], axis=0))
