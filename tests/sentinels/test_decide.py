import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, kstest

from engine.cli import run
from engine.manifest import write_manifest
from images.io import save_png
from images.photo import Photo
from sentinels.__main__ import main
from sentinels.against import against_control
from sentinels.compared import Compared
from sentinels.decide_config import DecideConfig
from sentinels.permutation import (
    greatest_evidence,
    least_sequential_keys,
    permutation_test,
    reach_of,
    sequential_test,
)
from sentinels.record import Record, Sentinel
from sentinels.roc import degenerate, resampled, separation, threshold
from sentinels.trials import Trials

GOLDEN = [
    ([0.9, 0.8, 0.7], [0.1, 0.2, 0.3], (1.0, 1.0, 1.0)),
    ([0.9, 0.6, 0.55, 0.2], [0.5, 0.6, 0.1, 0.3], (0.71875, 0.26, 0.35)),
    ([0.5, 0.5], [0.5, 0.5], (0.5, 0.01, 0.10)),
    (
        [round(0.30 + 0.01 * ((7 * i) % 60), 2) for i in range(40)],
        [round(0.10 + 0.01 * ((11 * i) % 50), 2) for i in range(40)],
        (0.8421875, 0.475, 0.55),
    ),
]


@pytest.mark.parametrize(("protected", "control", "figures"), GOLDEN)
def test_curves_agree_with_the_published_evaluation(protected, control, figures):
    found = separation(np.array(protected), np.array(control))
    assert (found.auc, found.tpr_at_1, found.tpr_at_10) == pytest.approx(figures, abs=1e-9)


def test_scores_must_be_finite():
    with pytest.raises(ValueError, match="finite"):
        separation(np.array([np.nan]), np.array([0.1]))


def test_degenerate_resampling_is_said():
    protected, control = np.array([0.3500, 0.3500]), np.array([0.3475, 0.3475])
    found = resampled(protected, control, 2, 100, 2, 0, compat=True)
    assert (found.mean.auc, found.mean.tpr_at_1) == (1.0, 1.0)  # as published, and it means nothing
    assert "degenerate" in found.warning
    assert "near degenerate" in degenerate(3, 5, compat=False)
    assert degenerate(2, 5, compat=True) == ""
    with pytest.raises(ValueError, match="queries need"):
        resampled(protected, control, 3, 10, 1, 0, compat=True)


def test_more_queries_tell_systems_apart_better():
    rng = np.random.default_rng(0)
    protected, control = rng.normal(0.4, 0.12, 400), rng.normal(0.3, 0.12, 400)
    one, ten = (
        resampled(protected, control, count, 200, 3, 0, compat=False).mean.auc for count in (1, 10)
    )
    assert 0.65 < one < 0.8
    assert ten > 0.95


@pytest.mark.parametrize(("keys", "studies"), [(8, 400), (20, 100)])
def test_the_threshold_is_exceeded_at_the_rate_it_states(keys, studies):
    rng = np.random.default_rng(1)
    exceeded = []
    for seed in range(studies):
        # Two innocent systems; some keys score higher in both, and scores are skewed.
        scores, control = rng.gamma(1, 0.1, keys) + rng.gamma(1, 0.1, (2, keys))
        names = [str(key) for key in range(keys)]
        sides = [Compared(names, np.diag(values), {}, {}) for values in (scores, control)]
        config = DecideConfig(fpr=0.1, seed=seed, times=2, runs=1, compat=True)
        found = against_control(*sides, config)["threshold"]
        assert found["keys"] == keys
        assert found["exceeded"] == (scores.mean() > found["eta"])
        exceeded.append(found["exceeded"])
    assert binomtest(sum(exceeded), studies, 0.1).pvalue > 0.01


def test_a_threshold_is_found_by_use_and_needs_enough_keys():
    rng = np.random.default_rng(1)
    control = rng.normal(0.2, 0.1, 20)
    used = threshold(rng.normal(0.5, 0.1, 20), control, 0.05, 0)
    assert used.exceeded
    assert control.mean() < used.eta < 0.4
    # Of four keys there are 16 sign patterns, so none is as rare as one in twenty.
    assert threshold(np.ones(4), np.zeros(4), 0.05, 0).eta is None
    assert threshold(np.ones(5), np.zeros(5), 0.05, 0).exceeded
    assert threshold(np.ones(1), np.zeros(1), 0.5, 0).exceeded is None


