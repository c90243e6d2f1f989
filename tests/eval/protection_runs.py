"""Folders of protection results as ``eval matrix`` writes them, with made-up figures."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

CELLS = (("lora", "none"), ("lora", "jpeg75"))


def protection_run(folder, effects, seed=0, photos="photos", people=4, steps=200, cells=CELLS):
    """Write a finished matrix in which each protection changes the clean ISM of 0.6.

    Args:
        folder: The folder.
        effects: Mean change of ISM by arm.
        seed: Seed in the manifests.
        photos: Stands for the hash of everybody's photos.
        people: Number of people.
        steps: Steps of the attack in the manifests.
        cells: Attacks and purifications.
    """
    rows = []
    for attack, purification in cells:
        for arm, effect in {"clean": 0.0, **effects}.items():
            for person in range(people):
                spread = 0.1 * effect * (-1) ** person
                rows.append(
                    {
                        "attack": attack,
                        "model": "sd-a1",
                        "purification": purification,
                        "arm": arm,
                        "person": f"person{person}",
                        "person_sha256": f"{photos}{person}",
                        "ism_all": 0.6 + effect + spread,
                        "fdfr": 0.25,
                        "brisque": 30.0,
                        "levels": 0.0 if arm == "clean" else 6.0,
                        "real_ism": 0.9,
                        "references": 12,
                        "minutes": 1.5,
                    }
                )
        settings = {
            "attack": {"class": "LoraTextualInversion", "steps": steps},
            "purification": None if purification == "none" else {"class": "Jpeg", "quality": 75},
            "seed": seed,
            "clean_fraction": 0.0,
            "weights": {"attacked": {"name": "sd-a1", "sha256": {"unet": "0"}}},
        }
        cell = folder / "cells" / attack / purification
        cell.mkdir(parents=True)
        manifest = {"command": "eval personalize", "finished": True, "settings": settings}
        (cell / "manifest.json").write_text(json.dumps(manifest))
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    (folder / "manifest.json").write_text(json.dumps({"command": "eval matrix", "seed": seed}))
    return folder
