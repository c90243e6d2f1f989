import asyncio
import time

import pytest

from engine.http_status import KeyRefused, ServiceError
from sentinels.answers import is_refusal, parse_list, parse_ranking, yes_or_no
from sentinels.client import Client
from sentinels.fetch import fetch
from sentinels.messages import message
from sentinels.service import CallLimitReached, Service
from tests.sentinels.conftest import KEY, picture_bytes, send

ASK = [message("hello")]


def use(service, cache, work):
    async def go():
        async with Client(service, cache, first_wait=0.01) as client:
            return await work(client), client

    return asyncio.run(go())


def chat(service, cache, **how):
    return use(service, cache, lambda client: client.chat(ASK, **how))


def test_an_answer_is_paid_for_once(service, stub, tmp_path):
    stub.say = lambda asked: f"answer {len(stub.requests)}"
    assert chat(service, tmp_path)[0] == "answer 1"
    again, client = chat(service, tmp_path)
    assert (again, client.calls, client.cached) == ("answer 1", 0, 1)
    assert chat(service, tmp_path, salt="trial 2")[0] == "answer 2"


@pytest.mark.parametrize("fault", ["429", "500", "503", "cut", "short"])
def test_passing_faults_are_tried_again(service, stub, tmp_path, fault):
    stub.faults, stub.say = [fault], lambda asked: "fine"
    start = time.monotonic()
    text, client = chat(service, tmp_path)
    assert (text, client.calls) == ("fine", 2)
    assert fault != "429" or time.monotonic() - start >= 0.2  # as Retry-After says


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("401", "check the API key"),
        ("429 long", "asks to wait 86400 s"),
        ("big", "more than 2 MiB"),
        ("refusal", "the model refused: I will not"),
        ("length", "cut off"),
        ("list", "not a JSON object"),
        ("empty", "answered with nothing"),
        ("redirect", "status 302"),
    ],
)
def test_lasting_faults_end_at_once_with_a_reason(service, stub, tmp_path, fault, says):
    stub.faults = [fault]
    with pytest.raises(ServiceError, match=says) as raised:
        chat(service, tmp_path)
    assert len(stub.requests) == 1
    assert KEY not in str(raised.value)
    assert not list(tmp_path.rglob("*.json"))  # nothing bad is kept


def test_a_service_that_stays_broken_is_given_up(service, stub, tmp_path):
    stub.faults = ["500"] * 9
    with pytest.raises(ServiceError, match="gave up on: status 500"):
        chat(service, tmp_path)
    assert len(stub.requests) == service.attempts


def test_a_slow_answer_is_not_waited_for(stub, tmp_path):
    stub.faults, stub.say = ["slow"], lambda asked: "quick"
    assert (
        chat(Service(base_url=f"{stub.root}/v1", timeout=0.6, attempts=3), tmp_path)[0] == "quick"
    )


def test_no_more_requests_than_allowed(stub, tmp_path):
    service = Service(base_url=f"{stub.root}/v1", max_calls=2)

    async def three(client):
        return [await client.chat(ASK, salt=str(number)) for number in range(3)]

    with pytest.raises(CallLimitReached, match="stopped after 2 requests"):
        use(service, tmp_path, three)
    assert len(stub.requests) == 2


def test_no_more_at_a_time_than_allowed(stub, tmp_path):
    running, most = [0], [0]

    def say(asked):
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.1)
        running[0] -= 1
        return "x"

    stub.say = say
    service = Service(base_url=f"{stub.root}/v1", concurrency=2)
    use(
        service,
        tmp_path,
        lambda client: asyncio.gather(*(client.chat(ASK, salt=str(number)) for number in range(6))),
    )
    assert most[0] == 2


def draw(service, cache, references=()):
    return use(service, cache, lambda client: client.draw("a thing", references))


