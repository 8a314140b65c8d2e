"""URLs: one normal form, the two halves that the crawler works with, and what a person may type as a seed.

The normal form is what the WHATWG URL standard serialises (by way of ada-url), as browsers do, less the fragment and
any user name or password, with percent-escapes in upper case. Pure: no network, disk, clock or process; runs anywhere.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

import ada_url

NORMAL_FORM = "whatwg-1"  # stored in the ledger: another form would make old URLs look new
MAX_LENGTH = 8_192  # characters; RFC 9110 section 4.1 asks for at least 8,000

_LOWER_CASE_ESCAPE = re.compile(r"%(?:[a-f][0-9a-fA-F]|[0-9A-F][a-f])")
_SCHEME = re.compile(r"([^/?#:\[]+):(?!\d+(?:[/?#]|$))")  # a colon that no port follows: "localhost:8000" has none


def normalise(text: str, base: str | None = None) -> str | None:
    """Return the normal form of a URL, or of a reference to a base; None if it is no http(s) URL. Never raises."""
    if len(text) > MAX_LENGTH:
        return None
    try:
        url = ada_url.join_url(base, text) if base is not None else ada_url.normalize_url(text)
    except (ValueError, UnicodeError):
        return None
    if not url.startswith(("http://", "https://")) or len(url) > MAX_LENGTH:
        return None
    if "#" in url:
        url = url[: url.index("#")]
    if "@" in url:
        url = _strip_userinfo(url)
    if "%" in url:
        url = _LOWER_CASE_ESCAPE.sub(lambda escape: escape[0].upper(), url)
    return url


def fragment(text: str) -> str:
    """Return what follows the "#" of a reference as it stands in a URL: WHATWG URL standard, "fragment state"."""
    try:
        return ada_url.normalize_url(f"http://a/#{text}").partition("#")[2]
    except (ValueError, UnicodeError):
        return ""


class Joiner:
    """Normalises references to one base. What depends on the base's directory alone is remembered across pages."""

    def __init__(self, base: str) -> None:
        self._base = base
        path = base.partition("?")[0]
        self._directory = path[: path.rindex("/") + 1]

    def join(self, reference: str) -> str | None:
        """Return the normal form of a reference; None if it is no http(s) URL. Never raises."""
        # "?x", "" and "http:?x" (a colon) depend on the whole base; so does "\x01?x".
        first = reference[:1]
        if (
            (first.isalnum() or first in _OF_DIRECTORY)
            and (":" not in reference or reference.startswith(("http://", "https://")))
            and len(reference) + len(self._directory) <= _MAX_REMEMBERED
        ):
            return _join_to_directory(reference, self._directory)
        return normalise(reference, self._base)


# A site's pages repeat their navigation: looking a reference up takes a twentieth of the time that joining it takes.
_join_to_directory = lru_cache(16_384)(normalise)
_MAX_REMEMBERED = 512  # characters
_OF_DIRECTORY = ("/", ".")


def split(url: str) -> tuple[str, str]:
    """Split a normal form into host ("https://example.org:8080") and target ("/path?query")."""
    slash = url.index("/", 8)
    return url[:slash], url[slash:]


def host_name(host: str) -> str:
    """Return the name in a host: "www.example.org" of "https://www.example.org:8080"."""
    authority = host[host.index("//") + 2 :]
    if authority.startswith("["):
        return authority[: authority.index("]") + 1]
    return authority.partition(":")[0]


def fingerprint(url: str, key: bytes) -> int:
    """Return 64 bits, signed, that stand for a URL in the sieve.

    Keyed by the ledger, so that nobody can make two URLs collide. Ten million URLs collide by chance with
    probability 3e-6.
    """
    return int.from_bytes(hashlib.blake2b(url.encode(), digest_size=8, key=key).digest(), "little", signed=True)


def read_seed(text: str) -> str:
    """Return the normal form of what a person typed: a URL, or a bare host, which means http://.

    Raises:
        ValueError: one sentence that names what was expected.
    """
    typed = text.strip()
    if not typed:
        raise ValueError("expected a URL or a host, got nothing")
    if re.search(r"\s", typed):
        raise ValueError("a URL has no spaces in it; expected one URL or host")
    scheme = _SCHEME.match(typed)
    if scheme is None:
        typed = "http://" + typed
    elif scheme[1].lower() not in ("http", "https"):
        raise ValueError(f"expected a URL that starts with http:// or https://, or a bare host, not {scheme[0]!r}")
    url = normalise(typed)
    if url is None:
        raise ValueError("not a URL that can be asked: expected such as https://example.org/ or example.org")
    return url


def _strip_userinfo(url: str) -> str:
    host, target = split(url)
    scheme, _, authority = host.partition("//")
    return f"{scheme}//{authority.rpartition('@')[2]}{target}"
