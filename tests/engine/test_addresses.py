"""Which addresses a stranger's URL may lead to."""

import pytest

from engine.addresses import is_loopback, is_public, resolves_to_private

PUBLIC = [
    "8.8.8.8",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2606:4700::1111",
    "2001:4860:4860::8888",
]

CLOSED = [
    *(
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",
    ),
    *(
        "192.0.0.8",
        "192.88.99.1",
        "168.63.129.16",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
    ),
    *(
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
    ),
    *(
        "2002:7f00:1::",
        "2002:808:808::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "3fff::1",
        "4000::1",
    ),
    *(
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "5f00::1",
    ),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_hosts_of_the_public_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize("address", CLOSED)
def test_everything_else_is_not(address):
    assert not is_public(address)


def test_a_name_is_looked_up_however_it_is_written():
    assert all(map(resolves_to_private, ["localhost", "127.1", "0x7f.1", "2130706433", "::1"]))
    assert is_loopback("localhost")
    assert is_loopback("127.0.0.9")
    assert not is_loopback("example.org")
