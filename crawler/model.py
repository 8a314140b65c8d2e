"""The nouns: what crosses a process border, and the closed lists of what may happen to a URL.

Everything here is plain data (msgspec structs, encoded as MessagePack arrays), so that a record is the same in the
coordinator, in a worker and in a consumer, and so that nothing from the network is ever unpickled. This module knows
no network, disk, clock or process, and imports nothing of this package.

An `Order` goes to a worker with every call; a call comes back as a generation, a list of `Outcome` (all that the
coordinator looks at) and a `Batch` (bytes that only a consumer decodes).
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import msgspec

#: How a URL came to us: as a link (seeds too), a redirect's target, an embedded resource, or as the
#: prerequisite of other requests (robots.txt). The letters are those of Heritrix's crawl log.
LINK, REDIRECT, EMBED, PREREQUISITE = "L", "R", "E", "P"

QUEUED, DONE, FAILED, SKIPPED = "queued", "done", "failed", "skipped"

#: reason → (the state it ends in, what it means). The list is closed; docs and the ledger's users rely on it.
REASONS: Final[dict[str, tuple[str, str]]] = {
    "ok": (DONE, "answered with a status of 2xx"),
    "redirect": (DONE, "answered with a status of 3xx; the target is a URL of its own"),
    "client-error": (DONE, "answered with a status of 4xx (429 is retried first)"),
    "robots-unreachable": (FAILED, "the host's robots.txt could not be had, which forbids the host (RFC 9309)"),
    "dns": (FAILED, "the host's name has no address"),
    "refused": (FAILED, "the host refused the connection, or there is no way to it"),
    "reset": (FAILED, "the connection was closed before a whole answer came"),
    "timeout": (FAILED, "no whole answer within timeout_seconds"),
    "tls": (FAILED, "no trustworthy TLS connection"),
    "truncated": (FAILED, "the body ended before its announced length, or does not decompress"),
    "too-large": (FAILED, "the body is larger than max_body_bytes, on the wire or decoded"),
    "bad-response": (FAILED, "what came back is not HTTP"),
    "blocked-address": (FAILED, "the host's address is not public, and was neither a seed's nor allowed"),
    "server-error": (FAILED, "answered 429 or 5xx until the retries were used up"),
    "killed-worker": (FAILED, "its worker process died twice while this page was being parsed"),
    "internal-error": (FAILED, "the crawler itself failed on it; the text is in the column error"),
    "robots": (SKIPPED, "disallowed by the host's robots.txt"),
    "too-many-redirects": (SKIPPED, "more than 10 redirects in a row led here"),
    "out-of-scope": (SKIPPED, "was in scope when it was found, and no longer is"),
    "too-deep": (SKIPPED, "was within max_depth when it was found, and no longer is"),
}

#: what an outcome says of its visit, if not its end: to be tried again, a robots.txt, or given back unsent
RETRY, ROBOTS, UNASKED = "retry", "robots", "unasked"

#: why a run ended: what `finish_reason` may say
FINISHED, MAX_PAGES, MAX_TIME, INTERRUPTED = "finished", "max-pages", "max-time", "interrupted"

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})  # statuses
MAX_REDIRECTS: Final = 10  # in a row; browsers allow 20, curl 50, RFC 9309 five for robots.txt
MAX_LINKS_PER_PAGE: Final = 10_000  # stored; the rest is counted


class Purpose(enum.IntEnum):
    """What a visit is for. The numbers stand in ledgers.

    The first four are a chain, by rank: a visit of one of them does all that a visit of a later one would do, so that
    of two purposes of a URL the earlier is enough. What is no step of it is an errand, with a key of its own: a URL may
    be a page and somebody's robots.txt. `rules.purposes` says how each is asked and read.
    """

    PAGE = 0  # of the crawl: its links are followed
    EMBED = 1  # what a page needs to be shown; of a stylesheet, what that needs is asked for, too
    EXTERNAL_FRAGMENT = 2  # leaves the scope, and is linked with a #fragment that is to be looked for
    EXTERNAL = 3  # leaves the scope: is it there?
    ROBOTS = 16  # a host's robots.txt

    @property
    def is_errand(self) -> bool:
        """Return whether it is no step of the chain, and so no row of the ledger's queue."""
        return self not in CHAIN

    @property
    def word(self) -> str:
        """Return it as users read it: "external-fragment"."""
        return self.name.lower().replace("_", "-")


#: what a URL that is to be crawled or checked may be, the strongest purpose first
CHAIN: Final = (Purpose.PAGE, Purpose.EMBED, Purpose.EXTERNAL_FRAGMENT, Purpose.EXTERNAL)

