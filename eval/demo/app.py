"""``python -m eval demo``: all tabs, served on this machine."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eval.demo import attack, detect, find, protect, sentinel
from eval.demo.sessions import EXAMPLES, Sessions
from eval.web.hosts import trusted_hosts
from eval.web.listening import listen
from images.uploads import MAX_UPLOAD_BYTES

logger = logging.getLogger(__name__)

POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors "
)
"""Beginning of the content security policy: pages may load from this server only, whatever a
library requests. The pages that may show the demo in a frame follow."""

ENTRIES = EXAMPLES / "entries.zip"
"""Small images of the shipped index's entries, which are drawn and nowhere as files."""

NO_MODEL = (
    "There is no model for this tab. Start the demo with `--{flag} NAME`: a folder or Hub id."
)

STYLE = """
button[role=tab], .label-clear-button, [data-testid=upload-text] * {
  color: var(--body-text-color) !important
}
a.download-link { color: var(--body-text-color) !important; text-decoration: underline }
"""
"""Colors for parts whose contrast is too low in the library's style."""

Tab = tuple[str, Callable[[Sessions], None] | None]
"""Name of a tab, and the function that adds its components; None if it has no model."""


def demo(
    protector: str | None = "checkpoints/tiny/rid",
    detector: str | None = "checkpoints/tiny/detector",
    index: str | None = "checkpoints/tiny/index",
    reader: str | None = "auto",
    attacker: str | None = "checkpoints/tiny/sd-a1",
    faces: str = "checkpoints/tiny/faces",
    max_fpr: float | None = None,
    prevalence: float | None = None,
    trust_torchscript: bool = False,
    host: str = "127.0.0.1",
    port: int = 7860,
    frames: str = "",
) -> None:
    """Serve the demo until it is stopped.

    Nothing is loaded from other servers. Visitors' files are deleted when they leave.

    Args:
        protector: RID generator of the tab Protect: a folder or Hub id.
        detector: Detector of the tab Detect: a folder or Hub id.
        index: Index of the tab Find: a folder of ``python -m indexing build``; matching images are
            shown if they are on this machine.
        reader: What reads keys in the tab Sentinel: auto (ocr if installed, else the toy reader),
            ocr, or the folder of a model.
        attacker: Pipeline of Stable Diffusion 1 or 2 that the tab Attack teaches a person, with and
            without protection: a folder or Hub id. Others than the small ones take hours without a
            GPU.
        faces: Face detector and embedder of the tab Attack; see ``python -m eval personalize``.
        max_fpr: Largest rate of real images called generated, and of generated ones called real,
            of the tab Detect; one of those that the detector's calibration kept.
        prevalence: Share of generated images that P assumes in the tab Detect.
        trust_torchscript: Execute the program of the index's extractor, if it is a TorchScript
            file.
        host: Address to listen on; only this machine can reach the default.
        port: Port to listen on.
        frames: Addresses whose pages may show the demo in a frame, such as https://huggingface.co;
            none by default.

    Raises:
        ValueError: If there is no such port.
        OSError: If nothing can listen on the address.
    """
    listen(host, port).close()  # Gradio's own errors are none for people
    with tempfile.TemporaryDirectory(prefix="demo-", ignore_cleanup_errors=True) as folder:
        look_up = partial(find.add, entries=ENTRIES, trust_torchscript=trust_torchscript)
        judge = partial(detect.add, max_fpr=max_fpr, prevalence=prevalence)
        tabs: dict[str, Tab] = {
            "protector": (protect.NAME, partial(protect.add, protector) if protector else None),
            "detector": (detect.NAME, partial(judge, detector) if detector else None),
            "index": (find.NAME, partial(look_up, index) if index else None),
            "reader": (sentinel.NAME, partial(sentinel.add, reader) if reader else None),
            "attacker": (
                attack.NAME,
                partial(attack.add, protector, attacker, faces) if protector and attacker else None,
            ),
        }
        pages = build(tabs, Path(folder))
        logger.info("demo: http://%s:%s/  (Ctrl-C stops)", host, port)
        launch(pages, Path(folder), host, port, frames=frames)


def build(tabs: Mapping[str, Tab], folder: Path) -> gr.Blocks:
    """Build the pages.

    Args:
        tabs: Tabs by the option that names their model.
        folder: Folder of the visitors' files.
    """
    # Gradio reads it when a component is created.
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    sessions = Sessions(folder)
    pages = gr.Blocks(title="Defending images", analytics_enabled=False, delete_cache=(600, 3600))
    with pages:
        gr.Markdown(
            "# Defending images\n"
            "Images are processed on this machine and deleted when you leave this page."
        )
        for flag, (name, add) in tabs.items():
            with gr.Tab(name):
                if add:
                    add(sessions)
                else:
                    gr.Markdown(NO_MODEL.format(flag=flag))
        pages.unload(sessions.end)
    return pages.queue(default_concurrency_limit=1, max_size=20)


def launch(
    pages: gr.Blocks, folder: Path, host: str, port: int, wait: bool = True, frames: str = ""
) -> None:
    """Serve the pages.

    Args:
        pages: The pages.
        folder: Folder of the visitors' files.
        host: Address to listen on.
        port: Port to listen on.
        wait: Return only when the server is stopped.
        frames: Addresses whose pages may show the demo in a frame.
    """
    middleware = [trusted_hosts(host), Middleware(PolicyHeader, frames=frames)]
    theme = gr.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    # Contrast of WCAG level AA.
    theme.set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )
    pages.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        max_file_size=MAX_UPLOAD_BYTES,
        footer_links=[],
        theme=theme,
        css=STYLE,
        ssr_mode=False,
        enable_monitoring=False,
        app_kwargs={"middleware": middleware},
        prevent_thread_lock=not wait,
    )


class PolicyHeader:
    """Middleware that adds the security policy to every response.

    Args:
        app: The application.
        frames: Addresses whose pages may show the demo in a frame.
    """

    def __init__(self, app: ASGIApp, frames: str = "") -> None:
        self.app = app
        self.policy = POLICY + (frames or "'none'")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self.policy
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, send_with_policy)
