"""Folder of a static page whose network runs in the visitor's browser.

The network runs in onnxruntime-web (MIT). npm installs it; ``package-lock.json`` has its hash.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine.files import file_digest, write_bytes, write_text
from engine.manifest import read_manifest, write_manifest
from engine.pages.shell import SCRIPT, STYLE, csp_hash, write_page
from engine.records import to_json

HERE = Path(__file__).parent
STATIC = "static"
WORKER = "service-worker.js"

RUNTIME = HERE / "node_modules" / "onnxruntime-web" / "dist"
"""Where npm puts onnxruntime-web."""

CPU_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
"""Runtime for the CPU, which the page keeps for use without a network."""

RUNTIME_FILES = (
    *CPU_FILES,
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
"""Runtime for the CPU and for WebGPU."""

PART_BYTES = 90_000_000
"""Most bytes of a file; hosts of static pages refuse files above 100 MB."""

POLICY = (
    f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval' {csp_hash(SCRIPT)}; "
    f"style-src {csp_hash(STYLE)}; img-src blob: data:; connect-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""Content security policy: the page connects to its own folder alone."""


@dataclass(frozen=True)
class BrowserPage:
    """A page, apart from its network.

    Attributes:
        package: Package with the page's scripts in ``static``, of which ``page.js`` is the page's
            and ``worker.js`` the worker's, and its template in ``templates``.
        template: Name of the template, which extends ``browser.html``.
        domain: Sentence on what the network was made for.
        facts: What the worker reads beside the network, as JSON values.
        values: Further variables of the template.
    """

    package: str
    template: str
    domain: str
    facts: Mapping[str, Any]
    values: Mapping[str, Any]


def runtime_folder() -> Path:
    """Folder of the installed onnxruntime-web.

    Raises:
        FileNotFoundError: If a file is missing.
    """
    for name in RUNTIME_FILES:
        if not (RUNTIME / name).is_file():
            msg = (
                f"{RUNTIME / name} is missing: the page needs onnxruntime-web; "
                f"install it with 'npm ci --ignore-scripts --prefix {HERE}'"
            )
            raise FileNotFoundError(msg)
    return RUNTIME


def build_page(
    page: BrowserPage, write_network: Callable[[Path], None], target: Path, **made: Any
) -> int:
    """Write the folder of a page, whole or not at all.

    Args:
        page: The page.
        write_network: Writes the network to an ONNX file.
        target: Folder to write; must not exist.
        made: How it was made: entries of its manifest, which the page shows.

    Returns:
        Bytes of the network.

    Raises:
        FileNotFoundError: If onnxruntime-web is not installed.
    """
    runtime = runtime_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        folder = Path(scratch) / "page"
        onnx = Path(scratch) / "network.onnx"
        write_network(onnx)
        content = onnx.read_bytes()
        parts = write_parts(content, folder)
        write_text(folder / "facts.json", to_json({**page.facts, "parts": parts}))
        write_manifest(folder, **made)
        write_page(
            folder / "index.html",
            f"{page.package}/{page.template}",
            page_policy=POLICY,
            megabytes=len(content) / 1e6,
            domain=page.domain,
            record=read_manifest(folder) or {},
            **page.values,
        )
        scripts = _copy_scripts(page.package, folder)
        (folder / "runtime").mkdir()
        for name in RUNTIME_FILES:
            shutil.copyfile(runtime / name, folder / "runtime" / name)
        kept = ["./", *scripts, "facts.json", *parts, *(f"runtime/{name}" for name in CPU_FILES)]
        _write_service_worker(folder, kept)
        folder.rename(target)
    return len(content)


def write_parts(content: bytes, folder: Path) -> list[str]:
    """Write a network in parts of at most :data:`PART_BYTES`, and return their names."""
    parts = []
    for number, start in enumerate(range(0, len(content), PART_BYTES)):
        name = f"network.onnx.{number}"
        write_bytes(folder / name, content[start : start + PART_BYTES])
        parts.append(name)
    return parts


def _copy_scripts(package: str, folder: Path) -> list[str]:
    """Copy the scripts of all pages and of one package, and return their names."""
    names = []
    for place in (HERE / STATIC, Path(str(resources.files(package))) / STATIC):
        for file in sorted(place.glob("*.js")):
            if file.name != WORKER:
                shutil.copyfile(file, folder / file.name)
                names.append(file.name)
    return names


def _write_service_worker(folder: Path, kept: list[str]) -> None:
    """Write the script that keeps files for use without a network.

    A browser keeps a build's files until this script changes, so it holds the hash of them all.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder)} {file_digest(file)}\n".encode())
    script = (HERE / STATIC / WORKER).read_text(encoding="utf-8")
    script = script.replace("BUILD", digest.hexdigest()[:16]).replace('["FILES"]', json.dumps(kept))
    write_text(folder / WORKER, script)
