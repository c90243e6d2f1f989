"""Every page with small results whose names are hostile.

Each builder returns the page's file.
"""

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.eval.protection_runs import protection_run

NAME = "<img src=x onerror=alert(1)>\"'&\N{RIGHT-TO-LEFT OVERRIDE}gnp.png"
"""A file name that is markup, ends attributes, and turns what follows around."""
LONG = "a_very_long_name_of_a_file_that_goes_on_" * 4 + ".png"
ARMS = ("clean", "noise", "rid")


def image(file, side=64, seed=0):
    """A smooth image of noise."""
    file.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(file, "PNG")
    return file


def personalization(folder):
    from eval.reports.personalization import write_report

    measured = {
        "ism_all": 0.61234,
        "ism": 0.7,
        "fdfr": 0.25,
        "brisque": 31.5,
        "psnr": float("inf"),
        "ssim": float("nan"),
        "levels": 6.0,
    }
    for person in ("anna", NAME.replace(".png", "")):
        place = folder / "people" / person
        for number in range(4):
            image(place / f"original_{number}.png", seed=number)
            for arm in ARMS:
                image(place / arm / f"protected_{number}.png", seed=number)
                image(place / arm / f"generated_{number}.png", seed=10 + number)
        result = {"name": person, "real_ism": 0.9, "measured": dict.fromkeys(ARMS, measured)}
        (place / "result.json").write_text(json.dumps(result))
        if person == "anna" and folder.name == "alone":
            break
    manifest = {
        "command": "python -m eval personalize",
        "version": "0.1.0",
        "time": "2026-11-30T00:00:00+00:00",
        "seed": 0,
    }
    settings = {"people": [NAME] * 30}
    (folder / "manifest.json").write_text(
        json.dumps(manifest | {"budget_levels": 6.0, "finished": True, "settings": settings})
    )
    _indexing(folder / "indexing")
    write_report(folder)
    return folder / "report.html"


def _indexing(folder):
    edits = [
        {
            "attack": "blur",
            "attack_param": str(n),
            "recall_at_1": 0.5 + 0.1 * n,
            "recall_at_1_interval": [0.25, 0.95],
            "interval": [0.01, 0.2],
            "p_holm": 0.012,
        }
        for n in range(4)
    ]
    mean = {"recall_at_1": 0.6, "interval": [0.01, 0.1]}
    arms = {arm: {"edits": edits, "mean": mean} for arm in ("unchanged", "activated")}
    summary = {
        "pictures": 2,
        "arms": arms,
        "comparisons": 4,
        "differences": {"activated - unchanged": {"edits": edits, "mean": mean}},
    }
    (folder / "active").mkdir(parents=True)
    for arm in arms:
        (folder / "retrieval" / arm).mkdir(parents=True)
        (folder / "retrieval" / arm / "retr_df.csv").write_text("r@1\n" + "1\n0\n" * 4)
    (folder / "retrieval" / "summary.json").write_text(json.dumps(summary))
    (folder / "active" / "activated.csv").write_text(
        "source,output,psnr,levels\n0.png,0.png,42.5,6\n1.png,1.png,43.5,5\n"
    )
    for number in range(2):
        image(folder / "pictures" / "originals" / f"{number}.png", seed=number)
        image(folder / "active" / f"{number}.png", seed=number)


def matrix(folder):
    from eval.reports.matrix import write_matrix_report

    rows = []
    for place, arm in enumerate(ARMS):
        for attack in ("textual inversion", "DreamBooth LoRA", "<b>ti</b>"):
            for purification in ("none", "jpeg75", "diffpure"):
                for person in ("anna", "berta"):
                    for number in range(4):
                        image(
                            folder
                            / "cells"
                            / attack
                            / purification
                            / "people"
                            / person
                            / arm
                            / f"generated_{number}.png",
                            seed=number,
                        )
                    facts = {
                        "attack": attack,
                        "purification": purification,
                        "arm": arm,
                        "person": person,
                        "references": 12,
                        "real_ism": 0.9,
                    }
                    rows.append(
                        facts
                        | {
                            "ism_all": 0.8 - 0.1 * place - 0.05 * (person == "anna"),
                            "fdfr": 0.0,
                            "brisque": 30.0 + place,
                        }
                    )
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    write_matrix_report(folder)
    return folder / "report.html"


