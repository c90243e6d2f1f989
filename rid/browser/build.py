"""Folder of a static page that protects photos in the visitor's browser.

The network runs in onnxruntime-web (MIT). npm installs it; ``package-lock.json`` has its hash.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.files import file_digest, write_bytes, write_text
from engine.pages.shell import SCRIPT, STYLE, csp_hash, write_page
from engine.records import to_json

if TYPE_CHECKING:
    from rid.generator import PerturbationGenerator

HERE = Path(__file__).parent
STATIC = HERE / "static"
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
    generator: PerturbationGenerator,
    onnx: Path,
    runtime: Path,
    folder: Path,
    weights: dict[str, str],
    domain: str,
    record: dict[str, Any],
) -> None:
    """Write the folder of the page.

    Args:
        generator: The generator.
        onnx: Its exported file.
        runtime: Folder of :func:`runtime_folder`.
        folder: Folder to write, empty or missing.
        weights: Hexadecimal sha256 of the generator's weight files, noted in protected photos.
        domain: Sentence on what the generator was made for.
        record: How it was made, shown on the page.
    """
    content = onnx.read_bytes()
    parts: list[str] = []
    for start in range(0, len(content), PART_BYTES):
        name = f"generator.onnx.{len(parts)}"
        write_bytes(folder / name, content[start : start + PART_BYTES])
        parts.append(name)
    facts = {
        "image_size": generator.image_size,
        "budget_levels": float(generator.budget),
        "weights": " ".join(weights.values()),
        "parts": parts,
    }
    write_text(folder / "facts.json", to_json(facts))
    write_page(
        folder / "index.html",
        "rid.browser/protect.html",
        page_policy=POLICY,
        megabytes=len(content) / 1e6,
        budget=generator.budget,
        side=generator.image_size,
        domain=domain,
        record=record,
    )
    (folder / "runtime").mkdir(parents=True, exist_ok=True)
    for name in RUNTIME_FILES:
        shutil.copyfile(runtime / name, folder / "runtime" / name)
    scripts = [file for file in sorted(STATIC.iterdir()) if file.name != WORKER]
    for file in scripts:
        shutil.copyfile(file, folder / file.name)
    _write_service_worker(
        folder,
        ["./", *(file.name for file in scripts), "facts.json", *parts]
        + [f"runtime/{name}" for name in CPU_FILES],
    )


def _write_service_worker(folder: Path, kept: list[str]) -> None:
    """Write the script that keeps files for use without a network.

    A browser keeps a build's files until this script changes, so it holds the hash of them all.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder)} {file_digest(file)}\n".encode())
    script = (STATIC / WORKER).read_text(encoding="utf-8")
    script = script.replace("BUILD", digest.hexdigest()[:16]).replace('["FILES"]', json.dumps(kept))
    write_text(folder / WORKER, script)