def test_pictures_come_as_base64_with_and_without_references(service, stub, tmp_path):
    assert draw(service, tmp_path)[0] == stub.drawn
    assert draw(service, tmp_path, [picture_bytes(kind="JPEG")])[0] == stub.drawn
    assert [path for path, _ in stub.requests] == ["/v1/images/generations", "/v1/images/edits"]
    _, client = draw(service, tmp_path)
    assert (client.calls, client.cached) == (0, 1)


def test_pictures_come_by_url_too(service, stub, tmp_path):
    stub.faults = ["picture url"]
    assert draw(service, tmp_path)[0] == stub.drawn


@pytest.mark.parametrize(
    ("drawing", "fault", "says"),
    [
        ("images", "not a picture", "not a valid image file"),
        ("images", "bad base64", "holds no image"),
        ("chat", "prose", "no URL of an image but: Here is what I see"),
        ("chat", "html link", "text/html"),
        ("chat", "missing link", "status 404"),
        ("chat", "private link", "private address"),
        ("chat", "redirecting link", "private address"),
        ("chat", "file link", "no URL"),
    ],
)
def test_what_is_no_picture_is_refused(stub, tmp_path, drawing, fault, says):
    stub.faults = [fault]
    with pytest.raises(ServiceError, match=says):
        draw(
            Service(base_url=f"{stub.root}/v1", drawing=drawing, max_megabytes=2, attempts=2),
            tmp_path,
        )
    assert not list(tmp_path.rglob("*.bin"))


@pytest.mark.parametrize("fault", ["link", "two links"])
def test_a_chat_may_answer_with_a_link(stub, tmp_path, fault):
    stub.faults = [fault]
    assert draw(Service(base_url=f"{stub.root}/v1", drawing="chat"), tmp_path)[0] == stub.drawn


def test_a_link_that_was_paid_for_is_followed_again_and_asked_for_anew_only_if_it_is_dead(
    stub, tmp_path
):
    service = Service(base_url=f"{stub.root}/v1", drawing="chat", attempts=1)
    stub.faults, serve = ["link"], stub.serve_file
    stub.serve_file = lambda handler: send(handler, 500, b"", {})
    with pytest.raises(ServiceError, match="gave up"):
        draw(service, tmp_path)
    stub.serve_file = serve
    assert draw(service, tmp_path)[0] == stub.drawn
    assert len(stub.requests) == 1
    assert not list(tmp_path.rglob("*.url"))
    (picture,) = tmp_path.rglob("*.bin")
    picture.with_suffix(".url").write_text(f"{stub.root}/files/expired.png")
    picture.unlink()
    stub.faults = ["link"]
    assert draw(service, tmp_path)[0] == stub.drawn
    assert len(stub.requests) == 2


def test_an_oversized_picture_is_not_read(stub, tmp_path):
    stub.faults, stub.drawn = ["link"], b"x" * (3 * 2**20)
    with pytest.raises(ValueError, match="more than 2 MiB"):
        draw(Service(base_url=f"{stub.root}/v1", drawing="chat", max_megabytes=2), tmp_path)


def test_the_key_goes_to_the_service_and_nowhere_else(service, stub, tmp_path, capsys, caplog):
    stub.faults = ["picture url", "500", "401"]
    draw(service, tmp_path)
    with pytest.raises(ServiceError) as raised:
        chat(service, tmp_path)
    assert set(stub.authorizations) == {f"Bearer {KEY}"}
    told = (
        str(raised.value)
        + repr(raised.value)
        + repr(service)
        + str(service.settings())
        + caplog.text
        + "".join(capsys.readouterr())
    )
    assert KEY not in told
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]


def test_a_key_is_needed_and_never_travels_in_the_open(monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ValueError, match="set the environment variable OPENAI_API_KEY"):
        Client(Service(), tmp_path)
    Client(Service("http://localhost:8000/v1"), tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ValueError, match="use https") as raised:
        Client(Service("http://example.org/v1"), tmp_path)
    assert KEY not in str(raised.value)
    for wrong in ("ftp://a/b", "https://user:pass@a/", "nothing"):
        with pytest.raises(ValueError, match="base_url"):
            Service(wrong)


