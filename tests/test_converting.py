"""A converted copy leads to saved files and else to the web; again, after a kill or a later run, it is the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler import Config, crawl
from crawler.copy.saving import Copy
from crawler.engine.job import Stop
from crawler.errors import CrawlerError, SavingError
from tests.site import Site

HTML = "text/html; charset=utf-8"


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


def save(site: Site, folder: Path, *, stop: Stop | None = None, **options: Any) -> str:
    """Crawl a site into a copy with converted links; return why the crawl ended."""
    settings = {"processes": 0, "delay_seconds": 0, "convert_links": True, "embeds": True, **options}
    config = Config(save=str(folder / "copy"), **settings)
    with crawl([site.url("/")], config, ledger=folder / "crawl.db", stop=stop) as report:
        return report.finish_reason


def files(folder: Path) -> dict[str, bytes]:
    """All files of a copy, by path without the host's folder."""
    root = folder / "copy"
    found = [path for path in root.rglob("*") if path.is_file()]
    return {"/".join(path.relative_to(root).parts[1:]): path.read_bytes() for path in found}


def converted(site: Site, folder: Path, html: str, *, content_type: str = HTML) -> str:
    """Return what becomes of a page /d/page.html on a site that has some others."""
    site.add_page("/", ["/d/page.html", "/a.html", "/a/b?c=d", "/old", "/r%C3%A9sum%C3%A9%20(1).pdf", "/100%25.html"])
    for target in ("/a.html", "/a/b?c=d", "/100%25.html", "/d/e.html"):
        site.add_page(target)
    site.add_redirect("/old", "/older")
    site.add_redirect("/older", "/a.html")
    site.add_file("/r%C3%A9sum%C3%A9%20(1).pdf", b"%PDF", "application/pdf")
    site.add_file("/cat.png", b"PNG", "image/png")
    site.add_file("/d/page.html", html.encode("utf-8"), content_type)
    save(site, folder)
    return files(folder)["d/page.html"].decode("utf-8")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("/a.html", "../a.html"),
        ("../a.html#top", "../a.html#top"),
        ("../a.html#ä b", "../a.html#%C3%A4%20b"),
        ("//{host}/a.html", "../a.html"),
        ("http://{host}/a.html", "../a.html"),
        (" /a.html ", "../a.html"),
        ("/", "../index.html"),
        ("/a/b?c=d", "../a/b@c=d.html"),
        ("/a/b?c=e", "http://{host}/a/b?c=e"),
        ("/old", "../a.html"),
        ("/old#x", "../a.html#x"),
        ("/résumé (1).pdf", "../r%C3%A9sum%C3%A9%20(1).pdf"),
        ("/100%25.html", "../100%252525.html"),
        ("e.html", "e.html"),
        ("page.html#x", "page.html#x"),
        ("#x", "#x"),
        ("", ""),
        ("missing.html", "http://{host}/d/missing.html"),
        ("missing.html#x", "http://{host}/d/missing.html#x"),
        ("https://example.test/a?b#c", "https://example.test/a?b#c"),
        ("HTTPS://me@Example.test/%7e/../x y#ä", "HTTPS://me@Example.test/%7e/../x y#ä"),
        ("//Example.test/a/../b", "http://example.test/b"),
        ("mailto:a@example.test", "mailto:a@example.test"),
        ("javascript:void(0)", "javascript:void(0)"),
        ("data:text/plain,x", "data:text/plain,x"),
        ("http://[broken", "http://[broken"),
    ],
)
def test_a_link_leads_to(site: Site, tmp_path: Path, reference: str, expected: str) -> None:
    host = site.host.removeprefix("http://")
    html = "<a href=\"{}\">é</a><a href='e.html'>"
    page = converted(site, tmp_path, html.format(reference.format(host=host)))
    assert page == '<meta charset="utf-8">' + html.format(expected.format(host=host))


