"""The address guard: a table of addresses, and what allowing and naming change."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import UsageError
from crawler.transports.guard import Guard

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "168.63.129.15",
    "172.32.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001:82a::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104  # nothing binds to it here
    "0.1.2.3",
    "10.0.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:808:808:0:0:f5ff:fffe",  # Teredo: the client is 10.0.0.1
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
NOT_AN_ADDRESS = ["", "localhost", "127.1", "0177.0.0.1", "2130706433", "1.2.3.4.5", "[::1]", "8.8.8.8 ", "%eth0"]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_passes(address: str) -> None:
    assert Guard(()).permits(address, named=False) is True


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_passes_only_for_a_named_host(address: str) -> None:
    assert Guard(()).permits(address, named=False) is False
    assert Guard(()).permits(address, named=True) is True


@pytest.mark.parametrize("text", NOT_AN_ADDRESS)
def test_what_is_no_address_does_not_pass(text: str) -> None:
    assert Guard(["0.0.0.0/0", "::/0"]).permits(text, named=False) is False


def test_an_allowed_network_passes_and_its_neighbours_do_not() -> None:
    guard = Guard(["10.1.0.0/16", "::1", "192.168.7.7"])
    candidates = ["10.0.255.255", "10.1.0.0", "10.1.255.255", "10.2.0.0", "::1", "::2", "192.168.7.7", "192.168.7.8"]
    assert [a for a in candidates if guard.permits(a, named=False)] == [
        "10.1.0.0",
        "10.1.255.255",
        "::1",
        "192.168.7.7",
    ]


def test_an_allowed_network_covers_its_wrapped_addresses_and_any_scope() -> None:
    guard = Guard(["10.0.0.0/8", "fe80::/10"])
    candidates = ["::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "fe80::1%eth0", "::ffff:127.0.0.1"]
    assert [guard.permits(a, named=False) for a in candidates] == [True, True, True, True, False]


def test_every_metadata_address_is_refused() -> None:
    metadata = {"169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"}
    assert {a for a in metadata if Guard(()).permits(a, named=False)} == set()


@pytest.mark.parametrize("text", ["", "ten", "10.0.0.0/33", "10.0.0.1/8", "::/129", "10.0.0.0/8/8"])
def test_a_bad_network_is_a_usage_error_that_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"^allow_private: "):
        Guard([text])


@given(st.ip_addresses())
def test_whatever_the_standard_library_calls_private_is_refused(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    refused = (
        (address.is_private and not address.is_global)
        or address.is_multicast
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
    )
    wraps = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None
    if refused and not wraps:
        assert Guard(()).permits(str(address), named=False) is False
