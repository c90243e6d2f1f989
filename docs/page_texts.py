"""Introductions of the generated reference pages."""

NOTE = "<!-- Written by docs/generate.py. Do not edit: change the code and run `make docs`. -->\n"

LIGHTNING = (
    "`--trainer.*` takes every argument of Lightning's "
    "[Trainer](https://lightning.ai/docs/pytorch/stable/common/trainer.html); "
    "`--help-all` lists them."
)

CONFIGS = """# Configs

Each YAML file in `configs/` is one experiment. Its header says what it does and how to start it.
A config sets the same names as the command line, with underscores. Options after `-c FILE`
override it.

```
python -m rid fit -c configs/rid/tiny_adv_sds.yaml --print_config          # print the settings
python -m rid fit -c configs/rid/tiny_adv_sds.yaml --trainer.max_steps 50    # change one
```

`class_path` names any Python class, which is then built with `init_args`. A config can therefore
run code: use one only if you trust its source. `callbacks:` in a second config replaces the list
of the first; `callbacks+:` appends to it.

"""

METRICS = """# Metrics

`python -m eval metrics` prints this list. It says which way a defender wants each metric to move,
and which weights it needs. Metrics that need downloaded weights, or much time, are named in
`--extra-metrics`.

"""

ATTACKS = """# Attacks and protections

Every attack and every protection is a class with its published settings as defaults. Name it in
YAML by `class_path`, or on the command line.

```
python -m eval purify PHOTOS/ -o OUT/ --method Jpeg --method.quality 75
```

"""

ARMS = """## Arms

These classes are the protections that `arms` of `python -m eval personalize` and `eval matrix`
names. They are in `eval.arms`.

"""

OBJECTIVES = """## Objectives

These classes are what gradient ascent raises: `objective` of the arm `Ascent` and of
`python -m rid pairs`. They are in `rid.pairs.objectives`.

"""

PERSONALIZATION = """## Personalization

These attacks teach a diffusion model one person from a few images. They are in
`eval.attacks.personalization`; each takes a `config` with the settings below.

"""

ONE_PHOTO = """## One photo

These attacks make new images of a person from one photo, without training. They are in
`eval.attacks.one_photo`. Each image of the person is the reference in turn.

PhotoMaker and InstantID are not here: the diffusers library has no pipeline of theirs.

"""

EDITING = """## Editing

These attacks edit each image of a person, without training. They are in `eval.attacks.editing`.
The metric `clip_direction` says how far an edit succeeded. Inpainting keeps the face, so its ISM
says nothing; read its `clip_direction`.

"""

PURIFICATION = """## Purification

These attacks remove a protection before the model learns from the images. They are in
`eval.attacks.purification`.

"""

RAG = """## Retrieval-augmented generation

These classes are the parts of the system that is suspected of using a collection. They are in
`eval.attacks.rag`, and `generator` and `judge` of `python -m eval rag` name them.

"""

EDITS = """## Edits of a stolen collection

The option `--edits` of `python -m eval rag-robustness` takes these names. `python -m detectors
robustness` and `python -m eval retrieval` have suites of their own, in
`images.transforms.suites`.

| edit | effect on the stolen collection |
| --- | --- |
| `none` | none |
| `jpeg` | compresses every image as JPEG of quality 50 |
| `halved` | scales every image to half its size and back |
| `cropped` | keeps the central 80 % of every image |
| `inpainted` | finds text with a reader and paints over it |
| `deleted` | removes every image in which a reader finds four letters |
| `deduplicated` | removes all images that have a near copy, by PDQ or by `--copies` |
| `metadata` | removes files that are encoded unlike two thirds of all |
| `names` | removes files whose names are outside the pattern of most |
| `key_pattern` | keeps all images, and searches for no query with letters that are no word |

The reader is OCR where it is installed (`--reader`).
"""

DATASETS = """# Data sets

`python -m datamodules shard --set NAME SOURCE -o OUT/` reads these sets as they are published. The
source may be left out for those that can be read from the Hub. Archives of Fake2M and MPBench have
names of their own: see `shard --help`. Only what the pages named below state is here; an empty cell
was not found. Sets with one label are generated images alone: shard their reals with
`--label real`. The licenses are those of the images and bind whoever uses them.

"""

MODELS = """# Model zoo

`python -m checkpoints list` prints this list, and says which models are on your machine. A
command or `from_pretrained` takes any of these names. Models in the first table ship with the
repository. The others are downloaded on request, under their own licenses: see [Hub and offline
use](../how-to/hub-and-offline.md).

```
python -m checkpoints list sd-1.5     # source, license, input, hashes
python -m checkpoints pull sd-1.5 taef2
```

The shipped toy models work on the drawn portraits only. See [the toy
models](../explanation/toy-models.md).

"""