def test_all_kinds_of_references_lead_to_files(site: Site, tmp_path: Path) -> None:
    site.add_file(
        "/s.css", b"@import 'd/t.css'; a { background: url(cat.png) } b { background: url(no.png) }", "text/css"
    )
    site.add_file("/d/t.css", b"a { background: url(/cat.png) }", "text/css")
    page = converted(
        site,
        tmp_path,
        "<base href='/'><link rel=stylesheet href=s.css integrity=x crossorigin><img src=cat.png srcset='cat.png 2x'>"
        "<p style='background: url(cat.png)'><style>a { background: url(\"cat.png\") }</style>"
        "<iframe src=a.html></iframe><a href=#x><form action=/search><meta http-equiv=refresh content='0; url=a.html'>",
    )
    assert page == (
        '<link rel=stylesheet href="../s.css"><img src="../cat.png" srcset=\'../cat.png 2x\'>'
        "<p style='background: url(../cat.png)'><style>a { background: url(\"../cat.png\") }</style>"
        f'<iframe src="../a.html"></iframe><a href="../index.html#x"><form action="{site.url("/search")}">'
        "<meta http-equiv=refresh content='0; url=../a.html'>"
    )
    found = files(tmp_path)
    no_image = site.url("/no.png").encode()
    assert found["s.css"] == b"@import 'd/t.css'; a { background: url(cat.png) } b { background: url(%s) }" % no_image
    assert found["d/t.css"] == b"a { background: url(../cat.png) }"


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        ("<p>é<a href=/>".encode("latin-1"), "text/html; charset=iso-8859-1",
         '<meta charset="windows-1252"><p>é<a href="../index.html">'.encode("latin-1")),
        ('<meta charset=utf-8><p>é<a href=/>'.encode("latin-1"), "text/html; charset=iso-8859-1",
         '<meta charset="windows-1252"><meta charset=utf-8><p>é<a href="../index.html">'.encode("latin-1")),
        ('<meta charset=latin1><p>é<a href=/>'.encode("latin-1"), "text/html",
         '<meta charset=latin1><p>é<a href="../index.html">'.encode("latin-1")),
        ("\ufeff<p>é<a href=/>".encode(), "text/html", '\ufeff<p>é<a href="../index.html">'.encode()),
        ("<p>表示<a href=/>".encode("cp932"), "text/html; charset=shift_jis",
         '<meta charset="shift_jis"><p>表示<a href="../index.html">'.encode("cp932")),
        ("<p>é<a href=/>".encode("utf-16"), "text/html", '<meta charset="utf-8"><p>é<a href="../index.html">'.encode()),
        (b"<p>e<a href=/>", "text/html; charset=iso-8859-1", b'<p>e<a href="../index.html">'),
        ("<p>é<a href=/ü.html>".encode("latin-1"), "text/html; charset=iso-8859-1",
         '<meta charset="windows-1252"><p>é<a href="../%C3%BC.html">'.encode("latin-1")),
    ],
)  # fmt: skip
def test_a_page_says_what_its_encoding_is(
    site: Site, tmp_path: Path, body: bytes, content_type: str, expected: bytes
) -> None:
    site.add_page("/", ["/d/page.html"])
    site.add_page("/%C3%BC.html")
    site.add_file("/d/page.html", body, content_type)
    save(site, tmp_path)
    assert files(tmp_path)["d/page.html"] == expected
    save(site, tmp_path)
    assert files(tmp_path)["d/page.html"] == expected


# Again and again


def furnish(site: Site) -> None:
    """Add a site of 30 pages in which all link to all, with some that redirect and a stylesheet."""
    targets = [f"/{'d/' * (n % 3)}{n}.html" for n in range(30)]
    for n, target in enumerate(targets):
        base = "<base href=/d/>" if n % 5 == 0 else ""
        links = "".join(f"<a href='{other}'>ä</a><a href='{other}?x#y'>" for other in [*targets, "/old"])
        site.add_page(target, html=f"{base}<link rel=stylesheet href=/s.css>{links}<a href=1.html><a href=../2.html>")
    site.add_page("/", targets)
    site.add_redirect("/old", targets[7])
    site.add_file("/s.css", b"a { background: url(cat.png) }", "text/css")
    site.add_file("/cat.png", b"PNG", "image/png")


def save_at_once(site: Site, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    assert save(site, folder) == "finished"
    return files(folder)


def test_to_convert_again_changes_nothing(site: Site, tmp_path: Path) -> None:
    furnish(site)
    expected = save_at_once(site, tmp_path / "once")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "once/copy").rglob("*") if path.is_file()}
    assert save(site, tmp_path / "once") == "finished"
    assert files(tmp_path / "once") == expected
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.parametrize("processes", [0, 2])
def test_a_later_run_makes_more_links_local_and_ends_the_same(site: Site, tmp_path: Path, processes: int) -> None:
    furnish(site)
    expected = save_at_once(site, tmp_path / "once")
    for max_pages in (3, 9, 20):
        assert save(site, tmp_path, max_pages=max_pages, processes=processes) == "max-pages"
        assert len(files(tmp_path)) <= max_pages
    assert save(site, tmp_path, convert_links=False, processes=processes) == "finished"
    assert files(tmp_path) != expected
    assert save(site, tmp_path, processes=processes) == "finished"  # nothing is asked any more
    assert files(tmp_path) == expected
    assert max(site.asked().values()) == 2  # by each of the two crawls once


