"""Calibrations: coverage of the bounds, what is refused, files of both formats, and words."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from detectors.calibration import Calibration
from detectors.guarantee import bound_words, prior_words
from detectors.leaderboard_cells import verdict_cells
from detectors.operating_points import OperatingPoint
from detectors.scores import Scores
from detectors.summary import summarise
from detectors.verdicts import verdict_lines, verdict_table, wrong_range, wrong_share
from engine.statistics import conformal_bound, least_scores


def scores(label, logit):
    return Scores.of([{"label": a, "logit": b} for a, b in zip(label, logit, strict=True)])


def simulated(count, offset, seed, distance=2):
    """Scores that rank well but are all too low, like the released detector's."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, count)
    logit = 3 * (rng.normal(size=count) + distance * (label - 0.5)) - offset
    return scores(label, logit)


@pytest.mark.parametrize("count", [20, 50, 200])
@pytest.mark.parametrize("distance", [0.6, 2.0, 9.0])
def test_error_rates_are_those_that_are_promised(count, distance):
    """On every draw one calibration, and one new image of each class."""
    draws, rate = 4000, 0.05
    rng = np.random.default_rng(count)
    wrong = {"real": 0, "generated": 0}
    for _ in range(draws):
        real, generated = rng.normal(size=count), rng.normal(distance, 2, size=count)
        point = OperatingPoint.fit(real, generated, rate)
        calibration = Calibration(points=(point,), images=2 * count)
        wrong["real"] += calibration.verdict(rng.normal()) == "generated"
        wrong["generated"] += calibration.verdict(rng.normal(distance, 2)) == "real"
    attained = np.floor((count + 1) * rate) / (count + 1)
    for kind, errors in wrong.items():
        low, high = binomtest(errors, draws).proportion_ci(0.999)
        assert low <= rate, kind
        if distance < 9:
            assert low <= attained <= high, kind
        else:
            assert errors / draws < rate / 2, "between classes that separate, unsure"


def test_quantiles_would_not_have_kept_the_promise():
    rng = np.random.default_rng(0)
    plain = exact = 0
    for _ in range(2000):
        real, new = rng.normal(size=20), rng.normal()
        plain += new > np.quantile(real, 0.95)
        exact += new > conformal_bound(real, 0.05)
    assert plain / 2000 > 0.08
    assert exact / 2000 < 0.06


@pytest.mark.parametrize(("rate", "least"), [(0.05, 19), (0.01, 99), (0.001, 999), (0.5, 1)])
def test_below_a_number_of_images_there_is_no_threshold(rate, least):
    assert least_scores(rate) == least
    values = np.arange(float(least))
    assert conformal_bound(values, rate) == least - 1, "the largest"
    assert conformal_bound(values[1:], rate) is None
    real_few = OperatingPoint.fit(values[1:], values, rate)
    assert real_few.generated_above is None
    assert real_few.real_below == 0


def test_ties_at_a_threshold_are_unsure():
    real, generated = np.repeat([0.0, 1.0], 20), np.repeat([1.0, 2.0], 20)
    calibration = Calibration(points=(OperatingPoint.fit(real, generated, 0.05),), images=80)
    assert [calibration.verdict(x) for x in (-1.0, 0.5, 1.0, 1.5)] == [
        "real",
        "real",
        "unsure",
        "generated",
    ]


def test_verdicts_say_unsure_where_either_would_often_be_wrong():
    calibration = Calibration.fit(simulated(2000, 0, 0))
    fresh = simulated(2000, 0, 1)
    verdicts = calibration.verdicts(fresh.logit)
    assert set(verdicts) == {"real", "unsure", "generated"}
    assert (verdicts[fresh.label == 0] == "generated").mean() == pytest.approx(0.05, abs=0.02)
    assert (verdicts[fresh.label == 1] == "real").mean() == pytest.approx(0.05, abs=0.02)


