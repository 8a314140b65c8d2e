"""A real site that nobody here wrote: the PostgreSQL manual, served by nginx on loopback.

Runs where Debian's postgresql-doc-15 and nginx-light are installed (`.ci/run` installs them). The oracle is lxml and
urllib, straight from the files.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from lxml import html

from crawler import Config, crawl

MANUAL = Path("/usr/share/doc/postgresql-doc-15/html")

pytestmark = pytest.mark.skipif(
    not MANUAL.is_dir() or shutil.which("nginx") is None, reason="needs postgresql-doc-15 and nginx-light"
)

RELS = {"canonical", "alternate", "next", "prev"}
NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/errors; worker_processes 1; events {{ worker_connections 256; }}
http {{ access_log off; types {{ text/html html; text/css css; image/svg+xml svg; }}
client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
scgi_temp_path {folder}/s; server {{ listen 127.0.0.1:{port}; root {manual}; }} }}
"""


@pytest.fixture
def manual(tmp_path: Path) -> Iterator[str]:
    """Serve the manual; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port, manual=MANUAL))
    nginx = shutil.which("nginx")
    assert nginx is not None
    process = subprocess.Popen([nginx, "-e", f"{tmp_path}/errors", "-c", str(tmp_path / "nginx.conf")])
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), 0.02).close()
                break
            except OSError:
                assert process.poll() is None
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


def _without_fragment(url: str) -> str:
    parts = urlsplit(url.strip())
    return parts._replace(path=parts.path or "/", fragment="").geturl()


def _read(path: Path, url: str) -> tuple[str, set[str]]:
    """Title and links of a page, by another hand."""
    root = html.document_fromstring(path.read_bytes())
    links = {
        _without_fragment(urljoin(url, href))
        for element in root.iter("a", "link")
        if (href := element.get("href")) and not href.startswith("#")
        and (element.tag == "a" or set(element.get("rel", "").lower().split()) & RELS)
    }  # fmt: skip
    title = root.findtext(".//title") or ""
    return " ".join(title.split()), {link for link in links if link.startswith("http")}


@pytest.mark.parametrize("transport", ["requests", "curl"])
def test_the_postgresql_manual_is_crawled_whole_and_its_link_graph_is_right(manual: str, transport: str) -> None:
    config = Config(delay_seconds=0, per_host=16, log_seconds=0, transport=transport)
    with crawl([manual + "index.html"], config) as report:
        assert report.finish_reason == "finished"
        pages = {page.url: page for page in report.pages() if page.status == 200}
        files = sorted(MANUAL.glob("*.html"))
        oracle = {manual + path.name: _read(path, manual + path.name) for path in files}
        assert {url for url in pages if url.endswith(".html")} == set(oracle)
        assert report.counts["statuses"]["200"] == len(pages) == len(files)
        assert {url: page.title for url, page in pages.items()} == {url: title for url, (title, _) in oracle.items()}
        graph: dict[str, set[str]] = {url: set() for url in pages}
        for link in report.links():
            graph[link.source].add(link.url)
        assert graph == {url: links for url, (_, links) in oracle.items()}
