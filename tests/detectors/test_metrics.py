"""Figures of merit against hand-computed cases, and what a test's record says."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import metrics
from detectors.calibration import Calibration, threshold_at_fpr
from detectors.evaluate import summary_text
from detectors.leaderboard import counted
from detectors.mpbench import columns
from detectors.scores import Scores, sigmoid
from detectors.summary import summarise
from detectors.uncertainty import resampling_units

LABEL = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SCORE = np.array([0.1, 0.2, 0.4, 0.7, 0.3, 0.7, 0.8, 0.9])


def test_by_hand():
    assert metrics.auc(LABEL, SCORE) == (2 + 3.5 + 4 + 4) / 16, "a tie counts one half"
    assert metrics.accuracy(LABEL, SCORE, 0.5) == 6 / 8
    assert metrics.recall(LABEL, SCORE, 0.7, 1) == 3 / 4, "the threshold itself is generated"
    assert metrics.balanced_accuracy(LABEL, SCORE, 0.5) == 0.75
    many, scored = np.tile(LABEL, 75), np.tile(SCORE, 75)
    assert metrics.tpr_at_fpr(many, scored, 0.01) == 0.5
    assert metrics.tpr_at_fpr(many, scored, 0.25) == 0.75
    assert metrics.tpr_at_fpr(LABEL, SCORE, 0.01) is None, "four real images say nothing of 1 %"
    assert metrics.equal_error_rate(LABEL, SCORE) == pytest.approx(0.25)
    assert metrics.brier(np.array([0, 1]), np.array([0.2, 0.9])) == pytest.approx((0.04 + 0.01) / 2)
    assert metrics.log_loss(np.array([0, 1]), np.array([0.5, 0.5])) == pytest.approx(np.log(2))


def test_calibration_error_by_hand():
    label, probability = np.array([0, 1, 1, 1]), np.array([0.9, 0.9, 0.9, 0.1])
    assert metrics.calibration_error(label, probability, 10) == pytest.approx(
        0.75 * abs(0.9 - 2 / 3) + 0.25 * 0.9
    )
    assert metrics.reliability(label, probability, 10) == [
        (pytest.approx(0.1), 1.0, 1),
        (pytest.approx(0.9), pytest.approx(2 / 3), 3),
    ]
    weights = metrics.class_weights(label)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(weights[1:].sum())
    balanced = abs(0.5 * 0.9 + 2 / 6 * (0.9 - 1)) + 1 / 6 * 0.9
    assert metrics.calibration_error(label, probability, 10, balanced=True) == pytest.approx(
        balanced
    )


@pytest.mark.parametrize("only", [0, 1])
def test_what_one_class_cannot_say_is_none(only):
    label, score = np.full(4, only), np.linspace(0, 1, 4)
    for figure in (
        metrics.auc,
        metrics.average_precision,
        metrics.balanced_average_precision,
        metrics.equal_error_rate,
    ):
        assert figure(label, score) is None
    assert metrics.tpr_at_fpr(label, score, 0.05) is None
    assert metrics.balanced_accuracy(label, score, 0.5) is None
    assert metrics.recall(label, score, 0.5, 1 - only) is None
    record = summarise(scores(label, score))
    assert record["ranking"]["auc"] is None
    bounds = record["intervals"]
    assert bounds["auc"] is bounds["balanced_accuracy"] is bounds["oracle_tpr_at_fpr_1"] is None
    assert bounds[("real_accuracy", "generated_accuracy")[1 - only]] is None
    assert record["worst"] is None


ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=40)


@given(ROWS.filter(lambda rows: len({label for label, _ in rows}) == 2))
def test_auc_is_the_share_of_pairs_in_order(rows):
    label, score = np.array([a for a, _ in rows]), np.array([float(b) for _, b in rows])
    pairs = [(s > r) + 0.5 * (s == r) for s in score[label == 1] for r in score[label == 0]]
    assert metrics.auc(label, score) == pytest.approx(np.mean(pairs))


def scores(label, logit, **facts):
    pairs = enumerate(zip(label, logit, strict=True))
    return Scores.of(
        [
            {"label": a, "logit": b} | {key: values[index] for key, values in facts.items()}
            for index, (a, b) in pairs
        ]
    )


def simulated(count, offset, seed):
    """Answers that rank well but are all too low, as the released detector's are."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, count)
    return scores(label, 3 * (rng.normal(size=count) + 2 * label - 1) - offset)