def test_between_classes_that_separate_the_answer_is_unsure():
    apart = Calibration.fit(
        scores([0] * 30 + [1] * 30, [*np.linspace(-9, -5, 30), *np.linspace(5, 9, 30)])
    )
    assert apart.point.real_below < -4.9 < 4.9 < apart.point.generated_above
    assert [apart.verdict(x) for x in (-8.0, 0.0, 8.0)] == ["real", "unsure", "generated"]


def test_without_a_calibration_every_answer_is_unsure():
    assert [Calibration().verdict(x) for x in (-50.0, 0.0, 50.0)] == ["unsure"] * 3
    assert bound_words(Calibration()).startswith("not calibrated: every verdict is unsure")


def test_operating_points_are_kept_and_chosen():
    calibration = Calibration.fit(simulated(3000, 0, 0), rates=(0.05, 0.001, 0.01))
    assert [point.max_fpr for point in calibration.points] == [0.001, 0.01, 0.05]
    assert calibration.point.max_fpr == 0.05
    assert calibration.at(0.01).point.max_fpr == 0.01
    strict, loose = calibration.at(0.001).point, calibration.point
    assert strict.generated_above > loose.generated_above
    with pytest.raises(
        ValueError, match=r"no operating point at --max-fpr 0\.02, kept are: 0\.001"
    ):
        calibration.at(0.02)
    few = Calibration.fit(simulated(300, 0, 0), rates=(0.001, 0.05))
    real = few.data.real
    with pytest.raises(ValueError, match=f"at least 999 real images, it had {real}"):
        few.at(0.001)
    assert few.point.max_fpr == 0.05
    only = Calibration.fit(simulated(300, 0, 0), rates=(0.001,))
    assert set(only.verdicts(np.linspace(-99, 99, 9))) == {"unsure"}
    assert "at 0.1 % that takes 999 real images of calibration" in bound_words(only)


