"""Files from the web: resumed, bounded, checked, and never in place before they are whole."""

import hashlib
import json

import pytest

from checkpoints import download as module
from checkpoints import pull as pulling
from checkpoints import redirects
from checkpoints.download import check_address, download
from checkpoints.pins import files_folder, lock_file
from checkpoints.registry import Entry, WeightFile
from engine.addresses import resolves_to_private

CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(module, "CHUNK_BYTES", 1024)


@pytest.fixture
def site(hub):
    hub.blobs[digest(CONTENT)] = CONTENT
    hub.plain["/files/w.bin"] = CONTENT
    return hub


@pytest.fixture
def registered(site, monkeypatch):
    """A registry of one model at this machine's server."""

    def make(**facts):
        file = WeightFile("w.bin", **facts)
        found = Entry(
            "one", "a model", "tests", "MIT", "nothing", page="https://x", steps="s", files=(file,)
        )
        object.__setattr__(found, "page", None)
        object.__setattr__(found, "url", f"{site.url}/files")
        monkeypatch.setattr(pulling, "registry", lambda: {"one": found})
        monkeypatch.setattr(pulling, "entry", lambda name: found)

    return make


def digest(content):
    return hashlib.sha256(content).hexdigest()


def test_a_cut_connection_is_resumed_in_the_same_run(site, tmp_path):
    site.cuts[digest(CONTENT)] = [3000, 2000]
    assert download(f"{site.url}/files/w.bin", tmp_path / "w.bin").read_bytes() == CONTENT
    assert [headers.get("Range") for headers in site.asked("GET", "/files/")] == [
        None,
        "bytes=3000-",
        "bytes=5000-",
    ]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["w.bin"]


def test_a_given_up_download_goes_on_in_a_later_run(site, tmp_path):
    site.cuts[digest(CONTENT)] = [3000, 0, 0, 0, 0, 0, 0]
    with pytest.raises(FileNotFoundError, match=r"broke off .* 3000 bytes are kept"):
        download(f"{site.url}/files/w.bin", tmp_path / "w.bin")
    assert not (tmp_path / "w.bin").exists()
    site.cuts.clear()
    site.seen.clear()
    assert download(f"{site.url}/files/w.bin", tmp_path / "w.bin").read_bytes() == CONTENT
    assert [headers.get("Range") for headers in site.asked("GET", "/files/")] == ["bytes=3000-"]


def test_a_file_that_changed_meanwhile_is_begun_anew(site, tmp_path):
    site.cuts[digest(CONTENT)] = [3000, 0, 0, 0, 0, 0, 0]
    with pytest.raises(FileNotFoundError):
        download(f"{site.url}/files/w.bin", tmp_path / "w.bin")
    other = CONTENT[::-1]
    site.blobs[digest(other)] = site.plain["/files/w.bin"] = other
    assert download(f"{site.url}/files/w.bin", tmp_path / "w.bin").read_bytes() == other


def test_a_file_without_a_lasting_tag_is_begun_anew(site, tmp_path):
    site.weak = True
    site.cuts[digest(CONTENT)] = [3000]
    assert download(f"{site.url}/files/w.bin", tmp_path / "w.bin").read_bytes() == CONTENT
    assert [headers.get("Range") for headers in site.asked("GET", "/files/")] == [None, None]


def test_sizes_are_bounded(site, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="more than the limit of 100"):
        download(f"{site.url}/files/w.bin", tmp_path / "w.bin", size=100)
    with pytest.raises(ValueError, match="10240 bytes instead of 20000"):
        download(f"{site.url}/files/w.bin", tmp_path / "w.bin", size=20000)
    monkeypatch.setattr(module, "MAX_DOWNLOAD_BYTES", 5000)
    with pytest.raises(ValueError, match="more than the limit of 5000"):
        download(f"{site.url}/files/w.bin", tmp_path / "w.bin")
    assert not [path for path in tmp_path.iterdir() if path.name == "w.bin"]


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/w.bin",
        "ftp://example.org/w.bin",
        "file:///etc/passwd",
        "w.bin",
        "http://127.evil.org/",
    ],
)
def test_only_encrypted_addresses(address, tmp_path):
    with pytest.raises(ValueError, match="https:// only"):
        download(address, tmp_path / "w.bin")


def test_no_redirection_to_an_open_address(site, tmp_path):
    check_address("http://localhost:80/x")
    site.plain["/files/moved"] = (302, {"Location": "http://example.org/w.bin"})
    with pytest.raises(ValueError, match="https:// only"):
        download(f"{site.url}/files/moved", tmp_path / "w.bin")


@pytest.mark.parametrize(
    "inside",
    ["http://localhost:9/w.bin", "https://169.254.169.254/w.bin", "https://10.0.0.1/w.bin"],
)
def test_no_redirection_into_this_machines_network(site, tmp_path, inside, monkeypatch):
    site.plain["/files/moved"] = (302, {"Location": inside})
    monkeypatch.setattr(
        redirects, "_is_private", lambda host: host != "127.0.0.1" and resolves_to_private(host)
    )
    with pytest.raises(ValueError, match=r"redirects to .* inside this machine's own network"):
        download(f"{site.url}/files/moved", tmp_path / "w.bin")


def test_a_server_of_ones_own_network_may_redirect_there(site, tmp_path):
    site.plain["/files/moved"] = (
        302,
        {"Location": site.url.replace("127.0.0.1", "localhost") + "/files/w.bin"},
    )
    assert download(f"{site.url}/files/moved", tmp_path / "w.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("trouble", [(429, {"Retry_After": "3"}), (500, {}), (503, {}), "reset"])
def test_passing_faults_are_tried_again(site, tmp_path, trouble):
    site.troubles["GET /files/"] = [trouble] * 3
    assert download(f"{site.url}/files/w.bin", tmp_path / "w.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (403, {}, "denies access"),
        (404, {}, "not there any more"),
        (429, {"Retry_After": "3600"}, "try again in 3600 seconds"),
        (500, {}, "the server has a fault"),
    ],
)
def test_refusals_are_explained(site, tmp_path, status, headers, words):
    site.plain["/files/refused"] = (status, headers)
    with pytest.raises(FileNotFoundError, match=words):
        download(f"{site.url}/files/refused", tmp_path / "w.bin")


def test_the_registrys_hash_is_checked_and_a_wrong_file_removed(registered):
    registered(sha256=digest(b"other"))
    with pytest.raises(ValueError, match=r"but the registry says .* It was removed"):
        pulling.pull("one")
    assert not list(files_folder("one").glob("w.bin*"))
    registered(sha256=digest(CONTENT), size=len(CONTENT))
    assert pulling.pull("one").unverified == ()


def test_the_hash_seen_first_is_pinned(registered, site):
    registered()
    assert pulling.pull("one").unverified == ("w.bin",)
    assert json.loads(lock_file().read_text())["one"]["sha256"] == {"w.bin": digest(CONTENT)}
    asked = len(site.seen)
    pulling.pull("one")
    assert len(site.seen) == asked, "what is here is not fetched again"
    (files_folder("one") / "w.bin").unlink()
    other = CONTENT[::-1]
    site.blobs[digest(other)] = site.plain["/files/w.bin"] = other
    with pytest.raises(ValueError, match=r"what was first seen here says .* It was removed"):
        pulling.pull("one")
    lock_file().write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        pulling.pull("one")


@pytest.mark.parametrize("name", ["/models/faces", "./faces", "~/faces"])
def test_a_path_is_no_name_to_pull(name):
    with pytest.raises(ValueError, match=rf"^{name}: a path; pull takes a name"):
        pulling.pull(name)
