"""A folder that is served: its files and nothing else, to those alone who ask for it by its own name."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from crawler.api.folder import FolderServer
from crawler.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small site, and a secret beside it."""
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    (site / "empty").mkdir()
    (site / "index.html").write_text("<title>home</title>")
    (site / "sub" / "index.html").write_text("<title>sub</title>")
    (site / "a b\u00e9.html").write_text("<title>a</title>")
    (site / "style.css").write_text("p {}")
    (site / "cover.svg").write_text("<svg/>")
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "site-2").mkdir()
    (tmp_path / "site-2" / "index.html").write_text("secret")
    return site


@pytest.fixture
def server(folder: Path) -> Iterator[FolderServer]:
    with FolderServer(folder) as server:
        yield server


def ask(server: FolderServer, target: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("target", "content_type", "body"),
    [
        ("/", "text/html", b"<title>home</title>"),
        ("/index.html?a=b", "text/html", b"<title>home</title>"),
        ("/sub/", "text/html", b"<title>sub</title>"),
        ("/sub/../index.html", "text/html", b"<title>home</title>"),
        ("/a%20b%C3%A9.html", "text/html", b"<title>a</title>"),
        ("/style.css", "text/css", b"p {}"),
        ("/cover.svg", "image/svg+xml", b"<svg/>"),
    ],
)
def test_files_are_served_with_their_type_and_the_charset_is_left_to_the_page(
    server: FolderServer, target: str, content_type: str, body: bytes
) -> None:
    response, content = ask(server, target)
    assert (response.status, response.getheader("Content-Type"), content) == (200, content_type, body)
    assert server.url == f"http://127.0.0.1:{server.port}/"


def test_a_folder_without_its_slash_redirects(server: FolderServer) -> None:
    response, _ = ask(server, "/sub")
    assert (response.status, response.getheader("Location")) == (301, "/sub/")


@pytest.mark.parametrize(
    "target",
    [
        "/empty/", "/nowhere", "/index.html/", "/%00", "/%ff%fe", "/" + "x" * 5_000,
        "/../secret.html", "/..%2fsecret.html", "/%2e%2e/secret.html", "/../site-2/index.html", "//../secret.html",
    ],
)  # fmt: skip
def test_what_is_no_file_of_the_folder_is_a_404(server: FolderServer, target: str) -> None:
    response, body = ask(server, target)
    assert response.status == 404
    assert b"secret" not in body.replace(b"secret.html", b"")


def test_no_link_leads_outside_not_even_as_an_index_page(server: FolderServer, folder: Path) -> None:
    secret = folder.parent / "secret.html"
    (folder / "leak.html").symlink_to(secret)
    (folder / "out").symlink_to(folder.parent)
    (folder / "empty" / "index.html").symlink_to(secret)
    (folder / "loop.html").symlink_to("loop.html")
    (folder / "inside.html").symlink_to("index.html")
    targets = ["/leak.html", "/out/secret.html", "/out/", "/empty/", "/loop.html", "/inside.html"]
    assert [ask(server, target)[0].status for target in targets] == [404, 404, 404, 404, 404, 200]


def test_a_pipe_in_the_folder_does_not_hang(server: FolderServer, folder: Path) -> None:
    os.mkfifo(folder / "pipe.html")
    assert ask(server, "/pipe.html")[0].status == 404


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("evil.test", 403),
        ("evil.test:{port}", 403),
        ("127.0.0.1", 403),
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
    ],
)
def test_a_host_of_another_name_is_refused(server: FolderServer, name: str, status: int) -> None:
    response, body = ask(server, "/", Host=name.format(port=server.port))
    assert response.status == status
    assert (b"home" in body) == (status == 200)


@pytest.mark.parametrize(
    ("method", "status", "size"),
    [("GET", 200, 19), ("HEAD", 200, 0), ("POST", 501, None), ("PUT", 501, None), ("DELETE", 501, None)],
)
def test_nothing_but_get_and_head_is_answered(server: FolderServer, method: str, status: int, size: int | None) -> None:
    response, body = ask(server, "/", method)
    assert response.status == status
    assert size is None or (len(body), response.getheader("Content-Length")) == (size, "19")


def test_a_connection_is_kept_for_many_requests(server: FolderServer) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.connect()
    sock = connection.sock
    for _ in range(50):
        connection.request("GET", "/sub/")
        assert connection.getresponse().read() == b"<title>sub</title>"
        assert connection.sock is sock
    connection.close()


def test_no_answer_waits_for_the_network_to_ask_for_more(server: FolderServer) -> None:
    # 200 answers in two writes each would take 8 s: 40 ms a piece, for want of TCP_NODELAY and one write.
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    begin = time.monotonic()
    for _ in range(200):
        connection.request("GET", "/")
        connection.getresponse().read()
    connection.close()
    assert time.monotonic() - begin < 4


def test_a_taken_port_says_which_folder_and_port_and_what_to_do(server: FolderServer, folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        FolderServer(folder, server.port)
    assert all(word in str(caught.value) for word in (str(folder), str(server.port), "free it", "--fresh"))


def test_after_its_end_the_port_is_free_and_no_thread_of_it_runs(folder: Path) -> None:
    before = set(threading.enumerate())
    with FolderServer(folder) as first:
        assert ask(first, "/")[0].status == 200
        serving = set(threading.enumerate()) - before
        assert all(thread.daemon for thread in serving)
    with pytest.raises(ConnectionRefusedError):
        ask(first, "/")
    with FolderServer(folder, first.port) as second:
        assert second.port == first.port
        assert ask(second, "/")[0].status == 200
