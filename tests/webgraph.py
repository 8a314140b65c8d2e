"""The synthetic web: deterministic from a number, spread over several hosts, with its crawl computed beforehand.

`Web` says what each URL answers and which URLs a crawl by our rules must end with (`expected`); `WebServer` serves it
on 127.1.0.1, 127.1.0.2, ... at one port and keeps a log; `WebTransport` answers from it without any socket, inside the
crawler's own processes, with `transport = "tests.webgraph:WebTransport"`. Page i lives on host i % hosts. Among the
pages are redirects (a chain of 15 too), missing ones, some that fail once or for ever, slow ones, disallowed ones, and
links of every odd kind. One host has no robots.txt, one has it after two failures, one never.

With hosts outside, the last ones are no seed's, and the pages embed other pages, and stylesheets that embed more of
both; a third of the pages outside refuse a HEAD. Pages have anchors, links and some redirects fragments, which fit or
do not: `broken_fragments` computes which.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import os
import socket
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from crawler import model
from crawler.config import Config
from crawler.transports import Request

MAX_REDIRECTS = 10
CHAIN = 15
NO_ROBOTS, LATE_ROBOTS, NEVER_ROBOTS = 1, 2, 3  # hosts


class Answer(NamedTuple):
    """What a URL answers."""

    status: int
    links: tuple[str, ...] = ()  # absolute, to be followed
    location: str = ""
    delay_seconds: float = 0.0
    embeds: tuple[str, ...] = ()  # absolute
    is_css: bool = False


class Reply(NamedTuple):
    """The same as it goes over the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    delay_seconds: float


