"""A small human test, and a participant who answers it."""

import re

import pytest

from eval.human.design import Design
from eval.human.pictures import LabelledFolders

pytest.importorskip(
    "starlette", reason="the pages' libraries are not installed (make install-pages)"
)
pytest.importorskip("httpx", reason="the pages' libraries are not installed (make install-pages)")

from starlette.testclient import TestClient

from eval.human.application import application
from eval.human.server import prepare_study

LABELS = {"real": "A photograph", "generated": "Generated"}


ASKED = {"Used generators before?": ["Yes", "No"]}


def design(**changes):
    given_ = {
        "kind": "label",
        "title": "T",
        "question": "Which?",
        "labels": LABELS,
        "target": "generated",
        "number": 6,
        "size": 32,
    }
    return Design(**(given_ | {"reasons": ["Blur", "Detail"], "about": ASKED} | changes))


def begin(client):
    answer = client.post("/begin", data={"about0": "Yes", "consent": "yes"}, follow_redirects=False)
    assert answer.status_code == 303
    return answer.headers["location"]


def study(folders, output, **changes):
    made = design(**changes)
    store = prepare_study(made, LabelledFolders(folders), output, seed=3)
    return store, TestClient(application(made, store, output, 3), base_url="http://localhost")


def truth(store, token):
    """What is true of the picture a token stands for, looked up as only the study's owner can."""
    return store.stimuli()[store.image_index(token)].label


def complete(client, store, say):
    """Answer every question as ``say(label, place)`` does; returns the tokens in their order."""
    page, tokens = begin(client), []
    while found := re.findall(r'/picture/([\w-]+)"', (text := client.get(page).text)):
        place = re.search(r'name="place" value="(\d+)"', text)[1]
        choice = say(truth(store, found[-1]), int(place))
        tokens += found
        client.post(page, data={"place": place, "choice": choice, "reason": ["0"]})
    assert "Thank you" in text
    return tokens
