"""A stopped or repeated planting goes on."""

import asyncio
import json
import shutil

import pytest

from engine.http_status import KeyRefused
from sentinels.plant import PlantConfig
from sentinels.planters import LocalPlanter
from sentinels.record import Record
from sentinels.verify import verify
from tests.sentinels.planting import planted


def test_a_stopped_job_ends_as_an_unbroken_one(collection, tmp_path, monkeypatch):
    config = PlantConfig(count=6, seed=5)
    planted(collection, tmp_path / "whole", config)
    calls = []

    class Stops(LocalPlanter):
        async def plant(self, *args):
            calls.append(args)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return await super().plant(*args)

    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
        planted(collection, tmp_path / "broken", config, planter=Stops())
    assert 0 < len(Record.open(tmp_path / "broken" / "record.json").sentinels) < 6
    planted(collection, tmp_path / "broken", config)

    def contents(folder):
        entries = json.loads((folder / "record.json").read_text())["processed_images"]
        facts = {
            name: {key: value for key, value in entry.items() if "timestamp" not in key}
            for name, entry in entries.items()
        }
        return dict(sorted(facts.items())), {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("images/*/*")
        }

    first, second = contents(tmp_path / "whole"), contents(tmp_path / "broken")
    assert {name: entry["random_key"] for name, entry in first[0].items()} == {
        name: entry["random_key"] for name, entry in second[0].items()
    }
    assert first[1] == second[1]


def test_a_folder_of_an_earlier_version_goes_on_and_a_changed_source_is_planted_anew(
    collection, tmp_path
):
    """Records without a journal: entries are done if their source has the recorded sha256."""
    photos, out = shutil.copytree(collection, tmp_path / "photos"), tmp_path / "out"
    config = PlantConfig(count=5, seed=5, order="first")
    planted(photos, out, config)
    made = {path: path.read_bytes() for path in out.rglob("images/*/*")}
    (out / "journal.jsonl").unlink()
    content = json.loads((out / "record.json").read_text())
    gone = content["processed_images"].pop("00000/000000002.png")
    (out / gone["generated_image"]).unlink()
    (out / "record.json").write_text(json.dumps(content))
    shutil.copy(photos / "00001" / "000000003.png", photos / "00000" / "000000001.png")
    report = planted(photos, out, config)
    assert report.done_before == 3
    assert report.counts() == {"done": 5, "failed": 0, "skipped": 0}
    again = {path: path.read_bytes() for path in out.rglob("images/*/*")}
    changed = out / content["processed_images"]["00000/000000001.png"]["generated_image"]
    assert again.keys() == made.keys()
    assert [path for path in made if made[path] != again[path]] == [changed]
    assert not [
        finding for finding in verify(Record.open(out / "record.json")) if finding.level == "error"
    ]
    assert planted(photos, out, config).nothing_to_do


def test_a_refused_key_ends_the_job_when_what_is_under_way_is_kept(
    collection, tmp_path, monkeypatch
):
    """A reached limit at the second of three sources keeps the third, which is not repeated."""
    calls = []

    class Refused(LocalPlanter):
        async def plant(self, source, key, *args):
            calls.append(key)
            if len(calls) == 2:
                msg = "status 401; check the API key"
                raise KeyRefused(msg)
            await asyncio.sleep(0.05)
            return await super().plant(source, key, *args)

    config = PlantConfig(count=6, seed=5, concurrency=3)
    with pytest.raises(KeyRefused, match="check the API key"):
        planted(collection, tmp_path / "out", config, planter=Refused())
    assert len(calls) == 3
    kept = Record.open(tmp_path / "out" / "record.json").sentinels
    assert {sentinel.key for sentinel in kept.values()} == {calls[0], calls[2]}
    report = planted(collection, tmp_path / "out", config, planter=Refused())
    assert len(calls) == 7
    assert not {calls[0], calls[2]} & set(calls[3:])
    assert (report.done_before, len(report.rows)) == (2, 6)