def test_a_conversion_that_ends_anywhere_is_taken_up_and_ends_the_same(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(site)
    expected = save_at_once(site, tmp_path / "once")
    assert save(site, tmp_path, convert_links=False) == "finished"
    write = Copy.write
    ends = 0
    for _ in range(40):
        budget = iter(range(1 + ends % 4))

        def write_some(copy: Copy, path: str, body: bytes) -> None:
            if next(budget, None) is None:  # noqa: B023  (used before the next round)
                raise SavingError("the machine burns")
            write(copy, path, body)

        monkeypatch.setattr(Copy, "write", write_some)
        try:
            save(site, tmp_path)
            break
        except SavingError:
            ends += 1
    assert ends > 8
    assert files(tmp_path) == expected


def test_a_process_that_dies_is_said_and_the_next_run_takes_it_up(site: Site, tmp_path: Path) -> None:
    furnish(site)
    expected = save_at_once(site, tmp_path / "once")
    assert save(site, tmp_path, convert_links=False) == "finished"
    with pytest.raises(CrawlerError, match="a process that converted links died; the same command converts them again"):
        save(site, tmp_path, processes=1, page_deadline_seconds=0.0001)  # at which it ends itself
    assert not list((tmp_path / "copy").glob(".poolcrawl*"))
    assert save(site, tmp_path, processes=1) == "finished"
    assert files(tmp_path) == expected


def test_a_stop_leaves_the_conversion_to_the_next_run(site: Site, tmp_path: Path) -> None:
    furnish(site)
    expected = save_at_once(site, tmp_path / "once")
    assert save(site, tmp_path, convert_links=False) == "finished"
    stop = Stop()
    stop("interrupted")
    before = files(tmp_path)
    assert save(site, tmp_path, stop=stop) == "interrupted"
    assert files(tmp_path) == before
    assert save(site, tmp_path) == "finished"
    assert files(tmp_path) == expected


def test_what_somebody_else_has_changed_is_left_alone_and_said(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    furnish(site)
    assert save(site, tmp_path, convert_links=False) == "finished"
    changed, removed = (next((tmp_path / "copy").rglob(name)) for name in ("3.html", "6.html"))
    changed.write_text("<a href=1.html>mine")
    removed.unlink()
    caplog.clear()
    assert save(site, tmp_path) == "finished"
    assert changed.read_text() == "<a href=1.html>mine"
    assert not removed.exists()
    assert f'href="{site.url("/6.html")}"'.encode() in files(tmp_path)["index.html"]  # leads to the web now
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["1 saved file was changed by somebody else before the links were converted: left as found"]


def test_a_converted_file_that_somebody_edits_keeps_its_edits(site: Site, tmp_path: Path) -> None:
    furnish(site)
    assert save(site, tmp_path, max_pages=10) == "max-pages"
    page = next((tmp_path / "copy").rglob("index.html"))
    page.write_bytes(page.read_bytes() + b"<p>mine <a href=../mine.html>")
    assert save(site, tmp_path) == "finished"
    assert page.read_bytes().endswith(b"<p>mine <a href=../mine.html>")
    assert b"http:" not in page.read_bytes()


def test_pages_of_another_copy_are_left_alone(site: Site, tmp_path: Path) -> None:
    furnish(site)
    assert save(site, tmp_path, max_pages=10) == "max-pages"
    (tmp_path / "copy").rename(tmp_path / "first")
    assert save(site, tmp_path) == "finished"
    with closing(sqlite3.connect(tmp_path / "crawl.db")) as connection:
        names = {file for (file,) in connection.execute("SELECT file FROM pages WHERE file IS NOT NULL")}
    in_first = {
        str(path.relative_to(tmp_path / "first")) for path in (tmp_path / "first").rglob("*.*") if path.is_file()
    }
    in_second = {
        str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*.*") if path.is_file()
    }
    assert in_first | in_second == names
    assert not in_first & in_second