def rag(folder):
    from eval.reports.rag import write_rag_report

    names, entries, answers = (NAME, LONG, "0001/0003.png"), {}, {}
    for number, name in enumerate(names):
        image(folder / "source" / f"{number}.png", seed=number)
        image(folder / "protected" / "images" / f"{number}.png", seed=10 + number)
        entries[name] = {
            "random_key": f"KEY{number}",
            "original_image": f"source/{number}.png",
            "generated_image": f"source/{number}.png",
        }
        answers[name] = {"trials": [{"final_image": f"{number}.png", "retrieved_images": ["a"]}]}
    (folder / "record.json").write_text(json.dumps({"processed_images": entries}))
    (folder / "protected" / "out.json").write_text(json.dumps(answers))
    facts = {
        "used": True,
        "valid_test": True,
        "compared_with": "sources",
        "permutation": {"p": 0.0004},
        "similarity": {"mean": 0.91, "mismatched": 0.41},
        "triggered": {"share": 0.97},
        "hits": {"hit@1": {"share": 0.9}},
        "sequential": {"stop_after_keys": None},
        "reach": {"least_p": 0.00019},
    }
    against = {
        "queries": 4,
        "auc": 0.99,
        "tpr_at_1_fpr": 0.9,
        "tpr_at_10_fpr": 0.95,
        "tpr_at_10_fpr_interval": [0.81, 0.97],
        "warning": "Few queries.",
    }
    decision = {"system": facts, "control": facts | {"used": False}, "against_control": against}
    arms = {"protected": folder / "protected"}
    return write_rag_report(folder, folder / "record.json", decision, arms, np.eye(3))


def retrieval(folder):
    from eval.reports.retrieval import write_report
    from eval.reports.retrieval_figures import Answers

    rng = np.random.default_rng(0)
    labels = [("blur", str(n)) for n in range(6)] + [("<b>crop</b>", "0.5")]
    answers = {}
    for arm in ("unchanged", "activated"):
        ids = rng.integers(0, 20, (20, len(labels), 5))
        ids[:12, :, 0] = np.arange(12)[:, None]
        distances = np.sort(rng.random((20, len(labels), 5)), axis=-1).astype(np.float32)
        chains = (
            np.sort(rng.random((30, 5)), axis=-1).astype(np.float32),
            rng.integers(0, 20, (30, 5)),
        )
        answers[arm] = Answers(labels, np.arange(20), distances, ids, chains)
    write_report(folder, answers, 1.0, "l2", 20, 0)
    return folder / "report.html"


def scan(folder):
    from detectors.calibration import Calibration
    from detectors.detector import Detector
    from detectors.ensemble import Ensemble, Member
    from detectors.operating_points import OperatingPoint
    from detectors.scan import Finding
    from detectors.scan_page import write_page
    from images.transforms.views import View

    for number, name in enumerate((NAME, LONG, "a.png", "0001.png", "=cmd.png")):
        image(folder / "photos" / name[-200:], seed=number, side=200)
    names = sorted(path.name for path in (folder / "photos").iterdir())
    verdicts = ("generated", "unsure", "real", "real", "generated")
    found = [
        Finding(name, verdict, probability=value, logit=1.5, width=200, height=200)
        for name, verdict, value in zip(names, verdicts, (0.9, 0.5, 0.1, 0.05, 0.99), strict=True)
    ]
    found += [
        Finding(
            f"{number}.png", "real", probability=0.01 * number, logit=-2.0, width=640, height=480
        )
        for number in range(40)
    ]
    found.append(Finding("broken.png", error=f"{NAME}: damaged"))
    point = OperatingPoint(0.05, real_below=-0.5, generated_above=0.5)
    calibration = Calibration(images=500, points=(point,))
    detector = Detector("tiny_patches", view=View("crop", size=24, resize=24)).eval()
    detector.calibration = calibration

    class Judged(Ensemble):
        def purposes(self):
            return {NAME: "for tests"}

    ensemble = Judged({NAME: detector}, (Member(NAME, ""),), calibration)
    write_page([folder / "photos"], found, ensemble, folder / "scan.html")
    return folder / "scan.html"


def search(folder):
    from indexing.matches import Match
    from indexing.search_page import write_page
    from indexing.verdicts import Judge

    matches = []
    for number in range(6):
        query = image(
            folder / (NAME if number == 0 else f"query{number}.png"), seed=number, side=160
        )
        for rank in range(1, 6):
            entry = (
                str(image(folder / "index" / f"{number}-{rank}.png", seed=rank, side=200))
                if rank < 3
                else f"/gone/{rank}/{LONG}"
            )
            verdict = ("copy", "unsure", "not in the index", "no threshold")[number % 4]
            score = 1 - 0.1 * rank
            matches.append(Match(str(query), rank, entry, 0.1 * rank, score, score, verdict))
    matches.append(Match("lonely.png", 0, "", math.nan, math.nan, math.nan, "not in the index"))
    judge = Judge(copy=0.7, unsure=0.4, calibration="Calibrated on 99 entries.")
    write_page(matches, "1 of 7 images is a copy", judge, folder / "search.html")
    return folder / "search.html"


