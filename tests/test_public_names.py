"""Public names of the packages: present, documented, imported on first use."""

import subprocess
import sys
from importlib import import_module
from inspect import getdoc
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parent.parent
SYSTEMS = ("rid", "detectors", "indexing", "sentinels")


@pytest.mark.parametrize("system", SYSTEMS)
def test_public_names_are_there_and_documented(system):
    package = import_module(system)
    assert package.__version__ == engine.__version__
    assert set(package.__all__) == {*package.HOMES, "__version__"}
    for name in package.HOMES:
        assert getattr(package, name).__module__ == package.HOMES[name]
        assert getdoc(getattr(package, name))
    with pytest.raises(AttributeError, match=f"module '{system}' has no attribute 'Nothing'"):
        _ = package.Nothing


@pytest.mark.parametrize("system", SYSTEMS)
def test_importing_a_system_imports_nothing_heavy(system):
    script = (
        f"import sys, {system}; {system}.__version__; print(sum(n.split('.')[0] in ('torch', "
        "'numpy', 'PIL') for n in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0"
