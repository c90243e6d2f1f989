"""Every verb that reads files: a small valid command, and what of its inputs may be damaged."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One verb with small inputs.

    Attributes:
        line: Its command in the world's folder; results go to ``out``.
        parts: The world's files and folders that it reads.
        counted: Those whose images are counted: done + failed + skipped of the run's manifest is
            how many there are.
        needs: Further parts, which are not damaged.
        share: How often it is tried, beside the others; less where it takes seconds.
        goes_on: Whether the same command goes on in its folder, so that an earlier run's records
            may be damaged, too.
        code: Exit codes of a run in which all is well.
    """

    line: str
    parts: tuple[str, ...]
    counted: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    share: int = 4
    goes_on: bool = True
    code: tuple[int, ...] = (0,)

    @property
    def name(self) -> str:
        """Room and verb."""
        return " ".join(self.line.split()[:2])


ONE = "--workers 0 --accelerator cpu"
"""In one thread, so that a case costs little."""

SHORT = "--trainer.max_steps 1 --trainer.accelerator cpu"
"""One step, whatever is left of the config."""

SD = (
    "--objective Denoising --objective.models [sd] "
    "--side 64 --pgd.steps 1 --accelerator cpu --workers 0"
)

RAG = ("sentinels", "collection", "captions.json", "embedder", "sd")

