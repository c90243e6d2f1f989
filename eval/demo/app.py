"""``python -m eval demo``: the tabs together, on this machine only unless told otherwise."""

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
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eval.demo import detect, find, protect, sentinel
from eval.demo.sessions import Sessions
from eval.human.application import LOOPBACK
from images.uploads import MAX_UPLOAD_BYTES

logger = logging.getLogger(__name__)

POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Pages may fetch from this server only, whatever a library would like to load."""

NOT_THERE = (
    "There is no model for this tab. Start the demo with `--{flag} NAME`: a folder or Hub id."
)
STYLE = """
button[role=tab], .label-clear-button, [data-testid=upload-text] * { color: var(--body-text-color) !important }
a.download-link { color: var(--body-text-color) !important; text-decoration: underline }
"""
"""Where the library's own colours are too faint to read."""

Tab = tuple[str, Callable[[Sessions], None] | None]
"""A tab's name, and what puts its parts there; nothing where it has no model."""


def demo(
    protector: str | None = "checkpoints/tiny/rid",
    detector: str | None = "checkpoints/tiny/detector",
    index: str | None = "checkpoints/tiny/index",
    reader: str | None = "checkpoints/tiny/embedder",
    trust_torchscript: bool = False,
    host: str = "127.0.0.1",
    port: int = 7860,
) -> None:
    """Serve the demo until it is stopped. Nothing is fetched from elsewhere, and what visitors hand in is deleted when they leave.

    Args:
        protector: RID generator of the tab Protect: a folder or Hub id.
        detector: Detector of the tab Detect: a folder or Hub id.
        index: Index of the tab Find: a folder of ``python -m indexing build``; pictures it names are shown where they are on this machine.
        reader: Network that reads keys, of the tab Sentinel: a folder or Hub id.
        trust_torchscript: Run the program that the index's extractor is, if it is a TorchScript file.
        host: Address to listen on; only this machine can reach the default.
        port: Port to listen on.
    """
    with tempfile.TemporaryDirectory(prefix="demo-", ignore_cleanup_errors=True) as folder:
        tabs: dict[str, Tab] = {
            "protector": (protect.NAME, partial(protect.add, protector) if protector else None),
            "detector": (detect.NAME, partial(detect.add, detector) if detector else None),
            "index": (
                find.NAME,
                partial(find.add, index, trust_torchscript=trust_torchscript) if index else None,
            ),
            "reader": (sentinel.NAME, partial(sentinel.add, reader) if reader else None),
        }
        pages = build(tabs, Path(folder))
        logger.info("demo: http://%s:%s/  (Ctrl-C stops)", host, port)
        launch(pages, Path(folder), host, port)


def build(tabs: Mapping[str, Tab], folder: Path) -> gr.Blocks:
    """The pages.

    Args:
        tabs: By the flag that names its model.
        folder: For the visitors' files.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # read when a part is made
    sessions = Sessions(folder)
    with gr.Blocks(
        title="Defending images", analytics_enabled=False, delete_cache=(600, 3600)
    ) as pages:
        gr.Markdown(
            "# Defending images\nPictures are worked on here and deleted when you leave this page."
        )
        for flag, (name, add) in tabs.items():
            with gr.Tab(name):
                if add:
                    add(sessions)
                else:
                    gr.Markdown(NOT_THERE.format(flag=flag))
        pages.unload(sessions.end)
    return pages.queue(default_concurrency_limit=1, max_size=20)


def launch(pages: gr.Blocks, folder: Path, host: str, port: int, wait: bool = True) -> None:
    """Serve pages; ``wait`` until they are stopped, or return at once."""
    hosts = [*LOOPBACK, "[::1]"] if host in LOOPBACK else ["*"]
    theme = gr.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    theme.set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )  # contrast AA
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
        app_kwargs={
            "middleware": [
                Middleware(TrustedHostMiddleware, allowed_hosts=hosts),
                Middleware(PolicyHeader),
            ]
        },
        prevent_thread_lock=not wait,
    )


class PolicyHeader:
    """Adds the policy to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, with_policy)
