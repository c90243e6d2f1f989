import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from engine.cli import run
from engine.devices import DeviceOptions
from engine.files import locked
from engine.job import JobOptions
from eval.__main__ import main
from eval.attacks.rag import (
    FlowConfig,
    ImageToImageGenerator,
    ReadingJudge,
    Retriever,
    query_prompt,
)
from eval.attacks.rag.judges import quoted
from eval.reports.rag import write_rag_report
from eval.studies.rag import summary
from eval.studies.rag_database import Database
from eval.studies.rag_robustness import run_robustness
from images.inputs import find_images
from models.embed_job import embed_images
from models.embedders import open_embedder
from sentinels.client import Client
from sentinels.decide import decide
from sentinels.decide_config import DecideConfig
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter
from sentinels.record import Record
from tests.eval.studies.retrieval_attack import attack


def test_a_local_system_is_asked_in_every_arm(planted, collection, tmp_path, reads, pipelines):
    generator, output = ImageToImageGenerator(pipelines[0], steps=4), tmp_path / "out"
    arms = ("protected", "control", "replacement")
    done = attack(
        planted,
        collection,
        output,
        reads,
        generator,
        ReadingJudge(reads),
        arms=arms,
        flow=FlowConfig(top_k=99),
    )
    names = {
        arm: set(trials.entries["00001/000000001.png"]["trials"][0]["retrieved_images"])
        for arm, trials in done.arms.items()
    }
    record = Record.open(planted)
    sentinels = {str(path) for _, _, path in record.pairs()}
    sources = {str(collection / name) for name in record.sentinels}
    assert len(names["control"]) == 9
    assert names["protected"] == (names["control"] - sources) | sentinels
    assert names["replacement"] == names["protected"]
    trial = done.arms["protected"].entries["00001/000000001.png"]["trials"][0]
    key = record.sentinels["00001/000000001.png"].key
    assert trial["caption"] == key
    assert trial["prompt"] == query_prompt(key)
    assert (output / "protected" / "images" / trial["initial_image"]).is_file()
    assert (output / "protected" / "images" / trial["final_image"]).is_file()
    assert summary(done.arms["control"]) == {"keys": 4, "trials": 4, "triggered": 4, "undecided": 0}
    assert json.loads((output / "manifest.json").read_text())["finished"]
    first = {path: path.stat().st_mtime_ns for path in output.rglob("*.png")}
    again = attack(
        planted,
        collection,
        output,
        reads,
        generator,
        ReadingJudge(reads),
        arms=arms,
        flow=FlowConfig(top_k=99, trials=2),
    )
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert summary(again.arms["protected"])["trials"] == 8
    with pytest.raises(ValueError, match="other settings"):
        attack(planted, collection, output, reads, generator, ReadingJudge(reads), seed=1)


def test_answers_are_kept_for_the_same_record_and_images_alone(
    planted, collection, tmp_path, reads, pipelines
):
    generator, judge = ImageToImageGenerator(pipelines[0], steps=2), ReadingJudge(reads)
    mine = tmp_path / "mine"
    shutil.copytree(collection, mine)

    def ask():
        return attack(planted, mine, tmp_path / "out", reads, generator, judge, arms=("protected",))

    first = ask()
    assert summary(ask().arms["protected"]) == summary(first.arms["protected"])
    one, other, *_ = sorted(mine.rglob("*.png"))
    before = one.read_bytes()
    one.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match=r"other settings or weights \(contents differs"):
        ask()
    one.write_bytes(before)
    shutil.rmtree(planted.parent)
    plant(mine, planted.parent, LocalPlanter(), PlantConfig(count=4, seed=4), None)
    with pytest.raises(ValueError, match=r"other settings or weights \(record differs"):
        ask()