UrlId = tuple[int, int]  # (host_id, seq): the key of a row of urls
NO_ROW: Final = -1  # the seq of an errand's visit: it is no row of urls


Headers = tuple[tuple[str, str], ...]  # (name, value), in the order in which they stand on the wire


class Visit(msgspec.Struct, array_like=True, frozen=True):
    """A URL handed to a worker."""

    host_id: int
    seq: int
    tag: int  # unique within a run; the worker's mark while it parses this page
    host: str  # scheme and authority, "https://example.org:8080"
    target: str  # path and query of the normal form, as sent on the wire
    hop: str
    purpose: Purpose
    depth: int  # of an embed: steps from its page
    redirects: int  # how many redirects in a row led here
    attempts: int  # how often it was tried before
    visits: int  # of this URL that have ended: who comes back with another number comes too late
    named: bool  # the user named this host: the address guard lets it pass
    at_once: int  # how many requests this worker may have in flight for this host
    clock_id: int  # the host that is asked: host_id, but for a robots.txt that was redirected to another host
    tried_seconds: float = 0.0  # robots.txt: since it was first asked for in this run
    briefing: int = 0  # the version of the briefing that it needs, of the host that is asked

    @property
    def id(self) -> UrlId:
        """Return the key of its row."""
        return (self.host_id, self.seq)

    @property
    def key(self) -> tuple[int, int, int]:
        """Return what all tries of the same have in common: a URL's row, or an errand's host and what it is for."""
        return (self.host_id, self.seq, self.purpose if self.purpose.is_errand else 0)

    @property
    def url(self) -> str:
        """Return the whole URL, in normal form."""
        return self.host + self.target

    def ended(self, state: str, reason: str, error: str | None = None, *, asked: bool = True) -> End:
        """Return the record that ends it in this state."""
        return End(
            state, reason, error, self.host_id, self.seq, self.visits, asked, self.purpose, self.depth, self.redirects
        )  # fmt: skip


class Briefing(msgspec.Struct, array_like=True, frozen=True):
    """What a worker must know of a host: sent with the first visits that ask it, and again when it has changed."""

    host_id: int
    version: int  # a larger one is newer, among all hosts' of a run
    verdict: str = ""  # of its robots.txt: "allow" | "deny" (unreachable) | "rules" (in `body`); "": not known yet
    reason: str = ""  # of "deny"
    body: str = ""
    delay_seconds: float = 0.0  # between the end of a request to it and the next one
    headers: Headers = ()  # that the user gave for requests to it


class Order(msgspec.Struct, array_like=True):
    """What one call tells a worker."""

    flush_early: bool  # the coordinator has nothing to hand out: come back as soon as anything is finished
    stop: bool  # give back what waits, start nothing
    visits: list[Visit]
    briefings: list[Briefing] = []
    pause: list[int] = []  # hosts that failed elsewhere: give back what waits for them


class Outcome(msgspec.Struct, array_like=True):
    """How a visit ended: the little that the coordinator needs at once. Everything else is in the batch."""

    tag: int  # the visit's
    what: str  # done | failed | skipped | retry | robots | unasked
    reason: str = ""
    asked: bool = False  # something was sent: the host's clock runs
    has_page: bool = False  # the batch holds a page row for it
    host_failed: bool = False  # counts towards the host's failures in a row
    ended_ago_seconds: float = 0.0  # between the end of the exchange and this call's return
    retry_after_seconds: float = 0.0
    status: int = 0
    size: int = 0
    widened: str = ""  # the host that a seed's redirect added to the scope
    elapsed_ms: int = 0


class PageRow(msgspec.Struct, array_like=True):
    """One row of pages, in the order of its columns."""

    host_id: int
    seq: int
    status: int
    fetch_time_ms: int  # Unix time of the request's start
    elapsed_ms: int
    content_type: str | None = None
    charset: str | None = None
    size: int | None = None  # bytes, decoded; of a body that was not read: its Content-Length
    wire_size: int | None = None  # bytes of the body as transferred
    digest: str | None = None  # "sha256:…" of the decoded body
    ip: str | None = None
    http_version: str | None = None
    title: str | None = None
    meta_description: str | None = None
    h1: str | None = None
    canonical: str | None = None
    lang: str | None = None
    meta_robots: str | None = None
    redirect_url: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    links: str | None = None  # JSON array of {url, text, rel, kind}
    links_found: int = 0
    links_bad: int = 0  # hrefs that are no http(s) URL
    nofollow: bool = False  # the page as a whole said nofollow, and was obeyed
    item_error: str | None = None  # what the parse hook raised
    file: str | None = None  # where the body was saved, relative to the copy


