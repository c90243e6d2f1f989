"""TransientFault faults are tried again, as long as is asked for, and told of."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tenacity import Retrying

from engine.retries import MAX_WAIT_S, TransientFault, parse_retry_after, retry_settings


@pytest.fixture
def slept(monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    return waits


def failing(*errors):
    """Raise these, one a call; then give 1."""
    left = list(errors)

    def call():
        if left:
            raise left.pop(0)
        return 1

    return call


def kind(error):
    return (
        TransientFault("busy", error.args[0] if error.args else None)
        if isinstance(error, OSError)
        else None
    )


def test_a_wait_is_as_asked_for_or_doubles(slept, caplog):
    assert Retrying(**retry_settings(kind))(failing(OSError(7.0), OSError(), OSError())) == 1
    assert slept[0] == 7.0
    assert 1.5 <= slept[1] <= 2.5
    assert 3 <= slept[2] <= 5
    assert "busy; trying again in 7 s" in caplog.text


def test_lasting_faults_and_too_long_waits_end_it(slept):
    for error in (KeyError(), OSError(MAX_WAIT_S + 1)):
        with pytest.raises(type(error)):
            Retrying(**retry_settings(kind))(failing(error))
    with pytest.raises(OSError):  # noqa: PT011 - the last of them, as it is
        Retrying(**retry_settings(kind, attempts=3))(failing(*[OSError()] * 3))
    assert len(slept) == 2


def test_what_a_server_asks_for_is_read():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90))
    assert 80 < parse_retry_after(soon) <= 90
    assert (
        parse_retry_after("3"),
        parse_retry_after("-3"),
        parse_retry_after("soon"),
        parse_retry_after(None),
        parse_retry_after(""),
    ) == (3.0, 0.0, None, None, None)
