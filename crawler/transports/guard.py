"""Which addresses may be connected to: public ones, and what the user allowed or named.

Pure: it knows no socket and no resolver. The transport asks it twice per connection, for every address that a name
has and then for the address that the socket is really connected to, so that a name which changes in between (DNS
rebinding) gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from crawler.errors import UsageError

_REMEMBERED: Final = 1_024  # addresses; a transport asks before each request

# Lists of our own instead of `ipaddress.is_global`: that one changed between patch releases, and calls multicast,
# wrapped IPv4 addresses and Azure's platform address global. Source: IANA's special-purpose address registries.
_SPECIAL_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; 100.100.100.200 is Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's platform services, inside a public block
        "169.254.0.0/16",  # link-local; 169.254.169.254 is most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is Oracle's metadata
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",  # ends with the broadcast address
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # everything outside is special or unassigned
_SPECIAL_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments; starts with Teredo, which wraps the client's IPv4 address inverted
        "2001:db8::/32",
        "3fff::/20",
    )
)
#: IPv6 networks whose addresses stand for an IPv4 address → how far right in the address it ends
_WRAPPERS: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64: what every name resolves to behind DNS64
    (IPv6Network("2002::/16"), 80),  # 6to4
)

_Address = IPv4Address | IPv6Address


class Guard:
    """Knows which addresses may be connected to."""

    def __init__(self, allow_private: Sequence[str]) -> None:
        """Allow these networks besides the public addresses.

        Args:
            allow_private: addresses or networks such as "10.0.0.0/8" and "::1".

        Raises:
            UsageError: one of them is no network.
        """
        self._allowed = tuple(_network(text) for text in allow_private)
        self._is_permitted = lru_cache(_REMEMBERED)(self._judge)

    def permits(self, address: str, named: bool) -> bool:
        """Return whether a socket may be connected to this address.

        Args:
            address: as in a socket's address, a scope id ("fe80::1%eth0") included.
            named: the user named this host; then its addresses are as the user wants them.
        """
        return named or self._is_permitted(address)

    def _judge(self, address: str) -> bool:
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        plain = _unwrapped(found)
        return _is_public(plain) or any(found in network or plain in network for network in self._allowed)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise UsageError(f"allow_private: {error}; expected a network such as 10.0.0.0/8 or ::1") from error


def _unwrapped(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    for network, shift in _WRAPPERS:
        if address in network:
            return IPv4Address(int(address) >> shift & 0xFFFF_FFFF)
    return address


def _is_public(address: _Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _SPECIAL_V6)