def test_small_tests_go_through_every_pairing():
    found = permutation_test(np.eye(4), 0)
    assert found.exact
    assert found.p == pytest.approx(1 / 24)
    assert permutation_test(np.ones((3, 3)), 0).p == 1.0
    assert permutation_test(np.eye(20), 0, draws=9999).p == pytest.approx(1e-4)
    with pytest.raises(ValueError, match="at least two keys"):
        permutation_test(np.ones((1, 1)), 0)


@pytest.mark.parametrize("count", [5, 20])
def test_without_use_the_p_value_is_uniform(count):
    rng = np.random.default_rng(7)
    base = rng.normal(size=(400, count, count))
    base = base + rng.normal(size=(400, 1, count))  # some sentinels resemble every output
    values = [permutation_test(cosines, seed, draws=499).p for seed, cosines in enumerate(base)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert kstest(values, "uniform").pvalue > 0.01


def test_asking_one_by_one_stops_early_and_seldom_wrongly():
    assert 5 < sequential_test(np.eye(20) + 0.1, 1e-3).stop < 15
    rng = np.random.default_rng(3)
    wrong = [sequential_test(rng.normal(size=(20, 20)), 0.05).stop is not None for _ in range(1000)]
    assert np.mean(wrong) <= 0.05
    assert sequential_test(np.ones((5, 5))).p == 1.0


@pytest.fixture
def answered(tmp_path):
    """Write sources of flat colors and their sentinels, with the answers of two systems.

    The system returns the sources' colors, the control does not. The system's image of 6.png is
    missing, and 7.png is answered without a search.
    """
    colors = np.random.default_rng(0).integers(0, 255, (8, 4, 4, 3), dtype=np.uint8)
    record = Record(tmp_path / "record.json")
    system, control = Trials(tmp_path / "system"), Trials(tmp_path / "control")
    for number, coarse in enumerate(colors):
        name, image = f"{number}.png", np.kron(coarse, np.ones((16, 16, 1), np.uint8))
        save_png(Photo(image), tmp_path / "s" / name)
        lettered = image.copy()
        lettered[:9, number : number + 3] = 255
        save_png(Photo(lettered), tmp_path / f"images/sentinel_{number}.png")
        record.sentinels[name] = Sentinel(
            "BCDFG" + "HJKMNPRS"[number], f"s/{name}", f"images/sentinel_{number}.png"
        )
        for trials, shown in (
            (system, image),
            (control, np.roll(np.kron(colors[number - 3], np.ones((16, 16, 1), np.uint8)), 5, 0)),
        ):
            final = f"{number}_trial_1.png"
            save_png(Photo(shown), trials.folder / "images" / final)
            found = [f"/db/sentinel_{number}.png"] if trials is system else ["/db/other.png"]
            entry = {
                "random_key": record.sentinels[name].key,
                "trials": [
                    {
                        "trial_number": 1,
                        "retrieved_images": found,
                        "final_image": f"results/images/{final}",
                    }
                ],
            }
            trials.entries[name] = entry
    untriggered = {"trial_number": 1, "initial_image": "7_trial_1.png", "result": "matches prompt"}
    system.entries["7.png"]["trials"] = [untriggered]
    (system.folder / "images" / "6_trial_1.png").unlink()
    for one in (record, system, control):
        one.write()
    return tmp_path


@pytest.fixture(scope="session")
def looks(tmp_path_factory):
    import torch

    from models.image_text_net import ImageTextNet

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("looks")
    ImageTextNet(["a"], side=64, reader=(4, 4, 8), looks=(16,), appearance=64).save_pretrained(
        folder
    )
    return str(folder)


def decide(answered, looks, *more):
    folders = [str(answered / "record.json"), str(answered / "system"), "-o", str(answered / "out")]
    return run(main, ["decide", *folders, "--similarity", looks, "--level", "0.01", *more])


def change_answers(answered, change):
    """Rewrite the system's answers; ``change`` edits its entries in place."""
    file = answered / "system" / "out.json"
    entries = json.loads(file.read_text())
    change(entries)
    file.write_text(json.dumps(entries))
    return file


def test_the_command_decides_and_counts_what_is_missing(answered, looks, capsys):
    assert decide(answered, looks, "--control", str(answered / "control")) == 1
    told = capsys.readouterr()
    assert told.err == "error: system: 6.png: 1 of 1 output images are missing\n"
    printed = told.out
    assert "not compared: 1 key, that of 6.png" in printed
    assert "system: the sentinels were used" in printed
    assert "control: no evidence" in printed
    found = json.loads((answered / "out" / "decision.json").read_text())
    system = found["system"]
    assert system["keys"] == 7
    assert list(system["missing"]) == ["6.png"]
    assert system["triggered"]["share"] == pytest.approx(7 / 8)
    assert system["hits"]["hit@1"]["share"] == pytest.approx(7 / 8)  # the untriggered one is a miss
    assert system["permutation"]["p"] == pytest.approx(1 / 5040)
    assert system["reach"]["least_p"] == pytest.approx(1 / 5040)
    assert "undecided; 7 keys are too few, it takes 15" in printed
    assert "over keys" in printed
    assert "similarity to the sources: to its own" in printed
    assert system["compared_with"] == "sources"
    assert "7 keys, 1 query per score" in printed
    assert "threshold" in printed
    assert found["against_control"]["threshold"]["exceeded"]
    low, high = system["triggered"]["interval"]
    assert (low, high) == pytest.approx((0.4735, 0.9968), abs=1e-3), "one of eight keys"
    against = found["against_control"]
    assert against["single_query_auc"] == 1.0
    assert against["auc_interval"][0] < 0.8, "seven keys, all separated"
    assert against["auc_interval"][1] == 1
    assert against["tpr_at_1_fpr"] is against["tpr_at_10_fpr"] is None, "of seven keys"
    assert all(run["tpr_at_1"] is run["tpr_at_10"] is None for run in against["runs"])
    assert all(run["auc"] == 1 for run in against["runs"])
    assert "TPR - at 1 % FPR, - at 10 %" in printed
    assert json.loads((answered / "out" / "manifest.json").read_text())["model"]["sha256"]


def test_each_key_that_is_not_compared_is_named_and_the_exit_code_says_so(answered, looks, capsys):
    image = (answered / "system/images/5_trial_1.png").read_bytes()
    (answered / "system/images/6_trial_1.png").write_bytes(image)
    control = ["--control", str(answered / "control")]
    assert decide(answered, looks, *control) == 0
    assert capsys.readouterr().err == ""
    change_answers(answered, lambda entries: entries["2.png"].update(trials=[]))
    (answered / "control/images/4_trial_1.png").unlink()
    assert decide(answered, looks, *control) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: system: 2.png: no trials",
        "error: control: 4.png: 1 of 1 output images are missing",
    ]


