"""Records of tests: calibration, slices, intervals, and the words about them."""

import numpy as np
import pytest

from detectors import metrics
from detectors.calibration import Calibration
from detectors.evaluate import summary_text
from detectors.leaderboard_cells import image_counts
from detectors.mpbench import columns
from detectors.scores import Scores, sigmoid
from detectors.summary import summarise
from detectors.uncertainty import resampling_units


def scores(label, logit, **facts):
    rows = []
    for index, (a, b) in enumerate(zip(label, logit, strict=True)):
        row = {"label": a, "logit": b}
        rows.append(row | {key: values[index] for key, values in facts.items()})
    return Scores.of(rows)


def simulated(count, offset, seed):
    """Scores that rank well but are all too low, like the released detector's."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, count)
    return scores(label, 3 * (rng.normal(size=count) + 2 * label - 1) - offset)


@pytest.mark.parametrize("only", [0, 1])
def test_what_one_class_cannot_say_is_none(only):
    label = np.full(4, only)
    score = np.linspace(0, 1, 4)
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


def test_the_papers_table_from_scores():
    names = columns("real") + columns("generated")
    label = np.repeat([0] * 3 + [1] * 11, 10)
    column = np.repeat(names, 10)
    right = np.concatenate([np.arange(10) < 10 - index % 5 for index in range(14)])
    logit = np.where(right == (label == 1), 1.0, -1.0)
    table = summarise(scores(label, logit, column=column), resamples=0)["mpbench"]
    shares = [100 - 10 * (index % 5) for index in range(14)]
    assert list(table["real"].values()) + list(table["generated"].values()) == pytest.approx(shares)
    assert table["total"] == pytest.approx(np.mean(shares))
    assert table["balanced"] == pytest.approx((np.mean(shares[:3]) + np.mean(shares[3:])) / 2)


def test_slices_and_the_worst_generator():
    label = [0, 0, 1, 1, 1, 1]
    logit = [-2.0, 0.0, 1.0, 2.0, -1.0, -3.0]
    generator = ["", "", "good", "good", "bad", "bad"]
    record = summarise(scores(label, logit, generator=generator, codec=["jpg", "png"] * 3))
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
    answers = scores([0, 1, 0, 1], [0.0, 1.0, 2.0, 3.0], caption_id=["a", "a", "b", ""])
    assert resampling_units(answers).tolist() == ["a", "a", "b", "#3"]
    paths = ["photos/a.jpg", "twins/a.jpg"]
    subsets = ["faces", "twins"]
    # Captions of version 0.1, and present ones.
    for caption in ("photos/a.jpg", "faces/photos/a.jpg"):
        twins = scores(
            [0, 1], [0.0, 1.0], source_path=paths, subset=subsets, caption_id=["", caption]
        )
        assert len(set(resampling_units(twins))) == 1, "an image and its reconstruction"


def test_files_of_one_name_in_two_subsets_are_drawn_apart():
    answers = scores(
        [0, 0, 1], [0.0, 1.0, 2.0], source_path=["1.png"] * 3, subset=["faces", "birds", "birds"]
    )
    assert resampling_units(answers).tolist() == ["faces/1.png", "birds/1.png", "birds/1.png"]


def test_the_interval_is_delongs_over_captions():
    answers = simulated(150, 1, 5)
    captions = (np.arange(150) // 3).astype(str)
    answers = Scores(answers.label, answers.logit, answers.facts | {"caption_id": captions})
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(2000):
        rows = np.concatenate([3 * group + np.arange(3) for group in rng.integers(0, 50, 50)])
        resampled.append(metrics.auc(answers.label[rows], answers.logit[rows]))
    low, high = summarise(answers)["intervals"]["auc"]
    assert high - low == pytest.approx(np.ptp(np.quantile(resampled, (0.025, 0.975))), rel=0.15)


def test_peoples_answers_are_counted_in_people_and_images():
    rows = []
    for person in range(6):
        for image in range(10):
            row = {"label": image % 2, "score": (image + person) % 5 > 1}
            rows.append(row | {"participant": f"p{person}", "source_path": f"{image}"})
    record = summarise(Scores.of(rows))
    assert record["pictures"] == {"real": 5, "generated": 5, "people": 6, "answers": 60}
    assert record["intervals"]["auc"] == record["intervals"]["balanced_accuracy"]
    assert image_counts(record["pictures"]) == "5 + 5, 6 people"


def test_what_chance_makes_of_calibration_is_said():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, 600)
    label = (rng.random(600) < sigmoid(logit)).astype(int)
    figures = summarise(scores(label, logit), resamples=0)["uncalibrated"]
    assert figures["calibration_error"] == pytest.approx(
        figures["calibration_error_floor"], abs=0.02
    )
    assert figures["calibration_error_floor"] < figures["calibration_error_floor_97"] < 0.08
    assert figures["debiased_rms_calibration_error"] < 0.04


def test_one_image_of_a_class_gives_no_figure():
    label = [0, 1, 1, 1, 0, 0]
    logit = [-2.0, 1.0, 2.0, 3.0, -1.0, 1.0]
    codec = ["jpg"] * 3 + ["png"] * 3
    generator = ["", "a", "a", "b", "", ""]
    record = summarise(scores(label, logit, codec=codec, generator=generator))
    jpeg = record["slices"]["codec"]["jpg"]
    png = record["slices"]["codec"]["png"]
    assert (jpeg["real"], jpeg["generated"], png["real"], png["generated"]) == (1, 2, 2, 1)
    assert jpeg["auc"] is jpeg["balanced_accuracy"] is jpeg["real_accuracy"] is None
    assert jpeg["generated_accuracy"] == 1
    assert png["auc"] is png["accuracy"] is png["generated_accuracy"] is None
    assert png["real_accuracy"] == 0.5
    assert record["slices"]["generator"]["b"]["auc"] is None
    assert record["worst"]["generator"] == "a", "one image is nobody's worst case"
    text = summary_text(record | {"failed": []})
    assert "a: AUC 0.917 against 3 real, recall 1.000 of 2; 95 % of AUC [" in text
    assert ", of recall [0.158, 1.000]" in text
    assert "b: AUC - against 3 real, recall - of 1" in text


def test_what_is_calibrated_is_said():
    answers = simulated(400, 2, 0)
    generator = np.where(answers.label == 1, "g", "")
    answers = Scores(answers.label, answers.logit, answers.facts | {"generator": generator})
    assert "(not calibrated" in summary_text(summarise(answers, resamples=0))
    text = summary_text(summarise(answers, Calibration.fit(answers), resamples=0))
    assert "verdicts at --max-fpr 0.05: of " in text
    assert 'wrong among the verdicts "generated": ' in text
    assert "where 1 % of the images are generated" in text
    assert "(calibrated)" in text
    assert "by generator, recall at calibrated P = 0.5:" in text


def test_lines_are_calibrated_where_the_headline_is():
    answers = simulated(400, 8, 0)
    generator = np.where(answers.label == 1, "g", "")
    answers = Scores(answers.label, answers.logit, answers.facts | {"generator": generator})
    plain = summarise(answers, resamples=0)
    record = summarise(answers, Calibration.fit(answers), resamples=0)
    line, headline = record["slices"]["generator"]["g"], record["calibrated"]
    assert line["balanced_accuracy"] == headline["balanced_accuracy"]
    assert (
        line["generated_accuracy"] > plain["slices"]["generator"]["g"]["generated_accuracy"] + 0.3
    )
    assert line["auc"] == plain["slices"]["generator"]["g"]["auc"]


def test_flipped_labels_are_told():
    answers = simulated(200, 0, 0)
    record = summarise(Scores(1 - answers.label, answers.logit, answers.facts))
    assert "labels seem flipped" in summary_text(record)
    assert "flipped" not in summary_text(summarise(answers))


def test_score_files_of_ours_and_of_others(tmp_path):
    answers = scores([0, 1], [-1.5, 2.0], generator=["", "IF"], key=["a", "b"])
    answers.write(tmp_path / "scores.parquet")
    again = Scores.read(tmp_path / "scores.parquet")
    assert np.array_equal(again.logit, answers.logit)
    assert again.facts["generator"].tolist() == ["", "IF"]
    (tmp_path / "other.csv").write_text("label,score\n1,0.9\n0,0.2\n")
    other = Scores.read(tmp_path / "other.csv")
    assert np.allclose(sigmoid(other.logit), [0.9, 0.2])
    for wrong in ("label,score\n1,1.5\n", "label\n1\n", "label,score\n2,0.5\n", "label,score\n"):
        (tmp_path / "wrong.csv").write_text(wrong)
        with pytest.raises(ValueError, match=r"wrong\.csv: .*(label|picture)"):
            Scores.read(tmp_path / "wrong.csv")
    with pytest.raises(FileNotFoundError, match="no such file of scores"):
        Scores.read(tmp_path / "none.csv")