def test_attacks_that_are_refused(planted, collection, tmp_path, reads, pipelines):
    generator, judge = ImageToImageGenerator(pipelines[0], steps=2), ReadingJudge(reads)
    with pytest.raises(ValueError, match="size must be at least 1, or null"):
        Database(collection, size=0)
    with pytest.raises(ValueError, match="arms is empty; name at least one of protected"):
        attack(planted, collection, tmp_path / "out", reads, generator, judge, arms=())
    with pytest.raises(ValueError, match="lies inside the input"):
        attack(planted, collection, collection / "out", reads, generator, judge)
    shutil.copytree(collection, tmp_path / "deep" / "er")
    with pytest.raises(ValueError, match="none of the sentinels' 4 sources is in this folder"):
        attack(planted, tmp_path / "deep", tmp_path / "out", reads, generator, judge)
    database = Database(collection, embedder=reads, accelerator="cpu")
    with pytest.raises(ValueError, match="lies inside the input"):
        run_robustness(planted, collection / "out", database, generator, judge, reads, reads)
    with pytest.raises(ValueError, match="edits is empty; name at least one of none"):
        run_robustness(planted, tmp_path / "out", database, generator, judge, edits=())
    assert not (tmp_path / "out").exists()
    assert not (collection / "out").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--database.size", "10", "size must be at most the 9 images in"),
        ("--database.batch-size", "0", "batch_size must be at least 1"),
        ("--database.accelerator", "abacus", "accelerator 'abacus' is not one of"),
        ("--database.method", "bm25", "method bm25 searches captions: give --database.captions"),
        ("--decide.level", "1", "level must lie between 0 and 1, got 1"),
        ("--decide.fpr", "0", "fpr must lie between 0 and 1, got 0"),
        ("--decide.runs", "0", "runs must be at least 1, got 0"),
        ("--decide.times", "-1", "times must be at least 1, got -1"),
        ("--decide.queries", "5", "queries must be at most the 4 keys of"),
        ("--decide.seed", "-1", "--decide.seed: -1 is not a seed"),
        ("--decide.similarity", "./nowhere", "./nowhere"),
        ("--database.vectors", "COLLECTION/vectors", "lies inside the input"),
        ("--output", "SENTINELS/images/out", "lies inside the input"),
        ("--output", "SENTINELS", "lies inside the output folder"),
    ],
)
def test_what_is_out_of_range_is_refused_before_any_work(
    planted, collection, tmp_path, reads, capsys, option, value, message
):
    before = sorted(tmp_path.rglob("*"))
    value = value.replace("COLLECTION", str(collection)).replace("SENTINELS", str(planted.parent))
    args = f"rag -o {tmp_path}/out --record {planted} --database.originals {collection} "
    args += f"--database.embedder {reads} --database.accelerator cpu --decide.similarity {reads} "
    args += f"--generator ImageToImageGenerator --generator.model {reads} "
    args += f"--judge ReadingJudge --judge.reader {reads}"
    assert run(main, [*args.split(), option, value]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert sorted(tmp_path.rglob("*")) == before


def test_one_run_at_a_time_writes_into_a_folder_that_only_the_user_reads(
    planted, collection, tmp_path, reads, pipelines
):
    generator, judge = ImageToImageGenerator(pipelines[0], steps=2), ReadingJudge(reads)
    out = tmp_path / "out"
    with locked(out), pytest.raises(ValueError, match="another run is writing into this folder"):
        attack(planted, collection, out, reads, generator, judge, arms=("protected",))
    out.rmdir()
    attack(planted, collection, out, reads, generator, judge, arms=("protected",))
    assert not [path for path in (out, *out.rglob("*")) if path.stat().st_mode & 0o077]


def test_decoys_have_the_same_keys_on_images_that_are_no_sources(
    planted, collection, tmp_path, reads, pipelines
):
    generator, output = ImageToImageGenerator(pipelines[0], steps=3), tmp_path / "out"
    arms = ("protected", "decoy")
    flow = FlowConfig(top_k=99)
    judge = ReadingJudge(reads)
    done = attack(planted, collection, output, reads, generator, judge, arms=arms, flow=flow)
    record, decoys = Record.open(planted), Record.open(output / "decoys" / "record.json")
    assert list(decoys.sentinels) == list(record.sentinels)
    sources = [decoys.locate(decoy.original) for decoy in decoys.sentinels.values()]
    assert len(set(sources)) == 4
    assert all(str(path.relative_to(collection)) not in record.sentinels for path in sources)
    for name, sentinel in record.sentinels.items():
        assert decoys.sentinels[name].key == sentinel.key
    entry = done.arms["decoy"].entries["00001/000000001.png"]
    found = set(entry["trials"][0]["retrieved_images"])
    assert {str(path) for _, _, path in decoys.pairs()} <= found
    assert not {str(path) for _, _, path in record.pairs()} & found
    config = DecideConfig(similarity=reads, level=0.1)
    folders = [run.folder for run in done.arms.values()]
    record_of_decoys = output / "decoys" / "record.json"
    decision = decide(
        planted, folders[0], tmp_path / "d", config, decoy=(folders[1], record_of_decoys)
    )
    assert decision["decoy"]["keys"] == 4
    assert decision["decoy"]["compared_with"] == "sources"
    matrix = np.load(tmp_path / "d" / "similarities.npy", allow_pickle=False)
    own = decision["system"]["similarity"]["mean"]
    assert np.diag(matrix).mean() == pytest.approx(own, abs=1e-6)
    page = write_rag_report(
        tmp_path / "d", planted, decision, dict(zip(arms, folders, strict=True)), matrix
    ).read_text()
    assert "show no keys" in page
    assert "<td>decoy" in page.replace(' class="text"', "") or "decoy</th>" in page


def test_too_few_images_for_decoys_are_said_before_the_run(
    planted, collection, tmp_path, reads, pipelines
):
    few = tmp_path / "few"
    for name in Record.open(planted).sentinels:
        (few / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(collection / name, few / name)
    generator = ImageToImageGenerator(pipelines[0], steps=3)
    with pytest.raises(ValueError, match="4 decoys need as many images that are no sources"):
        attack(planted, few, tmp_path / "o", reads, generator, ReadingJudge(reads), arms=("decoy",))


def test_a_picture_that_shows_the_key_needs_no_search(
    planted, collection, tmp_path, reads, pipelines
):
    class Satisfied(ReadingJudge):
        async def matches(self, picture, prompt, salt):
            return "yes"

    done = attack(
        planted,
        collection,
        tmp_path / "out",
        reads,
        ImageToImageGenerator(pipelines[0], steps=3),
        Satisfied(reads),
        arms=("control",),
    )
    assert summary(done.arms["control"]) == {"keys": 4, "trials": 4, "triggered": 0, "undecided": 0}
    assert (
        done.arms["control"].entries["00001/000000001.png"]["trials"][0]["result"]
        == "matches prompt"
    )


def test_every_way_to_search_runs(collection, service, stub, tmp_path, reads):
    embedder = open_embedder(reads)
    report = embed_images(
        find_images([collection]),
        tmp_path / "v",
        embedder,
        "sentinels embed",
        JobOptions(DeviceOptions("cpu")),
    )
    store = report.store
    captions = {
        f"originals/{name}": f"thing number {place}"
        for place, name in enumerate(sorted(store.labels))
    }

    def search(method, **more):
        async def go():
            async with Client(service, tmp_path / "answers") as client:
                return await Retriever(
                    {"originals": store}, embedder, method, captions, client, **more
                ).search("thing number 7", 3)

        return asyncio.run(go())

    names = sorted(captions)
    assert len(search("cosine")) == 3
    assert search("bm25")[0][0] == names[7]
    assert len(search("fusion")) == 3
    before = [name for name, _ in search("cosine")]
    stub.say = lambda asked: "1, 0"
    assert [name for name, _ in search("rerank", candidates=2)] == [before[1], before[0], before[2]]
    stub.say = lambda asked: "the second, I think"
    assert [name for name, _ in search("rerank", candidates=3)] == before
    assert {name for name, _ in search("cosine", limit=2)} == set(names[:2])
    with pytest.raises(ValueError, match="needs captions"):
        Retriever({"originals": store}, embedder, "bm25")


def test_the_command(planted, collection, tmp_path, reads, pipelines, capsys):
    args = [
        "rag",
        "-o",
        str(tmp_path / "out"),
        "--record",
        str(planted),
        "--database.originals",
        str(collection),
    ]
    args += [
        "--database.embedder",
        reads,
        "--database.accelerator",
        "cpu",
        "--generator",
        "ImageToImageGenerator",
    ]
    args += [
        "--generator.model",
        pipelines[0],
        "--generator.steps",
        "3",
        "--judge",
        "ReadingJudge",
        "--judge.reader",
        reads,
    ]
    args += ["--decide.similarity", reads]
    assert run(main, args) == 0
    told = capsys.readouterr().out
    assert "protected: 4 keys, 4 trials" in told
    assert "permutation" in (tmp_path / "out" / "decision" / "decision.json").read_text()
    report = tmp_path / "out" / "report.html"
    assert not report.stat().st_mode & 0o077  # it has the keys
    page = report.read_text()
    assert page.count("data:image/png") == 4 * 4 + 1
    assert Record.open(planted).sentinels["00001/000000001.png"].key in page
    assert str(tmp_path) not in page
    assert str(Path.cwd()) not in page
    damaged = next((tmp_path / "out" / "protected" / "images").glob("*_trial_1.png"))
    damaged.write_bytes(b"no image")
    assert run(main, args) == 1
    assert f"error: system: 0000{damaged.name[4]}/" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "out")
    assert run(main, [*args[:-2], "--judge", "ServiceJudge", "--decide.similarity", reads]) == 2
    assert "service" in capsys.readouterr().err
    assert run(main, [*args, "--generator.device", "cuda:77"]) == 2
    assert "not on this machine" in capsys.readouterr().err


def test_names():
    assert quoted("with 'ABC' and \"D E\" and 'ABC'") == ["ABC", "D E"]