def dedup(folder):
    from indexing.dedup import Member
    from indexing.dedup_page import write_page

    members = []
    for number in range(1, 4):
        for name in (NAME, f"{number}.png", LONG):
            file = image(folder / str(number) / name[-200:], seed=number, side=160)
            members.append(Member(number, str(file), 0.9, 4, "pdq+descriptor"))
        members.append(Member(number, f"/gone/{number}.png", None, None, "file"))
    write_page(members, "9 images", "Equal files are copies.", folder / "dedup.html")
    return folder / "dedup.html"


def inspect(folder):
    from datamodules.fake2m.inspection import write_inspection
    from datamodules.fake2m.shortcuts import Gate
    from engine.pages.data_urls import data_url

    gate = Gate(0.51, {"codec": 0.5, "width": 0.52}, (240, 250))
    url = data_url(image(folder / "a.png").read_bytes(), "png")
    sheets = {
        kind: [(url, f"{kind}: {NAME}, PNG 64x64")] * 12 + [("", f"{LONG}: unreadable")]
        for kind in ("real", "generated")
    }
    counts = {
        name: {kind: {NAME: 12, "PNG": 300, kind: 1} for kind in sheets}
        for name in ("subset", "codec", "size", "jpeg_quality", "generator")
    }
    records = [
        {
            "label": n % 2,
            "nbytes": 1000 + n,
            "width": 64,
            "height": 64,
            "aesthetic": 5.0 + 0.01 * n,
            "subset": "p",
        }
        for n in range(80)
    ]
    write_inspection(folder / "inspection.html", gate, sheets, counts, records)
    return folder / "inspection.html"


def leaderboard(folder):
    from detectors.leaderboard import leaderboard as rank
    from detectors.mpbench import columns

    files = []
    for flips, name in enumerate(("alpha", "<b>beta<b>", LONG.removesuffix(".png"))):
        rows = ["label,score,column,generator"]
        for column in columns("real") + columns("generated"):
            label = int(column in columns("generated"))
            rows += [
                f"{label},{0.9 if label ^ (n < flips) else 0.1},{column},{column if label else ''}"
                for n in range(10)
            ]
        files.append(folder / f"{name}.csv")
        files[-1].write_text("\n".join(rows) + "\n")
    rank(files, folder)
    return folder / "leaderboard.html"


def redteam(folder):
    from eval.reports.redteam import write_redteam_report

    rows = []
    for attack, purification in (("textual inversion", "none"), ("<b>ti</b>", "diffpure")):
        for person in ("anna", NAME.replace(".png", "")):
            people = folder / "cells" / attack / purification / "people" / person
            for number in range(2):
                image(people / f"original_{number}.png", seed=number, side=130)
                for arm in ("clean", "protected"):
                    for kind in ("protected", "generated", "purified"):
                        if kind != "purified" or purification != "none":
                            image(people / arm / f"{kind}_{number}.png", seed=number, side=130)
            for arm, ism in (("clean", 0.8), ("protected", 0.4 + 0.01 * len(person))):
                names = {"attack": attack, "purification": purification, "arm": arm}
                figures = {"person": person, "real_ism": 0.9, "ism_all": ism, "fdfr": 0.1}
                figures["references"] = 12
                rows.append(names | figures | {"model": NAME, "minutes": 1.25})
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    manifest = {
        "command": "eval redteam",
        "bound": {"images": 12, "largest": 8, "median": 6.5, "unchanged": 2},
        "leftovers": {"protected": [NAME, LONG] * 4, "clean": [], "others": ["notes.txt"]},
        "not_run": [f"lora/{NAME}"],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    write_redteam_report(folder)
    return folder / "report.html"


def protections(folder):
    from eval.reports.leaderboard import write_leaderboard

    for name, arms in (("first", (NAME, "rid", "mist")), (LONG[:100], ("pgd", "glaze"))):
        effects = {arm: -0.1 * place for place, arm in enumerate(arms)}
        protection_run(folder / name, effects)
    protection_run(folder / "others", {"rid": -0.2}, seed=1)
    write_leaderboard([folder / name for name in ("first", LONG[:100], "others")], folder)
    return folder / "leaderboard.html"


def compare(folder):
    from eval.compare.runs import compare_runs, write_comparison

    a = protection_run(folder / "a", {"rid": -0.3, NAME: -0.1, LONG: 0.0})
    b = protection_run(folder / NAME, {"rid": -0.4, NAME: -0.2, LONG: 0.0, "mist": 0}, steps=400)
    write_comparison(compare_runs(a, b), a, b, folder / "compare.html")
    return folder / "compare.html"


PAGES = {
    make.__name__: make
    for make in (
        personalization,
        matrix,
        rag,
        retrieval,
        scan,
        search,
        dedup,
        inspect,
        leaderboard,
        redteam,
        protections,
        compare,
    )
}