CASES = [
    Case(f"rid protect photos -o out --weights rid {ONE}", ("photos", "rid"), ("photos",), share=8),
    Case(
        f"rid protect list.txt photos/s.tar -o out --weights rid {ONE}",
        ("list.txt", "photos"),
        needs=("rid",),
    ),
    Case(
        f"rid fit -c configs/rid_fit.yaml {SHORT}",
        ("configs/rid_fit.yaml", "pairs", "sd", "collection"),
        share=2,
        goes_on=False,
    ),
    Case(
        f"rid validate -c configs/rid_fit.yaml {SHORT}",
        ("configs/rid_fit.yaml", "pairs", "sd", "collection"),
        share=1,
        goes_on=False,
    ),
    Case(f"rid pairs collection -o out {SD}", ("collection", "sd"), ("collection",), share=2),
    Case(
        "rid convert released/ASDS-eps-12_255.bin out --heads 2",
        ("released/ASDS-eps-12_255.bin",),
        goes_on=False,
    ),
    Case("rid convert rid out.bin", ("rid",), share=2, goes_on=False),
    Case("rid export rid -o out.onnx", ("rid",), goes_on=False),
    Case(
        f"detectors fit -c configs/detector_fit.yaml {SHORT}",
        ("configs/detector_fit.yaml", "shards"),
        share=2,
        goes_on=False,
    ),
    Case(
        f"detectors validate -c configs/detector_fit.yaml {SHORT}",
        ("configs/detector_fit.yaml", "shards"),
        share=2,
        goes_on=False,
    ),
    Case(
        f"detectors features frozen --data [shards/train-*.tar] -o out {ONE}", ("frozen", "shards")
    ),
    Case(
        "detectors calibrate detector --data [shards/val-*.tar] --histories 0.5 "
        "--workers 0 --accelerator cpu",
        ("detector", "shards"),
        goes_on=False,
    ),
    Case(
        "detectors test detector --data [shards/val-*.tar] -o out --resamples 40 --workers 0 "
        "--accelerator cpu",
        ("detector", "shards"),
    ),
    Case(
        "detectors robustness detector --data [shards/val-*-000000.tar] -o out --workers 0 "
        "--accelerator cpu",
        ("detector", "shards"),
        share=1,
    ),
    Case(
        "detectors protocol configs/detector_fit.yaml --kind families --train [shards/train-*.tar] "
        f"--test [shards/val-*.tar] -o out {ONE}",
        ("configs/detector_fit.yaml", "shards"),
        share=1,
    ),
    Case("detectors leaderboard scores.csv tested -o out", ("scores.csv", "tested"), goes_on=False),
    Case(
        f"detectors scan photos -o out/s.csv --weights detector {ONE} --html",
        ("photos", "detector"),
        ("photos",),
        share=6,
    ),
    Case(
        f"detectors scan photos/a.png -o out/s.csv --weights checkpoint/detector.ckpt {ONE}",
        ("checkpoint/detector.ckpt",),
        needs=("photos",),
        share=2,
    ),
    Case("detectors export detector -o out.onnx", ("detector",), share=1, goes_on=False),
    Case(
        "detectors convert released/head.pth out --kind univfd --network test_vit2 --backbone "
        "released/backbone.pth",
        ("released/head.pth", "released/backbone.pth"),
        goes_on=False,
    ),
    Case("datamodules shard source --label generated --name x -o out", ("source",), ("source",)),
    Case(
        "datamodules shard source --label generated --name x -o out --metadata labels.csv",
        ("labels.csv",),
        needs=("source",),
        share=2,
    ),
    Case(
        "datamodules shard photos/s.tar --label real --name x --split val -o out",
        ("photos/s.tar",),
        share=2,
    ),
    Case(
        "datamodules synthesize captions.txt -o out --model sd --name x --steps 1 --accelerator "
        "cpu",
        ("captions.txt", "sd"),
        share=2,
    ),
    Case(
        "datamodules reconstruct shards/val-photos-*.tar -o out --autoencoder sd --name x "
        "--accelerator cpu",
        ("shards", "sd"),
        share=2,
    ),
    Case("datamodules inspect many/*.tar -o out --images 2", ("many",), goes_on=False, code=(0, 1)),
    Case("indexing prepare disc -o out --queries 2", ("disc",)),
    Case(
        f"indexing extract photos -o out --extractor.name extractor {ONE} --fts true",
        ("photos", "extractor"),
        ("photos",),
        share=6,
    ),
    Case("indexing build features -o out --factory IVF1,Flat", ("features",)),
    Case("indexing add index more", ("index", "more"), goes_on=False),
    Case("indexing update index more", ("index", "more"), share=2, goes_on=False),
    Case("indexing remove index gone.txt", ("index", "gone.txt"), share=2, goes_on=False),
    Case(
        "indexing activate photos -o out --index index --extractor.name extractor "
        f"--activation.iterations 1 {ONE}",
        ("photos", "index", "extractor"),
        ("photos",),
    ),
    Case(
        f"indexing search photos -o out.csv --index index --extractor.name extractor {ONE} --html",
        ("photos", "index", "extractor"),
        goes_on=False,
    ),
    Case(
        f"indexing dedup photos -o out.csv --html --threshold 0.9 --extractor.name extractor {ONE}",
        ("photos", "extractor"),
        share=2,
        goes_on=False,
    ),
    Case(
        "indexing dedup features -o out.csv --threshold 0.9", ("features",), share=1, goes_on=False
    ),
    Case("sentinels plant collection -o out --reader none --count 2 --seed 1", ("collection",)),
    Case(
        "sentinels verify sentinels/record.json --reader none",
        ("sentinels",),
        needs=("collection",),
        goes_on=False,
        code=(0, 1),
    ),
    Case(
        f"sentinels embed photos -o out --weights embedder {ONE}",
        ("photos", "embedder"),
        ("photos",),
        share=6,
    ),
    Case(
        "sentinels retrieve vectors thing --captions captions.json",
        ("vectors", "embedder", "captions.json"),
        goes_on=False,
    ),
    Case(
        "sentinels decide sentinels/record.json answers -o out --similarity embedder --level 0.1",
        ("sentinels", "answers", "embedder", "collection"),
        goes_on=False,
    ),
    Case("checkpoints verify rid", ("rid",), share=2, goes_on=False),
    Case("checkpoints verify sd", ("sd",), share=2, goes_on=False),
    Case("checkpoints push detector org/model --dry-run out", ("detector",), goes_on=False),
    Case(
        "checkpoints convert released/ASDS-eps-12_255.bin out --kind rid --heads 2",
        ("released/ASDS-eps-12_255.bin",),
        share=1,
        goes_on=False,
    ),
    Case(
        "eval personalize -c configs/personalize.yaml -o out",
        ("configs/personalize.yaml", "people", "rid", "sd", "faces"),
        share=1,
    ),
    Case(
        "eval matrix -c configs/matrix.yaml -o out",
        ("configs/matrix.yaml", "people", "rid", "sd", "faces"),
        share=1,
    ),
    Case(
        "eval redteam shielded --clean people -c configs/redteam.yaml -o out",
        ("configs/redteam.yaml", "shielded", "people", "sd", "faces"),
        share=1,
    ),
    Case(
        "eval remover -c configs/remover.yaml -o out",
        ("configs/remover.yaml", "people", "rid"),
        share=1,
    ),
    Case("eval leaderboard study matrix -o out", ("study", "matrix"), share=2, goes_on=False),
    Case("eval compare study matrix -o out.html", ("study", "matrix"), share=2, goes_on=False),
    Case("eval compare scores.csv scores.csv -o out.html", ("scores.csv",), share=1, goes_on=False),
    Case(f"eval purify photos -o out --method Jpeg {ONE}", ("photos",), ("photos",), share=6),
    Case(
        "eval retrieval -o out --index index --originals collection --arms.passive collection "
        "--distractor-queries people "
        "--resamples 40 --workers 0 --extractor.name extractor --accelerator cpu",
        ("index", "collection", "people", "extractor"),
        share=1,
    ),
    Case("eval rag -c configs/rag.yaml -o out", ("configs/rag.yaml", *RAG), share=1),
    Case(
        "eval rag-robustness -c configs/rag_robustness.yaml -o out",
        ("configs/rag_robustness.yaml", *RAG),
        share=1,
    ),
    Case("eval report study", ("study",), goes_on=False),
    Case(
        "eval answers human --detector detector",
        ("human", "detector"),
        needs=("judged",),
        goes_on=False,
    ),
    Case(
        "tiny demo -o study --references 40 --originals 2 --factory IVF1,PQ8x4 --resamples 2",
        ("study",),
        share=1,
        goes_on=False,
    ),
    Case(
        f"tiny fit -c configs/copies.yaml {SHORT}",
        ("configs/copies.yaml", "collection"),
        share=2,
        goes_on=False,
    ),
]

LEFT_OUT = {
    "checkpoints list": "reads the project's own registry alone",
    "checkpoints pull": "asks the Hub; what it gets is checked as checkpoints verify does",
    "eval demo": "a server",
    "eval serve": "a server; hostile requests are in tests/eval/test_service.py",
    "eval study": "a server",
    "eval metrics": "reads no file",
    "sentinels plan": "reads no file",
    "tiny portraits": "reads no file",
    "tiny pictures": "reads no file",
    "tiny train": "hours; reads the shipped models alone",
    "tiny measure": "minutes; reads the shipped models alone",
}
"""Verbs without cases, and why."""
