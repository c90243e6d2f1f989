"""What is installed is what the lock says, and never the malicious releases of lightning."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
FILES = sorted(ROOT.glob("requirements*.txt"))
LOCK = (ROOT / "requirements.lock").read_text()


def lines(text):
    return [
        line.partition(" #")[0].strip()
        for line in text.splitlines()
        if line.strip() and not line.startswith(("#", "-r "))
    ]


def asked():
    return [Requirement(line) for file in FILES for line in lines(file.read_text())]


def locked():
    """Versions of each package in the lock by Python version, with their numbers of hashes."""
    found = {}
    for entry in lines(LOCK.replace("\\\n", " ")):
        requirement, *hashes = entry.split(" --hash=")
        made = Requirement(requirement)
        found.setdefault(canonicalize_name(made.name), {})[str(made.specifier)] = hashes
    return found


def test_the_files_are_found():
    assert [file.name for file in FILES] == [
        f"requirements{kind}.txt"
        for kind in (
            *("-brisque", "-c2pa", "-dev", "-docs", "-heic", "-insightface", "-ocr", "-onnx"),
            *("-pages", "-photos", "-uv", ""),
        )
    ]
    assert len(locked()) > 100


@pytest.mark.parametrize("requirement", asked(), ids=str)
def test_every_requirement_is_in_the_lock_at_its_version(requirement):
    assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), "pinned"
    assert set(locked()[canonicalize_name(requirement.name)]) == {str(requirement.specifier)}


def test_every_package_of_the_lock_has_its_version_and_sha256():
    for name, versions in locked().items():
        for version, hashes in versions.items():
            assert re.fullmatch(r"==[\w.]+", version), name
            assert hashes, name
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", digest) for digest in hashes), name


def test_no_malicious_lightning_is_let_in():
    releases = {"2.6.2", "2.6.3"}
    for name in ("lightning", "pytorch-lightning"):
        for version in locked().get(name, {}):
            assert version.removeprefix("==") not in releases
    specifiers = [
        requirement.specifier
        for requirement in asked()
        if canonicalize_name(requirement.name) == "lightning"
    ]
    assert specifiers
    assert not [
        release for release in releases for specifier in specifiers if specifier.contains(release)
    ]


def test_the_lock_names_no_index_and_no_place_of_a_machine():
    assert not re.search(
        r"://|--index-url|--extra-index-url|--find-links|file:|^-e|^/|@ |\s/\w", LOCK, re.MULTILINE
    )


def test_make_installs_only_what_is_locked():
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    installing = [line for line in text.splitlines() if "pip install" in line]
    assert len(installing) == 2  # uv, and by uv all the others
    assert all("--require-hashes" in line for line in installing)
    assert "-c requirements.lock" in installing[1]
    assert text.count("$(INSTALL)") == 4