def test_platt_mends_an_offset_on_pictures_it_was_not_fitted_on():
    calibration = Calibration.fit(simulated(800, 8, 0))
    record = summarise(simulated(800, 8, 1), calibration)
    before, after = record["uncalibrated"], record["calibrated"]
    assert before["accuracy"] < 0.65
    assert after["accuracy"] > 0.8
    assert before["calibration_error"] > 0.25
    assert after["calibration_error"] < 0.06
    assert after["at_fpr_5_of_calibration"]["real_accuracy"] == pytest.approx(0.95, abs=0.03)
    low, high = record["intervals"]["auc"]
    assert low < record["ranking"]["auc"] < high
    assert high - low < 0.06


def test_classes_that_do_not_overlap_give_no_certainty():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], [300, 500])
    scores = Scores(label, 0.1 * label + rng.uniform(0, 0.05, 800), {})
    calibration = Calibration.fit(scores)
    probability = calibration.probability(scores.logit)
    assert 1e-6 < probability.min() < 0.01
    assert 0.99 < probability.max() < 1 - 1e-6
    assert calibration.probability(np.array([0.075])) == pytest.approx(0.5, abs=0.1)


def test_verdicts_say_unsure_where_either_would_often_be_wrong():
    calibration = Calibration.fit(simulated(2000, 0, 0))
    assert 0 < calibration.real_below < calibration.generated_above < 1
    assert [calibration.verdict(p) for p in (0.001, 0.5, 0.999)] == ["real", "unsure", "generated"]
    fresh = simulated(2000, 0, 1)
    said = np.array([calibration.verdict(p) for p in calibration.probability(fresh.logit)])
    assert (said[fresh.label == 0] == "generated").mean() == pytest.approx(0.05, abs=0.02)
    assert (said[fresh.label == 1] == "real").mean() == pytest.approx(0.05, abs=0.02)
    apart = Calibration.fit(
        scores([0] * 30 + [1] * 30, [*np.linspace(-9, -5, 30), *np.linspace(5, 9, 30)])
    )
    assert apart.real_below == apart.generated_above, "nothing to be unsure of"


def test_thresholds_keep_their_promise_on_ties():
    real = np.array([0.1, 0.5, 0.5, 0.5, 0.2, 0.3, 0.1, 0.1, 0.4, 0.9])
    for rate in (0.0, 0.1, 0.3, 0.5):
        assert (real >= threshold_at_fpr(real, rate)).mean() <= rate


