"""The one shell of pages: what it lets load, what it escapes, and the tables it writes."""

import ast
import base64
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError

from engine.pages.charts import IntervalChart, Mark
from engine.pages.data_urls import data_url, image_url, strip_url
from engine.pages.markdown import markdown_table
from engine.pages.shell import FILE_POLICY, SERVED_POLICY, number, render, write_page
from engine.records import without_folders
from tests.test_rooms import modules

HOSTILE = "</title></script><img src=x onerror=alert(1)>\"'&"


def page(**changes):
    values = {
        "count": 3,
        "note": "",
        "head": ["edit", HOSTILE],
        "rows": [[HOSTILE, "0.5"]],
        "verdict": HOSTILE,
        "recalls": IntervalChart(HOSTILE, [Mark(HOSTILE, HOSTILE, 0.5)], 0.0, 1.0),
        "curves": {HOSTILE: "0,0 100,100"},
    }
    return render("eval/retrieval.html", **(values | changes))


def test_the_policy_admits_this_style_and_script_alone():
    text = page()
    assert (
        re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)[
            1
        ].replace("&#39;", "'")
        == FILE_POLICY
    )
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        (inner,) = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in FILE_POLICY
    assert "style=" not in text
    for policy in (FILE_POLICY, SERVED_POLICY):
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        assert "http" not in policy
    assert "script-src 'none'" in SERVED_POLICY


def test_text_is_escaped_wherever_it_stands():
    text = page()
    assert text.count("onerror") == 6, "in head, row, verdict, and the charts' name, row and series"
    assert "<img src=x" not in text
    assert text.count("<script>") == text.count("<title>") == 1


def test_records_are_shown_without_the_folders_of_this_machine():
    record = {"photos": "/home/Ann Lee/my photos/", "list": ["/home/ann/a b/x.json"]}
    assert without_folders(record) == {"photos": "my photos", "list": ["x.json"]}
    assert without_folders("/home/ann/x.png: damaged") == "x.png: damaged"


def test_a_value_that_is_missing_is_a_fault():
    with pytest.raises(UndefinedError):
        render("eval/retrieval.html", count=3, note="", head=["edit"], rows=[])


def test_names_that_are_no_text_are_written(tmp_path):
    write_page(
        tmp_path / "deep" / "a.html",
        "eval/retrieval.html",
        count=1,
        note="",
        verdict="",
        head=["edit"],
        rows=[["caf\udce9.png"]],
        recalls=IntervalChart("", [], 0.0, 1.0),
        curves={},
    )
    assert "caf?.png" in (tmp_path / "deep" / "a.html").read_text()


def test_markdown_cells_end_nothing():
    table = markdown_table(["a|b", "c"], [["x\ny", 1], ["<b>", "z "]])
    assert table.splitlines() == ["| a\\|b | c |", "| --- | --- |", "| x y | 1 |", "| &lt;b> | z |"]


def test_figures_are_short():
    shown = [number(value) for value in (0.12345, 12.345, float("inf"), None, float("nan"))]
    assert shown == ["0.123", "12.3", "inf", "\N{EN DASH}", "\N{EN DASH}"]
    assert number(None, "-") == "-"


def test_images_lie_in_the_page():
    import io

    from PIL import Image

    def opened(url):
        return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))

    rgb = np.random.default_rng(0).integers(0, 255, (200, 100, 3), dtype=np.uint8)
    assert (np.asarray(opened(image_url(rgb))) == rgb).all()
    assert opened(image_url(rgb, 100, "jpeg")).size == (50, 100)
    assert opened(strip_url([rgb, rgb])).size == (200, 200)
    assert opened(strip_url([rgb[:50], rgb[:50]])).size == (400, 100), "small ones are doubled"
    assert data_url(b"x", "png") == "data:image/png;base64,eA=="


def test_the_shell_is_written_once_and_loads_jinja_late():
    for name, file in modules().items():
        source = file.read_text()
        assert not re.search("<!doctype|<html|<style", source), f"{name} writes a page by hand"
        for node in ast.parse(source).body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [getattr(node, "module", "") or ""]
            )
            assert not any(found.split(".")[0] == "jinja2" for found in names), name
    code = (
        "import sys, engine.pages.shell, engine.pages.data_urls, "
        "engine.pages.markdown; print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout
    assert not {"jinja2", "matplotlib", "torch"} & set(loaded.split())
