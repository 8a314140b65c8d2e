"""Bodies as files: the whole set of them, byte for byte; whole or not there; and never outside the folder."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler import Config, crawl
from crawler.copy import saving
from crawler.copy.saving import Copy, CopySetup
from crawler.errors import SavingError, UsageError
from crawler.rules import urls
from tests.site import Site

KEY = bytes(16)
ROOT = Path(__file__).parent.parent
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


def save(site: Site, folder: Path, **options: Any) -> str:
    """Crawl a site into a copy and return why the crawl ended."""
    settings = {"processes": 0, "delay_seconds": 0, "save": str(folder / "copy"), "retry_wait_seconds": 0, **options}
    with crawl([site.url("/")], Config(**settings), ledger=folder / "crawl.db") as report:
        return report.finish_reason


def files(folder: Path) -> dict[str, bytes]:
    """All files of a copy, by path without the host's folder."""
    found = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {str(Path(*path.parts[1:])): body for path, body in found.items()}


def stored(folder: Path) -> dict[str, str | None]:
    with closing(sqlite3.connect(folder / "crawl.db")) as connection:
        return dict(connection.execute("SELECT url, file FROM pages"))


def furnish(site: Site) -> None:
    site.add_page("/", ["/a", "/a/", "/a.html", "/a?b=c", "/old", "/gone", "/doc.pdf", "/empty", "/nothing", "/latin"])
    site.add_page("/a", html="<p>a</p><img src=/cat.png><link rel=stylesheet href=/s.css>")
    site.add_page("/a/", html="<p>a/</p>")
    site.add_page("/a.html", html="<p>a.html</p>")
    site.add_page("/a?b=c", html="<p>a?b=c</p>")
    site.add_redirect("/old", "/new")
    site.add_page("/new", html="<p>new</p>")
    site.add_page("/gone", html="<p>gone</p>", status=404)
    site.add_file("/doc.pdf", b"%PDF-1.7 \x00\xff", "application/pdf")
    site.add_file("/cat.png", PNG, "image/png")
    site.add_file("/s.css", b"a { background: url(dog.png) }", "text/css")
    site.add_file("/dog.png", PNG[::-1], "image/png")
    site.add_file("/empty", b"", "text/plain")
    site.add_file("/nothing", b"", "text/html", status=204)
    site.add_file("/latin", "<p>é</p>".encode("latin-1"), "text/html; charset=iso-8859-1")


PAGES = {
    "a@.html": b"<p>a</p><img src=/cat.png><link rel=stylesheet href=/s.css>",
    "a/index.html": b"<p>a/</p>",
    "a.html": b"<p>a.html</p>",
    "a@b=c.html": b"<p>a?b=c</p>",
    "new@.html": b"<p>new</p>",
    "latin@.html": "<p>é</p>".encode("latin-1"),
}
OTHERS = {"doc.pdf": b"%PDF-1.7 \x00\xff", "empty@.txt": b""}
EMBEDDED = {"cat.png": PNG, "s.css": b"a { background: url(dog.png) }", "dog.png": PNG[::-1]}


def home(site: Site) -> dict[str, bytes]:
    return {"index.html": site.serve("GET", "/").body}


@pytest.mark.parametrize("transport", ["requests", "curl"])
@pytest.mark.parametrize("processes", [0, 2])
def test_every_body_of_a_2xx_answer_is_a_file_byte_for_byte(
    site: Site, tmp_path: Path, transport: str, processes: int
) -> None:
    furnish(site)
    assert save(site, tmp_path, embeds=True, transport=transport, processes=processes) == "finished"
    assert files(tmp_path / "copy") == {**home(site), **PAGES, **OTHERS, **EMBEDDED}
    assert [path.name for path in (tmp_path / "copy").iterdir()] == [f"127.0.0.1+{site.port}"]


def test_the_ledger_knows_where_each_page_was_saved(site: Site, tmp_path: Path) -> None:
    furnish(site)
    save(site, tmp_path)
    found = stored(tmp_path)
    saved = {file for file in found.values() if file}
    assert saved == {f"127.0.0.1+{site.port}/{name}" for name in {**home(site), **PAGES, **OTHERS}}
    assert {url for url, file in found.items() if not file} == {site.url(x) for x in ("/old", "/gone", "/nothing")}
    with closing(sqlite3.connect(tmp_path / "crawl.db")) as connection:
        for file, digest in connection.execute("SELECT file, digest FROM pages WHERE file IS NOT NULL"):
            body = (tmp_path / "copy" / file).read_bytes()
            assert digest == "sha256:" + hashlib.sha256(body).hexdigest()


