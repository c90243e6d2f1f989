"""The folder of a Space: what is in it, and that pip can install it."""

import ast
import re

import pytest
import yaml
from packaging.requirements import Requirement

from eval.demo.space import PILLOW, ROOT, requirements, write_space


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("space") / "space"
    write_space(target)
    return target


def test_its_front_matter_and_requirements_are_ours(folder):
    head = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    pins = {Requirement(line).name: line for line in requirements()}
    assert head["sdk"] == "gradio"
    assert f"gradio=={head['sdk_version']}" == pins["gradio"]
    assert (folder / head["app_file"]).is_file()
    assert (folder / "requirements.txt").read_text().splitlines() == requirements()
    ours = (ROOT / "requirements.txt").read_text()
    others = [line for line in requirements() if line != PILLOW]
    assert all(line in ours + (ROOT / "requirements-pages.txt").read_text() for line in others)
    assert re.fullmatch(r"pillow==12\.\d+\.\d+", pins["pillow"]), "Gradio refuses 13"


def test_it_has_what_the_demo_imports_and_no_more(folder):
    names = {path.name for path in folder.iterdir()}
    for file in (folder / "eval" / "demo").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (ROOT / node.module.split(".")[0]).is_dir():
                assert node.module.split(".")[0] in names
    assert not list(folder.rglob("__pycache__"))
    assert not list(folder.rglob("node_modules"))
    assert (folder / "eval" / "demo" / "examples" / "entries.zip").is_file()
    for model in ("rid", "detector", "index", "embedder", "faces", "sd-a1"):
        assert (folder / "checkpoints" / "tiny" / model).is_dir()
    lines = (folder / "Containerfile").read_text().splitlines()
    assert lines[-1] == 'CMD ["python", "app.py"]'
    with pytest.raises(ValueError, match="exists already"):
        write_space(folder)