def test_a_prior_moves_p_and_no_verdict():
    calibration = Calibration.fit(simulated(800, 3, 0))
    rare = calibration.at(prevalence=0.01)
    logit = np.array([-2.0, 0.5, 4.0])
    before, after = calibration.probability(logit), rare.probability(logit)
    assert after / (1 - after) == pytest.approx(before / (1 - before) / 99)
    assert calibration.verdicts(logit).tolist() == rare.verdicts(logit).tolist()
    assert "P assumes that 1 % of the images are generated" in prior_words(rare)
    back = rare.at(prevalence=0.5).probability(logit)
    assert back == pytest.approx(before)
    for wrong in (0.0, 1.0, 3.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            calibration.at(prevalence=wrong)
    with pytest.raises(ValueError, match="needs a calibrated detector"):
        Calibration().at(prevalence=0.1)


def test_the_share_of_wrong_verdicts_depends_on_the_prevalence():
    """At an AUC of .66, most accusations are wrong although the bound on real images holds."""
    calibration = Calibration.fit(simulated(4000, 0, 0, distance=0.58))
    (row,) = (one for one in verdict_table(simulated(8000, 0, 1, 0.58), calibration)
              if one["max_fpr"] == 0.05)  # fmt: skip
    assert row["real"]["generated"] == pytest.approx(0.05, abs=0.015)
    shares = [wrong_share(row, prevalence) for prevalence in (0.5, 0.1, 0.01)]
    assert shares == pytest.approx([0.27, 0.77, 0.97], abs=0.05)
    assert wrong_share(row | {"real": None}, 0.5) is None
    for prevalence, share in zip((0.5, 0.1, 0.01), shares, strict=True):
        low, high = wrong_range(row, prevalence)
        assert low < share < high


def test_no_wrong_verdict_in_the_test_is_not_none_at_all():
    """0 of 600 real images accused and 537 of 600 found: up to 41 % at one in a hundred."""
    label = np.repeat([0, 1], 600)
    logit = np.where(np.arange(1200) < 663, -3.0, 3.0)
    answers = scores(label, logit)
    calibration = Calibration(images=10, points=(OperatingPoint(0.05, -0.4, 0.4),))
    (row,) = verdict_table(answers, calibration)
    assert wrong_share(row, 0.01) == 0
    low, high = wrong_range(row, 0.01)
    assert (low, high) == (0, pytest.approx(0.41, abs=0.01))
    line = verdict_lines(row, 0.01)[1]
    assert line.startswith('wrong among the verdicts "generated": 0 % [0 %, 4')
    assert "in brackets at the ends of both intervals" in line
    assert verdict_cells(row, 0.01)[-1].startswith("0.000 (0.000 to 0.4")
    unknown = {"real": row["real"] | {"generated_interval": None}}
    assert wrong_range(row | unknown, 0.01) is None
    assert "[" not in verdict_lines(row | unknown, 0.01)[1]
    assert wrong_range(row | {"generated": row["real"]}, 0.01) is None, "no such verdict"


def test_platt_mends_an_offset_on_images_it_was_not_fitted_on():
    calibration = Calibration.fit(simulated(800, 8, 0))
    record = summarise(simulated(800, 8, 1), calibration)
    before = record["uncalibrated"]
    after = record["calibrated"]
    assert before["accuracy"] < 0.65
    assert after["accuracy"] > 0.8
    assert before["calibration_error"] > 0.25
    assert after["calibration_error"] < 0.06
    row = next(row for row in record["verdicts"] if row["max_fpr"] == 0.05)
    assert row["real"]["generated"] == pytest.approx(0.05, abs=0.03)
    assert record["max_fpr"] == 0.05
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


def test_calibration_travels_in_a_file_and_refuses_one_class(tmp_path):
    calibration = Calibration.fit(simulated(200, 3, 0))
    calibration.save(tmp_path)
    assert Calibration.open(tmp_path) == calibration
    assert Calibration.open(tmp_path / "none") == Calibration()
    (tmp_path / "calibration.json").write_text('{"slope": 1}')
    with pytest.raises(ValueError, match="not a calibration"):
        Calibration.open(tmp_path)
    calibration.save(tmp_path)
    sound = json.loads((tmp_path / "calibration.json").read_text())
    crossed = {"max_fpr": 0.05, "real_below": 0.9, "generated_above": 0.1}
    for wrong in (
        {"scale": "=1+1"},
        {"images": None},
        {"scale": float("nan")},
        {"scale": -1},
        {"points": [crossed]},
        {"points": [{"max_fpr": 0.0}]},
        {"format": 9},
        {"more": 1},
    ):
        (tmp_path / "calibration.json").write_text(json.dumps(sound | wrong))
        with pytest.raises(ValueError, match=r"calibration\.json: .*fit it again"):
            Calibration.open(tmp_path)
    with pytest.raises(ValueError, match="are the labels the wrong way round"):
        Calibration.fit(scores([1, 1, 0, 0], [-2.0, -1.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="one of them only"):
        Calibration.fit(scores([1, 1], [0.0, 1.0]))


OLD = {
    "scale": 0.9,
    "bias": 1.8,
    "real_below": 0.3,
    "generated_above": 0.6,
    "threshold_fpr_1": 0.9,
    "threshold_fpr_5": 0.6,
    "pictures": 800,
}


def test_files_of_the_first_format_are_read_and_promise_nothing(tmp_path):
    (tmp_path / "calibration.json").write_text(json.dumps(OLD))
    old = Calibration.open(tmp_path)
    assert (old.images, old.conformal, old.data) == (800, False, None)
    for logit in np.linspace(-6, 6, 50):
        probability = float(old.probability(np.array(logit)))
        expected = "generated" if probability >= 0.6 else "real" if probability < 0.3 else "unsure"
        assert old.verdict(logit) == expected
    assert old.at(0.01).verdict(0.2) == "unsure"
    assert "quantiles of 800 images" in bound_words(old)
    assert "bound no error rate on new images" in bound_words(old)
    for wrong in ({"scale": -1}, {"pictures": None}, {"real_below": 0.9}, {"real_below": 7}):
        (tmp_path / "calibration.json").write_text(json.dumps(OLD | wrong))
        with pytest.raises(ValueError, match=r"calibration\.json: .*fit it again"):
            Calibration.open(tmp_path)