def test_without_embeds_what_pages_embed_is_not_asked(site: Site, tmp_path: Path) -> None:
    furnish(site)
    save(site, tmp_path)
    assert files(tmp_path / "copy") == {**home(site), **PAGES, **OTHERS}
    assert "/cat.png" not in site.asked()


def test_types_say_what_is_kept_and_pages_are_read_all_the_same(site: Site, tmp_path: Path) -> None:
    furnish(site)
    save(site, tmp_path, types=["pdf", "images"], embeds=True)
    assert files(tmp_path / "copy") == {"doc.pdf": OTHERS["doc.pdf"], "cat.png": PNG, "dog.png": PNG[::-1]}
    with closing(sqlite3.connect(tmp_path / "crawl.db")) as connection:  # a type that is not kept is not read
        assert connection.execute("SELECT digest FROM pages WHERE url = ?", (site.url("/empty"),)).fetchone() == (None,)


def test_what_a_name_rejects_is_not_asked_unless_it_may_be_a_page(site: Site, tmp_path: Path) -> None:
    furnish(site)
    save(site, tmp_path, reject=["pdf", "html", "png"], embeds=True)
    assert files(tmp_path / "copy") == {"empty@.txt": b"", "s.css": EMBEDDED["s.css"]}
    assert not {"/doc.pdf", "/cat.png", "/dog.png"} & set(site.asked())
    assert {"/a.html", "/a", "/s.css"} <= set(site.asked())


def test_a_seed_is_asked_whatever_its_name(site: Site, tmp_path: Path) -> None:
    site.add_file("/doc.pdf", b"%PDF", "application/pdf")
    options = Config(processes=0, delay_seconds=0, save=str(tmp_path / "copy"), reject=("pdf",))
    with crawl([site.url("/doc.pdf")], options) as report:
        assert [(page.status, page.file) for page in report.pages()] == [(200, None)]


def test_hostile_urls_are_saved_inside_each_in_a_file_of_its_own(site: Site, tmp_path: Path) -> None:
    targets = ["/..%2F..%2Fx", "/%2E%2E%5Cx", "/a%00b.html", "/con", "/con.html", "/AUX/nul.html", "/a:b", "/C:/x.html"]
    targets += ["/" + "x" * 5_000, "/" + "x" * 5_001, "/" + "x/" * 1_000, "/" + "%C3%A4" * 500, "//evil//", "/~/.ssh"]
    targets += ["/.poolcrawl-00000000/0", "/a", "/A", "/a.html", "/a.html/", "/a.html/b.html/c", "/?", "/?/../../../x"]
    targets += ["/a%CC%88", "/%C3%A4", "/%E2%80%AE", "/%1B[2J", "/x.", "/x%20", '/*|<>"?q=*|']
    asked = [url.removeprefix(site.host) for target in targets if (url := urls.normalise(site.url(target)))]
    assert len(set(asked)) == len(targets)
    site.add_page("/", html="".join(f"<a href='{site.url(target)}'>" for target in asked))
    for target in asked:
        site.add_page(target, html=f"<p>{target}")
    save(site, tmp_path, max_body_bytes=1_000_000)
    bodies = sorted(files(tmp_path / "copy").values())
    assert bodies == sorted([*home(site).values(), *(f"<p>{target}".encode() for target in asked)])
    assert {path.name for path in tmp_path.iterdir()} == {"copy", "crawl.db"}
    assert [path.name for path in (tmp_path / "copy").iterdir()] == [f"127.0.0.1+{site.port}"]


def test_external_links_are_asked_and_not_saved_even_if_their_anchors_are_read(site: Site, tmp_path: Path) -> None:
    with Site() as other:
        other.add_page("/x")
        other.add_page("/y", html="<p id=here>")
        site.add_page("/", [other.url("/x"), other.url("/y#here")])
        save(site, tmp_path, check_external=True, check_fragments=True, allow_private=["127.0.0.0/8"])
        asked = {(hit.method, hit.target) for hit in other.log if hit.target != "/robots.txt"}
    assert asked == {("HEAD", "/x"), ("GET", "/y")}
    assert len(stored(tmp_path)) == 3
    assert list(files(tmp_path / "copy")) == ["index.html"]