def test_perfect_use_is_undecided_where_so_many_keys_cannot_reach_the_level(
    answered, looks, capsys
):
    assert decide(answered, looks, "--level", "0.0001") == 1
    printed = capsys.readouterr().out
    reason = "7 keys cannot reach level 0.0001, which takes at least 8 keys"
    assert f"system: undecided: {reason}" in printed
    found = json.loads((answered / "out" / "decision.json").read_text())["system"]
    assert found["used"] is None
    assert found["reach"]["least_keys"] == 8


def test_fewest_keys_reach_their_level_and_one_less_does_not():
    for keys in range(2, 9):
        test = permutation_test(np.eye(keys), 0)
        assert bool(reach_of(test, keys, 0.001)["words"]) == (keys < 7) == (test.p > 0.001)
    assert least_sequential_keys(0.001) == 19
    for keys in (18, 19):
        evidence = sequential_test(np.eye(keys), 0.001)
        assert max(evidence.evidence) == pytest.approx(greatest_evidence(keys))
        assert (evidence.stop is None) == (keys == 18)
    drawn = permutation_test(np.eye(12), 0, draws=999)
    assert "999 drawn pairings cannot reach level 0.0001" in reach_of(drawn, 12, 1e-4)["words"]


def test_the_interval_against_a_control_is_over_keys_not_over_draws():
    rng = np.random.default_rng(0)
    scores, others = rng.normal(0.35, 0.1, 20), rng.normal(0.3, 0.1, 20)
    config = DecideConfig(queries=10)
    sides = [
        Compared([f"{n}" for n in range(20)], np.diag(values), {}, {})
        for values in (scores, others)
    ]
    found = against_control(*sides, config)
    low, high = found["auc_interval"]
    assert high - low > 6 * found["deviation_of_draws"]["auc"]
    assert low < found["auc"] < high