NO_ADDRESS = Reply(0, (), b"", 0.0)  # for a host that is not in the web
#: hosts beside every web, for the contract that all transports keep: one answers in full, the others as they are called
_PLAIN = b"<title>\xe9</title>"
PLAIN_HEADERS = (("Content-Type", "text/html; charset=latin-1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))
PLAIN = Reply(200, (*PLAIN_HEADERS, ("Content-Length", str(len(_PLAIN)))), _PLAIN, 0.0)
FAULTS = ("refused", "reset", "timeout", "tls", "truncated", "too-large", "bad-response")


class Hit(NamedTuple):
    """A request that was served."""

    host: str
    target: str
    start: float
    end: float
    method: str = "GET"


class Web:
    """A web of so many pages on so many hosts: at a port of loopback, or (0) http://h0.test, http://h1.test, ..."""

    def __init__(self, seed: int, pages: int = 400, hosts: int = 6, port: int = 0, outside: int = 0) -> None:
        self.seed = seed
        self.pages = pages
        self.outside = outside
        self.hosts = [f"http://127.1.0.{n + 1}:{port}" if port else f"http://h{n}.test" for n in range(hosts)]

    def seeds(self) -> list[str]:
        """One URL of each host, but for those outside."""
        return [self.url(page) for page in range(len(self.hosts) - self.outside)]

    def is_outside(self, url: str) -> bool:
        return any(url.startswith(f"{host}/") for host in self.hosts[len(self.hosts) - self.outside :])

    def refuses_head(self, url: str) -> bool:
        page = self._page("/p" + url.partition("/p")[2])
        return page is not None and self.is_outside(url) and page % 3 == 0

    def url(self, page: int) -> str:
        return self.hosts[page % len(self.hosts)] + self._path(page)

    def answer(self, host: str, target: str, asked_before: int) -> Answer:
        """What a URL answers when it is asked for the n-th time."""
        if target == "/robots.txt":
            return self._robots(self.hosts.index(host), asked_before)
        if target.startswith("/chain/"):
            step = int(target.removeprefix("/chain/"))
            return Answer(301, location=f"{host}/chain/{step + 1}") if step < CHAIN else Answer(200)
        if target.startswith("/css/"):
            return self._answer_css(host, int(target.removeprefix("/css/")))
        page = self._page(target)
        if page is None or self.url(page) != host + target:
            return Answer(404)
        return self._answer_page(page, asked_before)

    def respond(self, host: str, target: str, asked_before: int) -> Reply:
        """The whole response; the same for the same arguments."""
        answer = self.answer(host, target, asked_before)
        kind, body = "text/html; charset=utf-8", self.html(host + target, answer)
        if answer.is_css:
            kind = "text/css"
            body = "".join(f'@import "{url}"; a {{ background: url({url}) }}\n' for url in answer.embeds).encode()
        if target == "/robots.txt":
            kind, body = "text/plain", b"User-agent: *\nDisallow: /no/\n"
        moved_to = answer.location + (self.fragment(host + target, "redirect") if answer.location else "")
        location = (("Location", moved_to),) if moved_to else ()
        length = ("Content-Length", str(len(body)))
        return Reply(answer.status, (*location, ("Content-Type", kind), length), body, answer.delay_seconds)

    def html(self, url: str, answer: Answer) -> bytes:
        """The body: its links, and links that lead nowhere."""
        odd = '<a href="#top">top</a> <a href="http://[broken">x</a> <a href="mailto:a@b.test">y</a> '
        odd += "" if self.outside else '<a href="http://elsewhere.invalid/">z</a> '
        odd += '<a rel="nofollow" href="/nofollow">n</a>'
        links = "".join(f'<a href="{link}{self.fragment(url, link)}">to {link}</a>\n' for link in answer.links)
        links += "".join(f"<p id={anchor}>" for anchor in self._anchors(url))
        links += "".join(f'<img src="{embed}">\n' for embed in answer.embeds if "/css/" not in embed)
        links += "".join(f'<link rel=stylesheet href="{embed}">\n' for embed in answer.embeds if "/css/" in embed)
        return f"<!doctype html><title>{url}</title><h1>page</h1>{odd if answer.links else ''}{links}".encode()

    def fragment(self, source: str, link: str) -> str:
        """The "#..." of a link, or (link "redirect") of a redirect; mostly there is none."""
        number = self._number(0, f"fragment {_target(source)} {_target(link)}") % 12
        return {0: "#", 1: "#Top", 2: "#part", 3: "#%731", 4: "#s1", 5: "#s2", 6: "#s2:~:text=x"}.get(number, "")

    def broken_fragments(self, done: Mapping[str, int]) -> set[tuple[str, str, str]]:
        """The computed (source, url, fragment) of a crawl without a depth limit that checks fragments.

        Args:
            done: the URLs that answered, each with its purpose, as in `expected_with_all`.
        """
        found = set()
        for source, purpose in done.items():
            answer = self._final(source)
            links = (answer.location,) if answer.location else answer.links if purpose == 0 else ()
            for link in links:
                fragment = self.fragment(source, "redirect" if answer.location else link)[1:].removesuffix(":~:text=x")
                end = self._lands_at(link, done)
                is_page = end != "" and self._final(end).status == 200 and "/css/" not in end
                if fragment not in ("", "Top") and is_page and fragment.replace("%73", "s") not in self._anchors(end):
                    found.add((source, link, fragment))
        return found

    def _lands_at(self, url: str, done: Collection[str]) -> str:
        """Where a link with a fragment leads; "" where nothing answers, or a redirect has a fragment of its own."""
        for _ in range(MAX_REDIRECTS + 1):
            if url not in done:
                return ""
            if not (location := self._final(url).location):
                return url
            if self.fragment(url, "redirect"):
                return ""
            url = location
        return ""

    def _anchors(self, url: str) -> list[str]:
        return [f"s{number}" for number in range(1, 1 + self._number(0, f"anchors {_target(url)}") % 3)]

    def expected(self, max_depth: int = -1, killed: Collection[str] = ()) -> dict[str, tuple[str, str]]:
        """The computed crawl: each URL of the frontier with its state and reason.

        Args:
            killed: URLs that end as killed-worker; a robots.txt among them forbids its host.
        """
        depth: dict[str, int] = {}
        chain: dict[str, int] = {}
        todo = [(url, 0, 0) for url in self.seeds()]
        while todo:
            url, its_depth, its_chain = todo.pop(0)
            old = (depth.get(url, 1 << 30), chain.get(url, 1 << 30))
            new = (min(old[0], its_depth), min(old[1], its_chain))
            if new == old:
                continue
            depth[url], chain[url] = new
            state, _ = self._end(url, chain[url], killed)
            answer = self._final(url)
            if state != "done":
                continue
            if answer.location:
                todo.append((answer.location, depth[url], chain[url] + 1))
            if not 0 <= max_depth <= depth[url]:
                todo += [(link, depth[url] + 1, 0) for link in answer.links]
        return {url: self._end(url, chain[url], killed) for url in depth}

    def expected_with_all(self, max_depth: int = -1) -> dict[str, tuple[int, str, str]]:
        """The computed crawl with check_external and embeds: each URL with its purpose, state and reason.

        A purpose is 0: crawled, 1: embedded, 2: external.
        """
        purpose: dict[str, tuple[int, int]] = {}  # and the depth
        chain: dict[str, int] = {}
        todo = [(url, (0, 0), 0) for url in self.seeds()]
        while todo:
            url, its_purpose, its_chain = todo.pop(0)
            old = (purpose.get(url, (9, 0)), chain.get(url, 1 << 30))
            new = (min(old[0], its_purpose), min(old[1], its_chain))
            if new == old:
                continue
            purpose[url], chain[url] = new
            if self._end(url, chain[url], ())[0] == "done":
                todo += self._leads_to(url, *purpose[url], chain[url], max_depth)
        return {url: (purpose[url][0], *self._end(url, chain[url], ())) for url in purpose}

    def _leads_to(
        self, url: str, kind: int, depth: int, chain: int, max_depth: int
    ) -> list[tuple[str, tuple[int, int], int]]:
        answer = self._final(url)
        found = []
        if answer.location:
            leaves = kind == 0 and self.is_outside(answer.location)
            found.append((answer.location, (1, 0) if leaves else (kind, depth), chain + 1))
        if kind == 0 and not 0 <= max_depth <= depth:
            found += [(link, (2 if self.is_outside(link) else 0, depth + 1), 0) for link in answer.links]
        is_read = kind == 0 or (kind == 1 and answer.is_css)
        steps = depth if kind == 1 else 0  # of embedding, from a page
        if is_read and steps < 5:
            found += [(embed, (1, steps + 1), 0) for embed in answer.embeds]
        return found

    def requests(self, url: str, retries: int) -> int:
        """How often a crawl without accidents asks for a URL of `expected`."""
        path = url.partition("/p")[2]
        page = self._page("/p" + path) if path else None
        if self._final(url).status >= 500:
            return 1 + retries
        return 2 if page is not None and self._kind(page) == "flaky" else 1

    def _end(self, url: str, chain: int, killed: Collection[str]) -> tuple[str, str]:
        host, target = url[: url.index("/", 7)], url[url.index("/", 7) :]
        if chain > MAX_REDIRECTS:
            return "skipped", "too-many-redirects"
        if self.hosts.index(host) == NEVER_ROBOTS or f"{host}/robots.txt" in killed:
            return "failed", "robots-unreachable"
        if target.startswith("/no/") and self.hosts.index(host) != NO_ROBOTS:
            return "skipped", "robots"
        if url in killed:
            return "failed", "killed-worker"
        status = self._final(url).status
        if status >= 500:
            return "failed", "server-error"
        return "done", "ok" if status == 200 else "redirect" if status < 400 else "client-error"

    def _final(self, url: str) -> Answer:
        return self.answer(url[: url.index("/", 7)], url[url.index("/", 7) :], 99)

    def _answer_page(self, page: int, asked_before: int) -> Answer:
        kind = self._kind(page)
        if kind == "missing":
            return Answer(404)
        if kind == "redirect":
            return Answer(302, location=self.url(self._number(page, "to") % self.pages))
        if kind == "broken" or (kind == "flaky" and asked_before == 0):
            return Answer(503)
        links = [self.url(self._number(page, n) % self.pages) for n in range(4)]
        links += [self.url(near) for near in (2 * page + 1, 2 * page + 2) if near < self.pages]
        if page == 0:
            links.append(f"{self.hosts[0]}/chain/0")
        return Answer(200, tuple(links), "", 0.1 if kind == "slow" else 0.0, self._embeds(page, "on a page"))

    def _embeds(self, number: int, where: str) -> tuple[str, ...]:
        if not self.outside:
            return ()
        page = self._number(number, f"embed {where}") % self.pages
        css = self._number(number, f"css {where}") % 60
        return self.url(page), f"{self.hosts[css % len(self.hosts)]}/css/{css}"

    def _answer_css(self, host: str, number: int) -> Answer:
        if self.hosts[number % len(self.hosts)] != host or number % 7 == 0:
            return Answer(404)
        return Answer(200, embeds=self._embeds(number, "in css"), is_css=True)

    def _robots(self, host: int, asked_before: int) -> Answer:
        if host == NO_ROBOTS:
            return Answer(404)
        if host == NEVER_ROBOTS or (host == LATE_ROBOTS and asked_before < 2):
            return Answer(503)
        return Answer(200)

    def _kind(self, page: int) -> str:
        if page < len(self.hosts):
            return "plain"
        kinds = {0: "missing", 1: "redirect", 2: "redirect", 3: "flaky", 4: "broken", 5: "slow"}
        return kinds.get(self._number(page, "kind") % 40, "plain")

    def _path(self, page: int) -> str:
        hidden = page >= len(self.hosts) and self._number(page, "hidden") % 20 == 0
        return f"/no/p{page}" if hidden else f"/p{page}"

    def _page(self, target: str) -> int | None:
        number = target.removeprefix("/no").removeprefix("/p")
        return int(number) if number.isdecimal() and int(number) < self.pages else None

    def _number(self, page: int, what: object) -> int:
        digest = hashlib.blake2b(f"{self.seed} {page} {what}".encode(), digest_size=6).digest()
        return int.from_bytes(digest, "big")


class WebServer:
    """Serves a web; a context manager."""

    def __init__(self, seed: int, pages: int = 400, hosts: int = 6, outside: int = 0) -> None:
        self.hits: list[Hit] = []
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._servers: list[ThreadingHTTPServer] = []
        port = _free_port(hosts)
        self.web = Web(seed, pages, hosts, port, outside)
        for number in range(hosts):
            self._servers.append(_make_server(self, f"127.1.0.{number + 1}", port, self.web.hosts[number]))

    def __enter__(self) -> WebServer:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def serve(self, host: str, target: str, method: str = "GET") -> Reply:
        """Answer one request, and log it."""
        start = time.monotonic()
        with self._lock:
            asked_before = self._asked[host + target]
            self._asked[host + target] += 1
        reply = self.web.respond(host, target, asked_before)
        if method == "HEAD" and self.web.refuses_head(host + target):
            reply = Reply(405, (("Content-Length", "0"),), b"", 0.0)
        time.sleep(reply.delay_seconds)  # it is the server's page that is slow, not the test
        with self._lock:
            self.hits.append(Hit(host, target, start, time.monotonic(), method))
        return reply

    def asked(self) -> Counter[str]:
        """How often each URL was asked, robots.txt apart."""
        with self._lock:
            return Counter({url: count for url, count in self._asked.items() if not url.endswith("/robots.txt")})

    def gaps(self) -> dict[str, float]:
        """By host, the shortest time between the end of a request and the start of the next."""
        by_host: dict[str, list[Hit]] = defaultdict(list)
        for hit in sorted(self.hits, key=lambda hit: hit.start):
            by_host[hit.host].append(hit)
        return {
            host: min((after.start - before.end for before, after in itertools.pairwise(hits)), default=9.0)
            for host, hits in by_host.items()
        }

    def first_targets(self) -> set[str]:
        """What was asked of each host first."""
        first: dict[str, str] = {}
        for hit in sorted(self.hits, key=lambda hit: hit.start):
            first.setdefault(hit.host, hit.target)
        return set(first.values())


class WebTransport:
    """A transport (see `crawler.transports`) that answers from a web, with its delays and without any socket.

    The environment names the web, WEBGRAPH='{"seed": 1, "pages": 400, "hosts": 6}', and in WEBGRAPH_LOG the file that
    gets one line per request: monotonic time, host, target, pid. How often a URL was asked before is read off that
    file, so it holds across processes, and after they were killed. Without a file, each transport counts for itself.
    """

    has_network = False

    def __init__(self, config: Config, capacity: int) -> None:
        self.capacity = capacity
        self._timeout_seconds = config.timeout_seconds
        self._web = Web(**json.loads(os.environ["WEBGRAPH"]))
        name = os.environ.get("WEBGRAPH_LOG")
        self._file = open(name, "a+b", buffering=0) if name else tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115, PTH123  (a descriptor for as long as this lives)
        self._asked: Counter[bytes] = Counter()
        self._counted_to = 0
        self._due: list[tuple[float, int, float, float, Request, Reply]] = []
        self._started = 0

    def start(self, request: Request) -> None:
        """Ask; the answer is due after the page's delay."""
        asked_before = self.count(request.host, request.target)
        known = request.host in self._web.hosts
        reply = self._web.respond(request.host, request.target, asked_before) if known else NO_ADDRESS
        if request.host == "http://plain.test":
            reply = PLAIN
        now = time.monotonic()
        due = now + min(reply.delay_seconds, self._timeout_seconds)
        self._started += 1  # keeps the heap from comparing requests
        heapq.heappush(self._due, (due, self._started, now, time.time(), request, reply))

    def wait(self, seconds: float) -> list[model.Answer]:
        """Return what is due by now, waiting at most so long for the first."""
        until = time.monotonic() + seconds
        if self._due:
            until = min(until, self._due[0][0])
        time.sleep(max(0.0, until - time.monotonic()))
        answers = []
        while self._due and self._due[0][0] <= time.monotonic():
            answers.append(self._answer(*heapq.heappop(self._due)[2:]))
        return answers

    def close(self) -> None:
        """Forget what is in flight."""
        self._due.clear()
        self._file.close()

    def count(self, host: str, target: str) -> int:
        """Log a request; return how many there were before it, of any process."""
        key = f"{host} {target}".encode()
        file = self._file.fileno()
        os.write(file, b"%.6f %s %d\n" % (time.monotonic(), key, os.getpid()))
        end = os.lseek(file, 0, os.SEEK_CUR)  # of our own line: others may have added theirs since
        lines = os.pread(file, end - self._counted_to, self._counted_to).splitlines()
        self._asked.update(line.partition(b" ")[2].rpartition(b" ")[0] for line in lines)
        self._counted_to = end
        return self._asked[key] - 1

    def _answer(self, started: float, started_at: float, request: Request, reply: Reply) -> model.Answer:
        now = time.monotonic()
        answer = model.Answer(request.tag, started_at=started_at, elapsed_seconds=now - started, ended=now)
        fault = request.host.removeprefix("http://").removesuffix(".test")
        if fault in FAULTS:
            return answer._replace(reason=fault, error="as its name says")
        if reply is NO_ADDRESS:
            return answer._replace(reason="dns", error=f"no address for {request.host}", asked=False)
        if reply.delay_seconds > self._timeout_seconds:
            return answer._replace(reason="timeout", error=f"no answer within {self._timeout_seconds:g} s")
        return answer._replace(
            status=reply.status,
            http_version="1.1",
            headers=tuple((name.lower(), value) for name, value in reply.headers),
            body=reply.body,
            wire_size=len(reply.body),
        )


def _target(url: str) -> str:
    return url[url.index("/", 7) :] if "://" in url else url


def _free_port(hosts: int) -> int:
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.1.0.1", 0))
            port = int(probe.getsockname()[1])
        try:
            for number in range(hosts):
                with socket.socket() as probe:
                    probe.bind((f"127.1.0.{number + 1}", port))
        except OSError:
            continue
        return port
    raise RuntimeError("no port is free on all addresses")


def _make_server(owner: WebServer, address: str, port: int, host: str) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def do_GET(self) -> None:
            reply = owner.serve(host, self.path, self.command)
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it)
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 256

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: the crawler under test is killed in the middle of things."""

    return Server((address, port), Handler)