def test_a_page_has_its_file_in_a_report(site: Site, tmp_path: Path) -> None:
    site.add_page("/")
    with crawl([site.url("/")], Config(processes=0, delay_seconds=0, save=str(tmp_path / "copy"))) as report:
        assert [page.file for page in report.pages()] == [f"127.0.0.1+{site.port}/index.html"]


# Later runs


def test_the_same_command_continues_a_copy(site: Site, tmp_path: Path) -> None:
    furnish(site)
    assert save(site, tmp_path, max_pages=4) == "max-pages"
    before = files(tmp_path / "copy")
    assert save(site, tmp_path) == "finished"
    assert before.items() < files(tmp_path / "copy").items()
    assert files(tmp_path / "copy") == {**home(site), **PAGES, **OTHERS}
    assert max(site.asked().values()) == 2  # the first page, by the test itself


@pytest.mark.parametrize("max_pages", [4, 0])
@pytest.mark.parametrize(
    ("folders", "warning"),
    [
        (("", "copy"), "pages that this ledger has already were not saved: --fresh asks for them again"),
        (("copy", ""), "nothing is saved any more; what was saved before is in .*/copy \\(--save continues there\\)"),
        (("copy", "other"), "what was saved so far is in .*/copy, what is saved from now on goes to .*/other"),
        (("copy", "copy"), ""),
    ],
)
def test_a_ledger_that_was_saved_otherwise_before_says_what_that_means(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture, folders: tuple[str, str], warning: str, max_pages: int
) -> None:
    furnish(site)
    before, after = (name and str(tmp_path / name) for name in folders)
    save(site, tmp_path, max_pages=max_pages, save=before)
    caplog.clear()
    save(site, tmp_path, save=after)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == bool(warning)
    assert all(re.search(warning, text) for text in warnings)


# The folder


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(saving.prepare(tmp_path / "copy", KEY, syncs=True), "test")
    yield copy
    copy.close()


def test_a_file_is_written_in_its_folders_and_replaced(copy: Copy, tmp_path: Path) -> None:
    for body in (b"1", b"two", b""):
        for name in ("a.test/b/c.html", "a.test/b/d.html", "a.test/x.html", "b.test/x.html"):
            copy.write(name, body)
            assert (tmp_path / "copy" / name).read_bytes() == copy.read(name) == body
    assert [copy.has(name) for name in ("a.test/x.html", "a.test/y.html", "a.test/b")] == [True, False, False]
    assert [copy.read(name) for name in ("a.test/y.html", "c.test/x.html")] == [None, None]
    assert list((tmp_path / "copy" / copy.setup.scratch).iterdir()) == []


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "copy").symlink_to("disk")
    copy = Copy(saving.prepare(tmp_path / "copy", KEY, syncs=False), "test")
    copy.write("a.test/index.html", b"body")
    copy.close()
    assert (tmp_path / "disk/a.test/index.html").read_bytes() == b"body"


@pytest.mark.parametrize("link", ["a.test", "a.test/b", "a.test/b/c"])
def test_nothing_is_saved_or_read_through_a_link_inside(copy: Copy, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "d.html").write_bytes(b"mine")
    path = tmp_path / "copy" / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside)
    with pytest.raises(SavingError, match=f"{path} is a symbolic link, through which nothing is saved; move it away"):
        copy.write("a.test/b/c/d.html", b"theirs")
    assert {entry.name: entry.read_bytes() for entry in outside.iterdir()} == {"d.html": b"mine"}
    with pytest.raises(SavingError):
        copy.read("a.test/b/c/d.html")


def test_a_file_that_is_a_link_is_replaced_and_what_it_leads_to_is_left_alone(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "copy/a.test").mkdir()
    (tmp_path / "copy/a.test/x.html").symlink_to(tmp_path / "mine")
    copy.write("a.test/x.html", b"theirs")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert (tmp_path / "copy/a.test/x.html").read_bytes() == b"theirs"