def test_pictures_travel_under_their_true_kind():
    parts = message("look", [picture_bytes(kind="JPEG"), picture_bytes()])["content"]
    assert [part["image_url"]["url"][:22] for part in parts[1:]] == [
        "data:image/jpeg;base64",
        "data:image/png;base64,",
    ]
    with pytest.raises(ValueError, match="not bmp"):
        message("look", [picture_bytes(kind="BMP")])


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Yes.", "yes"),
        ("**No**, because", "no"),
        ("Eyes are missing", "undecided"),
        ("yesterday", "undecided"),
        ("not", "undecided"),
        ("", "undecided"),
    ],
)
def test_only_a_first_word_decides(text, verdict):
    assert yes_or_no(text) == verdict


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1. a cat\n2. a dog", ["a cat", "a dog"]),
        ("- 'x y'", ["x y"]),
        ("10. ten", ["10. ten"]),
        ("Caption 1. foo", ["foo"]),
        ("  \n1. a\n\n", ["a"]),
        ("7", []),
        ("", []),
        ("3.5 mm screws", ["3.5 mm screws"]),
        ("\u201cABC\u201d", ["ABC"]),
    ],
)
def test_captions_come_out_of_lists(text, found):
    assert parse_list(text) == found


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("2, 0", [2, 0]),
        ("[1]", [1]),
        ("0,0,1", [0, 1]),
        ("3", None),
        ("the first", None),
        ("1; 2", None),
    ],
)
def test_choices_are_numbers_or_nothing(text, places):
    assert parse_ranking(text, 3) == places


def test_refusals():
    assert is_refusal("I\u2019m sorry")
    assert is_refusal("I can't do that")
    assert not is_refusal("a canopy")


@pytest.mark.parametrize("fault", ["401", "401 long", "403"])
def test_a_refused_key_ends_the_run_in_one_line(stub, tmp_path, fault):
    service = Service(base_url=f"{stub.root}/v1", concurrency=1)
    stub.faults = [fault]
    errors, client = use(service, tmp_path, many)
    assert all(isinstance(error, KeyRefused) for error in errors)
    assert "\n" not in str(errors[0])
    assert KEY[:6] not in str(errors).replace("[API key]", "")
    assert client.calls == len(stub.requests) == 1, "nothing is asked again"


async def many(client):
    asks = (client.chat(ASK, salt=str(number)) for number in range(5))
    return await asyncio.gather(*asks, return_exceptions=True)


def test_a_refused_key_ends_the_waits_of_other_requests(stub, tmp_path):
    stub.faults = ["500", "500", "401"]
    service = Service(base_url=f"{stub.root}/v1", concurrency=3)

    async def go():
        async with Client(service, tmp_path, first_wait=60) as client:
            return await many(client)

    start = time.monotonic()
    errors = asyncio.run(go())
    assert time.monotonic() - start < 10
    assert all(isinstance(error, KeyRefused) for error in errors)
    assert len(stub.requests) <= 5


def test_a_flagged_input_ends_only_its_own_request(stub, tmp_path):
    service = Service(base_url=f"{stub.root}/v1", concurrency=1)
    stub.faults, stub.say = ["403 flagged"], lambda asked: "fine"
    (error, *answers), _ = use(service, tmp_path, many)
    assert isinstance(error, ServiceError)
    assert not isinstance(error, KeyRefused)
    assert answers == ["fine"] * 4


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "192.0.0.8",
        "168.63.129.16",
        "224.0.0.1",
        "127.1",
    ],
)
def test_strangers_urls_stay_outside(address):
    with pytest.raises(ValueError, match="leads to a private address"):
        asyncio.run(fetch(f"http://{address}/a.png", "https://service.example/v1", 2**20, 1.0))