def test_each_run_has_rates_only_of_enough_keys():
    rng = np.random.default_rng(0)
    many = [np.diag(rng.normal(mean, 0.1, 30)) for mean in (0.35, 0.3)]
    enough = against_control(
        *(Compared([f"{n}" for n in range(30)], values, {}, {}) for values in many),
        DecideConfig(queries=10, times=20),
    )
    assert all(run["tpr_at_1"] is None for run in enough["runs"]), "that takes 300 keys"
    assert all(0 <= run["tpr_at_10"] <= 1 for run in enough["runs"])


def test_compat_writes_the_published_file_and_gives_no_verdict(answered, looks, capsys):
    options = ["--compat", "true", "--queries", "7", "--times", "20"]
    assert decide(answered, looks, "--control", str(answered / "control"), *options) == 1
    printed = capsys.readouterr().out
    assert "degenerate" in printed
    assert "7 queries per score" in printed
    assert "system: no verdict: outputs were compared with the sentinels" in printed
    assert "p =" not in printed
    system = json.loads((answered / "out" / "decision.json").read_text())["system"]
    assert (system["compared_with"], system["valid_test"], system["used"]) == (
        "sentinels",
        False,
        None,
    )
    (file,) = (answered / "out").glob("*_evaluation_results_samples7_times20_totalruns5.json")
    content = json.loads(file.read_text())
    assert content["metrics_statistics"]["ROC-AUC"] == {"mean": 1.0}
    assert content["parameters"]["num_samples"] == 7
    assert len(content["all_runs_results"]) == 5
    rates = [name for run in content["all_runs_results"] for name in run if "TPR" in name]
    assert not rates, "of seven keys"
    assert "TPR@1%FPR" not in content["metrics_statistics"]


def test_missing_sources_are_named_with_what_to_do(answered, looks, capsys):
    moved = answered / "elsewhere"
    (answered / "s").rename(moved)
    assert decide(answered, looks) == 2
    error = capsys.readouterr().err
    assert (
        "8 sources cannot be used, such as that of 0.png: its source s/0.png is not there" in error
    )
    assert "give the folder of the original collection with --sources" in error
    assert decide(answered, looks, "--sources", str(moved)) == 1
    assert "the sentinels were used" in capsys.readouterr().out
    (moved / "3.png").unlink()
    assert decide(answered, looks, "--sources", str(moved)) == 1
    assert "not compared: 2 keys, such as that of 3.png: its source" in capsys.readouterr().out


def test_a_sentinel_under_its_sources_name_is_not_compared(answered, looks, capsys):
    sentinel = (answered / "images/sentinel_2.png").read_bytes()
    (answered / "s/2.png").write_bytes(sentinel)
    assert decide(answered, looks) == 1
    assert "is the sentinel itself" in capsys.readouterr().out
    record = Record.open(answered / "record.json")
    entry = record.sentinels["2.png"]
    record.sentinels["2.png"] = replace(entry, provenance={"source_sha256": "0" * 64})
    record.write()
    assert decide(answered, looks) == 1
    assert "its sha256 differs" in capsys.readouterr().out


def test_answers_may_have_another_name(answered, looks, capsys):
    (answered / "system" / "out.json").rename(answered / "system" / "sdxl.json")
    assert decide(answered, looks) == 2
    assert "the folder has sdxl.json" in capsys.readouterr().err
    assert decide(answered, looks, "--name", "sdxl") == 1
    (answered / "system" / "sdxl.json").write_text('{"a": 1}')
    assert decide(answered, looks, "--name", "sdxl") == 2


def test_answers_whose_trials_are_none_are_named(answered, looks, capsys):
    file = answered / "system" / "out.json"
    entries = json.loads(file.read_text())
    entries["3.png"]["trials"] = [0.5]
    file.write_text(json.dumps(entries))
    assert decide(answered, looks) == 2
    assert f"{file}: not the answers of a system: 3.png" in capsys.readouterr().err


