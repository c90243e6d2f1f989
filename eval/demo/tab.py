"""Parts of every tab: files, examples at one click, buttons, progress, cancelling, a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from eval.demo.sessions import Sessions
from images.photo import Photo

T = TypeVar("T")

CONCURRENCY = "models"
"""Group of the events that compute, one at a time."""


@dataclass
class Given:
    """Images that a visitor handed in, and what is told about them.

    Attributes:
        photos: Names and images.
        report: Lines of the report.
        folder: Folder of the visitor's results.
        progress: The page's progress bar, which the first results take away.
        own: Returns the visitor's state in memory, made by a function on first use.
        done: How much is done, shown below the report; empty at the end.
    """

    photos: list[tuple[str, Photo]]
    report: list[str]
    folder: Path
    progress: Callable[..., Any]
    own: Callable[[Callable[[], Any]], Any]
    done: str = ""

    def tell(self, share: float, words: str) -> None:
        """Show how much is done.

        Args:
            share: Share of the whole, 0 to 1.
            words: What is done at the moment.
        """
        self.progress(share, desc=words)
        self.done = f"{share:.0%}: {words}"

    def each(self) -> Iterator[tuple[int, str, Photo]]:
        """Yield number, name and image of each, with progress."""
        for number, (name, photo) in enumerate(self.photos):
            self.progress(number / len(self.photos), desc=name)
            self.done = f"{number + 1} of {len(self.photos)} done"
            yield number, name, photo
        self.done = ""

    def file(self, number: int, name: str) -> Path:
        """File of a result, in a folder of its image, so that it has the wanted name."""
        folder = self.folder / str(number)
        folder.mkdir(exist_ok=True)
        return folder / name


Run = Callable[[Given], Iterator[tuple[Any, ...]]]
"""Action of a tab: yields the values of its outputs, again after each image."""


@dataclass
class Tab:
    """Upper part of a tab, laid out when it is made.

    Args:
        sessions: Visitors' files.
        name: Beginning of the ids on the page.
        label: Label of the files.
        actions: What the buttons do, by their words.
        examples: Action and names of shipped files, by the words of a button that hands them in
            and starts it.
    """

    sessions: Sessions
    name: str
    label: str
    actions: Mapping[str, Run]
    examples: Mapping[str, tuple[str, Sequence[str]]]
    files: gr.File = field(init=False)
    report: gr.Textbox = field(init=False)

    def __post_init__(self) -> None:
        self.files = self.sessions.files(self.label, f"{self.name}-files")
        with gr.Row():
            self.example_buttons = [gr.Button(words, size="sm") for words in self.examples]
        with gr.Row():
            self.buttons = []
            for place, words in enumerate(self.actions):
                kind = "secondary" if place else "primary"
                self.buttons.append(gr.Button(words, variant=kind))  # type: ignore[arg-type]
            self.cancel = gr.Button("Cancel")
        self.report = gr.Textbox(label="Report", elem_id=f"{self.name}-report")

    def connect(self, *outputs: Any) -> None:
        """Connect the buttons with the components that the actions fill."""
        shown = [*outputs, self.report]
        handlers = {words: self._handler(run) for words, run in self.actions.items()}
        events: list[dict[str, Any]] = []
        for (words, handler), button in zip(handlers.items(), self.buttons, strict=True):
            name = words.lower()
            event = button.click(
                handler, self.files, shown, api_name=name, concurrency_id=CONCURRENCY
            )
            events.append(event)
        examples = zip(self.examples.values(), self.example_buttons, strict=True)
        for (action, names), button in examples:
            handed_in = button.click(
                self._hand_in(names), None, self.files, api_visibility="private"
            )
            event = handed_in.then(
                handlers[action],
                self.files,
                shown,
                api_visibility="private",
                concurrency_id=CONCURRENCY,
            )
            events.append(event)
        self.cancel.click(None, cancels=events, api_visibility="private")

    def _handler(self, run: Run) -> Callable[..., Iterator[tuple[Any, ...]]]:
        """Make the function that the page calls for an action."""
        sessions = self.sessions

        def handle(
            files: list[str] | None,
            request: gr.Request,
            progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio finds it by its default
        ) -> Iterator[tuple[Any, ...]]:
            photos, report = sessions.open(files, request)
            given = Given(
                photos,
                report,
                sessions.folder(request),
                progress,
                lambda make: sessions.own(request, make),
            )
            for values in run(given):
                lines = [*given.report, given.done] if given.done else given.report
                yield (*values, "\n".join(lines))

        return handle

    def _hand_in(self, names: Sequence[str]) -> Callable[[gr.Request], list[str]]:
        """Make the function that hands shipped files in."""

        def hand_in(request: gr.Request) -> list[str]:
            return self.sessions.examples(names, request)

        return hand_in