class FragmentsRow(msgspec.Struct, array_like=True):
    """What a page says of fragments: one row of _fragments, after the page's id in the order of its columns."""

    anchors: str | None  # JSON array of ids and names; None: not known
    links: str  # JSON array of `fragments.Pointer`; of a redirect: its target, if it has a fragment, "" or not


class End(msgspec.Struct, array_like=True):
    """A URL's new state. Applies only while the row is queued and this many of its visits have ended: exactly once."""

    state: str  # queued (it is tried again), or one of the three ends
    reason: str
    error: str | None  # a short text for people
    host_id: int
    seq: int
    visits: int  # as in the visit
    asked: bool  # the row's attempts get one more
    #: as in the visit, and so the depth: where the ledger knows a smaller pair by now, the page's links are offered
    #: again, or, of a weaker purpose, the URL is asked again
    purpose: Purpose
    depth: int
    redirects: int


class Candidate(msgspec.Struct, array_like=True):
    """A link that may be new."""

    fingerprint: int
    host: str
    target: str
    hop: str
    purpose: Purpose
    depth: int
    redirects: int
    via_host_id: int | None  # None: a seed
    via_seq: int | None
    conditional: bool = False  # in scope only if a seed redirects to its host


class AttemptRow(msgspec.Struct, array_like=True):
    """A try that was not a success at once: one row of _attempts, in the order of its columns."""

    host_id: int
    seq: int
    visit: int  # 1, 2, 3 ...: of this URL
    time_ms: int  # Unix time of its start
    reason: str  # one of REASONS
    status: int | None  # None: there was no answer
    elapsed_ms: int


class HostFacts(msgspec.Struct, array_like=True):
    """What a batch adds to a host's facts. Decisions are derived from these by `politeness`, live and at start."""

    host_id: int
    asked: int  # requests
    asked_at: float  # Unix time of the end of the last one
    succeeded: bool  # one of them ended the failures in a row
    failures: int  # in a row, since then
    retry_at: float = 0.0  # Unix time before which the host does not want to be asked
    bytes_received: int = 0
    elapsed_ms: int = 0  # of all these requests together


class RobotsRow(msgspec.Struct, array_like=True):
    """What asking for a robots.txt gave. verdict "" means: not decided yet (`tries` so far, or `redirect_url` next)."""

    host_id: int
    verdict: str  # "" | "allow" | "deny" | "rules"
    tries: int
    status: int = 0
    reason: str = ""
    body: str = ""
    crawl_delay: float | None = None
    redirect_host: str = ""
    redirect_target: str = ""
    redirects: int = 0
    fetched_at: float = 0.0  # Unix time


class Result(msgspec.Struct, array_like=True):
    """Everything that one visit gives the ledger."""

    end: End | None = None
    page: PageRow | None = None
    candidates: list[Candidate] = []
    items: list[str] = []  # JSON, each; numbered by their order
    robots: RobotsRow | None = None
    widened: str = ""  # the host that a seed's redirect adds to the scope
    fragments: FragmentsRow | None = None  # only if they are checked
    attempt: AttemptRow | None = None  # only if it was no success at once


class Batch(msgspec.Struct, array_like=True):
    """What a consumer applies in one transaction. A worker encodes it, the coordinator forwards it unread."""

    results: list[msgspec.Raw] = []  # each an encoded `Result`: one that cannot be encoded costs itself alone
    hosts: list[HostFacts] = []
    finish_reason: str = ""


class Returned(NamedTuple):
    """What a call of `get_pages` gives back: plain data, whatever happened."""

    generation: str
    outcomes: bytes  # a list of `Outcome`
    batch: bytes  # a `Batch`; b"" where there are no outcomes
    error: str = ""  # why the worker cannot work
    unusable: bool = False  # it is an option that it fails of: no other worker could work, either
    unsaved: bool = False  # it is a file that could not be saved


class Answer(NamedTuple):
    """What came back for a request: a whole response, or (`reason` set) why there is none."""

    tag: int
    reason: str = ""  # one of REASONS that ends `failed`; "" for a whole response
    error: str = ""  # a short text for people, escaped
    asked: bool = True  # something was, or may have been, sent
    status: int = 0
    http_version: str = ""
    headers: Headers = ()  # as received, names in lower case, repeated ones kept
    body: bytes | None = None  # decoded; None where nobody wanted it
    wire_size: int | None = None
    ip: str = ""
    started_at: float = 0.0  # Unix time
    elapsed_seconds: float = 0.0
    ended: float = 0.0  # monotonic
    raw_head: bytes | None = None  # as received; None unless the request was to keep it
    raw_body: bytes | None = None  # freed of chunks, in its content coding; None unless it was to be kept

    def header(self, name: str) -> str:
        """Return the first header of that (lower-case) name, or ""."""
        for key, value in self.headers:
            if key == name:
                return value
        return ""