def test_answers_to_the_keys_of_another_record_prove_nothing(answered, looks, capsys):
    """A system that returns the sources exactly, but was asked for other keys."""

    def replant(entries):
        for number, entry in enumerate(entries.values()):
            entry["random_key"] = "WWWWW" + "HJKMNPRS"[number]

    file = change_answers(answered, replant)
    assert decide(answered, looks) == 2
    error = capsys.readouterr().err
    assert f"{file}: these answers are to another record: the key of 0.png is WWWWWH" in error
    assert f"but BCDFGH in {answered / 'record.json'}" in error
    assert not (answered / "out").exists()


@pytest.mark.parametrize("side", ["system", "control"])
def test_a_mixture_of_answers_to_two_records_is_refused(answered, looks, capsys, side):
    trials = Trials.open(answered / side)
    trials.entries["3.png"]["random_key"] = "WWWWWW"
    trials.write()
    assert decide(answered, looks, "--control", str(answered / "control")) == 2
    assert (
        f"{trials.file}: 1 of 8 answers are to another record: the key of 3.png is WWWWWW"
        in capsys.readouterr().err
    )


def test_answers_without_keys_are_taken_as_those_to_the_record(answered, looks, capsys):
    change_answers(
        answered, lambda entries: [entry.pop("random_key") for entry in entries.values()]
    )
    decide(answered, looks)
    assert "the sentinels were used" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("retrieved_images", "/db/sentinel_3.png", "retrieved_images that are no list of paths"),
        ("retrieved_images", [1], "retrieved_images that are no list of paths"),
        ("retrieved_images", ["a", ["b"]], "retrieved_images that are no list of paths"),
        ("final_image", 5, "a final_image that is no path"),
    ],
)
def test_fields_of_a_wrong_type_are_named(answered, looks, capsys, field, value, fault):
    file = change_answers(
        answered, lambda entries: entries["3.png"]["trials"][0].update({field: value})
    )
    assert decide(answered, looks) == 2
    assert f"{file}: not the answers of a system: 3.png has {fault}" in capsys.readouterr().err


@pytest.mark.parametrize("found", [None, [], [["/db/sentinel_3.png"], ["/db/other.png"]]])
def test_nothing_or_a_list_for_each_caption_may_be_retrieved(answered, found):
    change_answers(
        answered, lambda entries: entries["3.png"]["trials"][0].update(retrieved_images=found)
    )
    assert len(Trials.open(answered / "system").entries) == 8


def test_the_same_decision_may_be_repeated_and_no_other_is_replaced(answered, looks, capsys):
    decide(answered, looks)
    file = answered / "out" / "decision.json"
    first = file.read_bytes()
    file.unlink()
    decide(answered, looks)
    assert file.read_bytes() == first
    (answered / "system").rename(answered / "other")
    (answered / "control").rename(answered / "system")
    decide(answered, looks)
    changed = file.read_bytes()
    assert changed != first, "of changed answers in the same folder"
    assert decide(answered, looks, "--level", "0.02") == 2
    assert "(config differs)" in capsys.readouterr().err
    record, out = str(answered / "record.json"), str(answered / "out")
    others = str(answered / "other")
    assert run(main, ["decide", record, others, "-o", out, "--similarity", looks]) == 2
    assert "(answers differs)" in capsys.readouterr().err
    assert file.read_bytes() == changed


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "lies inside the output folder"),
        ("images", "is the input"),
        ("images/new", "lies inside the input"),
        ("system", "is the input"),
        ("control/new", "lies inside the input"),
        ("s", "holds files that are not an earlier run's"),
        ("planted", "holds the results of sentinels plant"),
    ],
)
def test_no_decision_is_written_among_other_files(answered, looks, capsys, output, reason):
    (answered / "planted").mkdir()
    write_manifest(answered / "planted", command="sentinels plant", settings={})
    before = {file: file.read_bytes() for file in answered.rglob("*") if file.is_file()}
    # the last -o counts
    more = ["--control", str(answered / "control"), "-o", str(answered / output)]
    assert decide(answered, looks, *more) == 2
    assert reason in capsys.readouterr().err
    assert {file: file.read_bytes() for file in answered.rglob("*") if file.is_file()} == before


def test_no_decision_is_written_into_the_collection(answered, looks, capsys):
    record = Record.open(answered / "record.json")
    record.provenance["inputs"] = str(answered / "s")
    record.write()
    assert decide(answered, looks, "-o", str(answered / "s" / "new")) == 2
    assert f"lies inside the input {answered / 's'}" in capsys.readouterr().err