def test_a_file_that_is_a_link_is_not_read(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "copy/a.test").mkdir()
    (tmp_path / "copy/a.test/x.html").symlink_to(tmp_path / "mine")
    assert copy.read("a.test/x.html") is None


def test_a_copy_that_is_gone_is_named(tmp_path: Path) -> None:
    setup = saving.prepare(tmp_path / "copy", KEY, syncs=False)
    saving.tidy(setup)
    with pytest.raises(SavingError, match=f"cannot save {tmp_path}/copy: No such file or directory; see to the cause"):
        Copy(setup, "test")


def test_names_are_utf8_whatever_the_locale_says(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; import sys; assert sys.getfilesystemencoding() != 'utf-8'\n"
        "from crawler.copy import saving\n"
        "copy = saving.Copy(saving.prepare(Path('copy'), bytes(16), syncs=False), 'x');"
        "name = 'a.test/\\xe4/\\u8868.html';"
        "copy.write(name, b'body'); assert copy.has(name) and copy.read(name)"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "copy/a.test/ä/表.html").read_bytes() == b"body"


def test_a_scratch_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/mine").touch()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/.poolcrawl-00000000").symlink_to(tmp_path / "outside")
    with pytest.raises(SavingError, match="cannot save"):
        saving.prepare(tmp_path / "copy", KEY, syncs=False)
    assert (tmp_path / "outside/mine").exists()


@pytest.mark.parametrize(
    ("taken", "said"), [("a.test/x.html", "Is a directory"), ("a.test", ".*/copy/a.test is no folder")]
)
def test_a_path_that_is_taken_otherwise_is_named(copy: Copy, tmp_path: Path, taken: str, said: str) -> None:
    path = tmp_path / "copy" / taken
    if said == "Is a directory":
        path.mkdir(parents=True)
    else:
        path.touch()
    with pytest.raises(SavingError, match=f"cannot save {tmp_path}/copy/a.test/x.html: {said}; move .* away"):
        copy.write("a.test/x.html", b"body")
    assert list((tmp_path / "copy" / copy.setup.scratch).iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_run(tmp_path: Path) -> None:
    scratch = tmp_path / "copy/.poolcrawl-00000000"
    other = tmp_path / "copy/.poolcrawl-11111111"  # of another ledger, whose crawl may be running
    for folder in (scratch, other):
        folder.mkdir(parents=True)
        (folder / "half").touch()
    setup = saving.prepare(tmp_path / "copy", KEY, syncs=False)
    assert list(scratch.iterdir()) == []
    assert [entry.name for entry in other.iterdir()] == ["half"]
    saving.tidy(setup)
    assert not scratch.exists()


def test_a_file_system_that_ignores_case_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saving.prepare(tmp_path / "copy", KEY, syncs=False).folds_case is (tmp_path / "COPY").exists()
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: exists(path) or path.name == "pROBE")
    assert saving.prepare(tmp_path / "copy", KEY, syncs=False).folds_case


# What ends a crawl


def test_a_body_that_cannot_be_saved_ends_the_crawl_and_stays_queued(site: Site, tmp_path: Path) -> None:
    furnish(site)
    (tmp_path / f"copy/127.0.0.1+{site.port}/a.html").mkdir(parents=True)
    for processes in (0, 2):
        with pytest.raises(SavingError, match=r"a\.html: Is a directory; move that folder away; the same command then"):
            save(site, tmp_path, processes=processes)
        with closing(sqlite3.connect(tmp_path / "crawl.db")) as connection:
            row = connection.execute("SELECT state FROM urls WHERE url = ?", (site.url("/a.html"),)).fetchone()
            assert row in (None, ("queued",))
        assert not [path for path in tmp_path.iterdir() if path.name not in ("crawl.db", "copy")]
    os.rmdir(tmp_path / f"copy/127.0.0.1+{site.port}/a.html")  # noqa: PTH106
    assert save(site, tmp_path) == "finished"
    assert files(tmp_path / "copy") == {**home(site), **PAGES, **OTHERS}


def test_a_copy_that_is_a_file_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "copy").touch()
    with pytest.raises(UsageError, match="is a file: expected a folder, or a name that is still free"):
        save(site, tmp_path)
    assert not (tmp_path / "crawl.db").exists()


def test_a_setup_is_plain_data() -> None:
    assert {type(value) for value in CopySetup("/x", ".y", False, True)} == {str, bool}