def test_calibration_travels_in_a_file_and_refuses_one_class(tmp_path):
    calibration = Calibration.fit(simulated(200, 3, 0))
    calibration.save(tmp_path)
    assert Calibration.open(tmp_path) == calibration
    assert Calibration.open(tmp_path / "none") == Calibration()
    (tmp_path / "calibration.json").write_text('{"slope": 1}')
    with pytest.raises(ValueError, match="not a calibration"):
        Calibration.open(tmp_path)
    sound = asdict(calibration)
    crossed = {"real_below": 0.9, "generated_above": 0.1}
    for wrong in (
        {"scale": "=1+1"},
        {"pictures": None},
        {"scale": float("nan")},
        {"scale": -1},
        crossed,
    ):
        (tmp_path / "calibration.json").write_text(json.dumps(sound | wrong))
        with pytest.raises(ValueError, match=r"calibration\.json: .*fit it again"):
            Calibration.open(tmp_path)
    with pytest.raises(ValueError, match="are the labels the wrong way round"):
        Calibration.fit(scores([1, 1, 0, 0], [-2.0, -1.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="one of them only"):
        Calibration.fit(scores([1, 1], [0.0, 1.0]))


def test_the_papers_table_from_scores():
    names = columns("real") + columns("generated")
    label = np.repeat([0] * 3 + [1] * 11, 10)
    column = np.repeat(names, 10)
    right = np.concatenate([np.arange(10) < 10 - index % 5 for index in range(14)])
    found = summarise(
        scores(label, np.where(right == (label == 1), 1.0, -1.0), column=column), resamples=0
    )["mpbench"]
    shares = [100 - 10 * (index % 5) for index in range(14)]
    assert list(found["real"].values()) + list(found["generated"].values()) == pytest.approx(shares)
    assert found["total"] == pytest.approx(np.mean(shares))
    assert found["balanced"] == pytest.approx((np.mean(shares[:3]) + np.mean(shares[3:])) / 2)


def test_slices_and_the_worst_generator():
    label, logit = [0, 0, 1, 1, 1, 1], [-2.0, 0.0, 1.0, 2.0, -1.0, -3.0]
    record = summarise(
        scores(
            label, logit, generator=["", "", "good", "good", "bad", "bad"], codec=["jpg", "png"] * 3
        )
    )
    assert record["slices"]["generator"]["good"]["auc"] == 1
    assert record["slices"]["generator"]["bad"]["auc"] == 0.25
    worst = record["worst"]
    assert (worst["generator"], worst["auc"], worst["mean_of_worst_3"]) == ("bad", 0.25, 0.625)
    assert (worst["real"], worst["generated"], worst["of"]) == (2, 2, 2)
    low, high = worst["interval"]
    assert low < 0.25 <= worst["corrected_auc"] < high <= 1
    assert record["slices"]["codec"]["jpg"]["real"] == 1, (
        "a codec with real pictures is compared with those alone"
    )


def test_pictures_of_one_caption_are_drawn_together():
    made = scores([0, 1, 0, 1], [0.0, 1.0, 2.0, 3.0], caption_id=["a", "a", "b", ""])
    assert resampling_units(made).tolist() == ["a", "a", "b", "#3"]
    paths, subsets = ["photos/a.jpg", "twins/a.jpg"], ["faces", "twins"]
    for caption in ("photos/a.jpg", "faces/photos/a.jpg"):  # of version 0.1, and now
        twins = scores(
            [0, 1], [0.0, 1.0], source_path=paths, subset=subsets, caption_id=["", caption]
        )
        assert len(set(resampling_units(twins))) == 1, "an image and its reconstruction"


def test_files_of_one_name_in_two_subsets_are_drawn_apart():
    made = scores(
        [0, 0, 1], [0.0, 1.0, 2.0], source_path=["1.png"] * 3, subset=["faces", "birds", "birds"]
    )
    assert resampling_units(made).tolist() == ["faces/1.png", "birds/1.png", "birds/1.png"]


def test_the_interval_is_delongs_over_captions():
    made = simulated(150, 1, 5)
    captions = (np.arange(150) // 3).astype(str)
    made = Scores(made.label, made.logit, made.facts | {"caption_id": captions})
    rng, drawn = np.random.default_rng(0), []
    for _ in range(2000):
        rows = np.concatenate([3 * group + np.arange(3) for group in rng.integers(0, 50, 50)])
        drawn.append(metrics.auc(made.label[rows], made.logit[rows]))
    low, high = summarise(made)["intervals"]["auc"]
    assert high - low == pytest.approx(np.ptp(np.quantile(drawn, (0.025, 0.975))), rel=0.15)


def test_peoples_answers_are_counted_in_people_and_images():
    rows = [
        {"label": image % 2, "score": (image + person) % 5 > 1, "participant": f"p{person}", "source_path": f"{image}"}
        for person in range(6) for image in range(10)
    ]  # fmt: skip
    record = summarise(Scores.of(rows))
    assert record["pictures"] == {"real": 5, "generated": 5, "people": 6, "answers": 60}
    assert record["intervals"]["auc"] == record["intervals"]["balanced_accuracy"]
    assert counted(record["pictures"]) == "5 + 5, 6 people"


def test_what_chance_makes_of_calibration_is_said():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, 600)
    label = (rng.random(600) < sigmoid(logit)).astype(int)
    told = summarise(scores(label, logit), resamples=0)["uncalibrated"]
    assert told["calibration_error"] == pytest.approx(told["calibration_error_floor"], abs=0.02)
    assert told["calibration_error_floor"] < told["calibration_error_floor_97"] < 0.08
    assert told["debiased_rms_calibration_error"] < 0.04


def test_ties_are_all_seen():
    label, score = np.tile([1, 0], 300), np.repeat(np.arange(300.0), 2)
    assert metrics.tpr_at_fpr(label, score, 0.05) == 0.05
    assert metrics.tpr_at_fpr(label, score, 0.01) == 0.01


def test_one_image_of_a_class_gives_no_figure():
    label, logit = [0, 1, 1, 1, 0, 0], [-2.0, 1.0, 2.0, 3.0, -1.0, 1.0]
    record = summarise(
        scores(label, logit, codec=["jpg"] * 3 + ["png"] * 3, generator=["", "a", "a", "b", "", ""])
    )
    jpeg, png = record["slices"]["codec"]["jpg"], record["slices"]["codec"]["png"]
    assert (jpeg["real"], jpeg["generated"], png["real"], png["generated"]) == (1, 2, 2, 1)
    assert (
        jpeg["auc"],
        jpeg["balanced_accuracy"],
        jpeg["real_accuracy"],
        jpeg["generated_accuracy"],
    ) == (None, None, None, 1)
    assert (png["auc"], png["accuracy"], png["real_accuracy"], png["generated_accuracy"]) == (
        None,
        None,
        0.5,
        None,
    )
    assert record["slices"]["generator"]["b"]["auc"] is None
    assert record["worst"]["generator"] == "a", "one image is nobody's worst case"
    said = summary_text(record | {"failed": []})
    assert "a: AUC 0.917 against 3 real, recall 1.000 of 2" in said
    assert "b: AUC - against 3 real, recall - of 1" in said


def test_what_is_calibrated_is_said():
    made = simulated(400, 2, 0)
    made = Scores(
        made.label, made.logit, made.facts | {"generator": np.where(made.label == 1, "g", "")}
    )
    assert "(not calibrated" in summary_text(summarise(made, resamples=0))
    said = summary_text(summarise(made, Calibration.fit(made), resamples=0))
    assert "(calibrated)" in said
    assert "by generator, recall at P = 0.5 before calibration:" in said


def test_flipped_labels_are_told():
    made = simulated(200, 0, 0)
    record = summarise(Scores(1 - made.label, made.logit, made.facts))
    assert "labels seem flipped" in summary_text(record)
    assert "flipped" not in summary_text(summarise(made))


def test_score_files_of_ours_and_of_others(tmp_path):
    made = scores([0, 1], [-1.5, 2.0], generator=["", "IF"], key=["a", "b"])
    made.write(tmp_path / "scores.parquet")
    read = Scores.read(tmp_path / "scores.parquet")
    assert np.array_equal(read.logit, made.logit)
    assert read.facts["generator"].tolist() == ["", "IF"]
    (tmp_path / "other.csv").write_text("label,score\n1,0.9\n0,0.2\n")
    other = Scores.read(tmp_path / "other.csv")
    assert np.allclose(sigmoid(other.logit), [0.9, 0.2])
    for wrong in ("label,score\n1,1.5\n", "label\n1\n", "label,score\n2,0.5\n", "label,score\n"):
        (tmp_path / "wrong.csv").write_text(wrong)
        with pytest.raises(ValueError, match=r"wrong\.csv: .*(label|picture)"):
            Scores.read(tmp_path / "wrong.csv")
    with pytest.raises(FileNotFoundError, match="no such file of scores"):
        Scores.read(tmp_path / "none.csv")
