"""Every mistake that a user can make on the command line: one sentence that names the thing and says what to do.

The walk is a table: what is typed, the exit code, and the whole of what is said. It is walked in this process and in a
folder that `furnished` fills; with POOLCRAWL_PROCESSES=0 the crawl is in this process, too, and nothing is ever asked.
"""

from __future__ import annotations

import io
import os
import shlex
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.cli.main import main
from crawler.ledger import schema
from crawler.ledger.migrations import VERSION
from crawler.processes.lock import LedgerLock
from tests.shell import as_before

URL = "http://a.test/"
HELP = "python -m crawler --help shows what there is"
SEEDS = "a URL, a bare host, a folder of HTML, a file with one of them a line, or -"
NO_SEED = "there is no seed in it; expected a URL, a host or a folder of HTML a line"
NO_URL = "expected a URL that starts with http:// or https://, or a bare host"
NETWORK = "expected a network such as 10.0.0.0/8 or ::1"
OTHER = "name another with --ledger"

#: what is typed → what is said; exit code 2
WALK = {
    # seeds
    "": f"expected SEED: {SEEDS}; {HELP}",
    "--depth 2": f"expected SEED: {SEEDS}; {HELP}",
    "nosuch.txt": "nosuch.txt: there is no such file or folder",
    "statsu": "statsu: there is no such file or folder; did you mean the command status?",
    "folder": "folder: the folder has no file in it",
    "empty.txt": f"empty.txt: {NO_SEED}",
    "-": f"standard input: {NO_SEED}",
    "page.html": "page.html: is a page and no list of seeds; name its folder, ./",
    "crawl.db": "crawl.db: is a database and no list of seeds; a ledger is named with --ledger",
    "http://notes.txt": "http://notes.txt: that is a URL; the file is notes.txt",
    "ftp://a.test/": f"ftp://a.test/: {NO_URL}, not 'ftp:'",
    "mailto:a@b.test": f"mailto:a@b.test: {NO_URL}, not 'mailto:'",
    "http://[a": "http://[a: not a URL that can be asked: expected such as https://example.org/ or example.org",
    "one.txt": "one.txt:2: nosuch/: there is no such folder, and it is no URL",
    # options of a crawl
    f"{URL} --dely 0": "there is no option --dely; did you mean --delay?",
    f"{URL} --max-page=5": "there is no option --max-page; did you mean --max-pages?",
    f"{URL} --xyzzy": f"there is no option --xyzzy; {HELP}",
    f"{URL} --depth": "--depth: expected one argument",
    f"{URL} --max-pages many": "--max-pages: expected a whole number, not 'many'",
    f"{URL} --max-pages -1": "the command line: max_pages = -1: expected a whole number of at least 0",
    f"{URL} --timeout 0": "the command line: timeout_seconds = 0.0: expected a number above 0",
    f"{URL} --scope hosts": (
        "the command line: scope = 'hosts': expected one of page, prefix, host, any; did you mean host?"
    ),
    f"{URL} --include '('": (
        "include: '(' is not a regular expression: missing ), unterminated subpattern at position 0"
    ),
    f"{URL} --allow-private 10.0.0.0/40": (
        f"allow_private: '10.0.0.0/40' does not appear to be an IPv4 or IPv6 network; {NETWORK}"
    ),
    f"{URL} -H nonsense": "--header 'nonsense': expected NAME:VALUE, such as 'Accept-Language: de'",
    f"{URL} -H 'A B:c'": "'A B': 'c' cannot be sent as a header: expected latin-1 without control characters",
    f"{URL} -U ''": "the command line: user_agent = '': expected text that is not empty",
    f"{URL} --transport carrier": "transport = 'carrier': expected 'requests', 'curl' or 'module:factory'",
    f"{URL} --transport nosuch:make": (
        "the transport 'nosuch:make' cannot be imported: there is no module nosuch in this folder or on PYTHONPATH"
    ),
    f"{URL} --transport walk_hook:pars": (
        "the transport 'walk_hook:pars': the module walk_hook has no 'pars'; did you mean parse?"
    ),
    f"{URL} --log-file nowhere/log": "cannot write the log file nowhere/log: No such file or directory",
    # what is saved
    f"{URL} --types html": (
        "types says which bodies to save: name the folder to save them in (--save), or choose what is asked with "
        "include and exclude"
    ),
    f"{URL} --accept pdf": (
        "accept says which bodies to save: name the folder to save them in (--save), or choose what is asked with "
        "include and exclude"
    ),
    f"{URL} --reject pdf": (
        "reject says which bodies not to save: name the folder to save them in (--save), or choose what is asked with "
        "include and exclude"
    ),
    f"{URL} --convert-links": "convert_links is about saved pages: name the folder to save them in (--save)",
    f"{URL} --save notes.txt": "save = 'notes.txt' is a file: expected a folder, or a name that is still free",
    f"{URL} --save copy --types html,image": (
        "types: expected a content type, such as application/pdf or image/*, or one of html, css, js, json, xml, text, "
        "pdf, images, audio, video, fonts, documents, archives, not 'image'; did you mean images?"
    ),
    f"{URL} --save copy --reject a/b/c": (
        "reject: expected a suffix such as pdf, a pattern of names such as 'report-*.pdf', or a content type such as "
        "image/*, not 'a/b/c'"
    ),
    f"{URL} --save": "--save: expected one argument",
    # hooks
    f"{URL} --parse shop": "the hook 'shop' is not of the form 'package.module:function', such as hook:parse",
    f"{URL} --parse nosuch:parse": (
        "the hook 'nosuch:parse' cannot be imported: there is no module nosuch in this folder or on PYTHONPATH"
    ),
    f"{URL} --parse walk_needs:parse": (
        "the hook 'walk_needs:parse' cannot be imported: there is no module nosuchmodule that it imports"
    ),
    f"{URL} --parse walk_broken:parse": (
        "the hook 'walk_broken:parse' cannot be imported: SyntaxError: invalid syntax (walk_broken.py, line 1)"
    ),
    f"{URL} --parse walk_hook:prase": (
        "the hook 'walk_hook:prase': the module walk_hook has no 'prase'; did you mean parse?"
    ),
    f"{URL} --parse walk_hook:table": "the hook 'walk_hook:table' is a dict, not a function",
    # config
    f"{URL} -s max_page=5": "-s: there is no option 'max_page'; did you mean max_pages?",
    f"{URL} -s max_pages": "-s max_pages: expected KEY=VALUE, such as max_pages=500",
    f"{URL} -s max_pages=-5": "-s: max_pages = -5: expected a whole number of at least 0",
    f"{URL} --config nosuch.toml": "cannot read the config file nosuch.toml: No such file or directory",
    f"{URL} --config folder": "cannot read the config file folder: Is a directory",
    f"{URL} --config typo.toml": "typo.toml: there is no option 'max_page'; did you mean max_pages?",
    f"{URL} --config wrong.toml": "wrong.toml: obey_robots = 1: expected true or false",
    f"{URL} --config notes.txt": (
        "notes.txt is not a TOML file: Expected '=' after a key in a key/value pair (at line 1, column 4)"
    ),
    "config --dely 1": "there is no option --dely; did you mean --delay?",
    # ledgers
    f"{URL} --ledger notes.txt": f"notes.txt is not a ledger: it is no SQLite file; {OTHER}",
    f"{URL} --ledger other.db": f"other.db is not a ledger: it is some other SQLite file; {OTHER}",
    f"{URL} --ledger newer.db": (
        f"the ledger newer.db has schema version 99, this program knows {VERSION}: "
        "use the newer poolcrawl that wrote it"
    ),
    f"{URL} --ledger folder": "folder is a folder: expected the file of a ledger, such as folder/crawl.db",
    f"{URL} --ledger {URL}": f"--ledger: {URL} is a URL; expected the file of a ledger, such as crawl.db",
    f"{URL} --fresh": "--fresh would delete crawl.db: say --yes as well",
    "status nosuch.db": "there is no ledger nosuch.db: name the file that a crawl left, or crawl first",
    "status notes.txt": f"notes.txt is not a ledger: it is no SQLite file; {OTHER}",
    "status folder": "folder is a folder: expected the file of a ledger, such as folder/crawl.db",
    f"status {URL}": f"LEDGER: {URL} is a URL; expected the file of a ledger, such as crawl.db",
    "status crawl.db more": "'more' is one word too many; python -m crawler status --help shows what there is",
    "items nosuch.db": (
        "there is no ledger nosuch.db: name the file that a crawl left, or crawl first "
        "(items is a command; to crawl from ./items, say ./items)"
    ),
    # looking things up
    "urls --where stat=1": (
        "--where 'stat=1': urls has no column 'stat'; did you mean state? there are url, host, state, reason, error, "
        "depth, via, hop, attempts, redirects, purpose"
    ),
    "urls --where depth=": "--where 'depth=': near \")\": syntax error",
    "links --columns link": "--columns: links has no column 'link'; there are source, url, text, rel",
    "links --brokn": "there is no option --brokn; did you mean --broken?",
    "links --broken-fragments": "no fragment was checked for this ledger: crawl with --check-fragments --fresh",
    "pages --format xml": "--format: expected one of table, jsonl, csv, not 'xml'",
    "pages --limit -1": "--limit: expected a whole number of at least 0, not '-1'",
    "pages --status 40": "--status: expected such as 404, 4xx or 400-499, not '40'",
    "pages --redirects --orphans": "--redirects and --orphans are two questions: ask one at a time",
    "urls --state faild": "--state: expected one of queued, done, failed, skipped, not 'faild'; did you mean failed?",
    "sql": "expected SQL: one SELECT, or -; python -m crawler sql --help shows what there is",
    "sql crawl.db": "crawl.db is a file: expected a question in SQL after it",
    "sql select a b": "3 words: expected a ledger and one question, which stands in quotes",
    "sql 'delete from _urls'": "a ledger can only be read here: expected one SELECT",
    # the other commands
    "init notes.txt": "notes.txt is a file: name a folder for the project",
    "init made": "made/seeds.txt is there already, and nothing was written: name another folder",
    "completion tcsh": "SHELL: expected one of bash, zsh, fish, not 'tcsh'",
    "bench --pages 0": "--pages: '0': expected a whole number of at least 1",
}  # fmt: skip


@pytest.fixture(autouse=True)
def furnished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with what can be mistaken for something else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POOLCRAWL_PROCESSES", "0")
    monkeypatch.setattr("sys.argv", ["__main__.py"])
    monkeypatch.setattr("sys.stdin", io.StringIO())
    texts = {
        "notes.txt": "my notes, and nothing else\n" * 60, "empty.txt": "# nothing\n\n", "page.html": "\n<html>",
        "one.txt": "# one\nnosuch/\n", "typo.toml": "max_page = 5\n", "wrong.toml": "obey_robots = 1\n",
        "walk_hook.py": "table = {}\ndef parse(page): pass\n", "walk_broken.py": "def parse(:\n", "items": "",
        "walk_needs.py": "import nosuchmodule\n", "made/seeds.txt": "",
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "folder").mkdir()
    for name in ("crawl.db", "newer.db"):
        schema.create(tmp_path / name)
    for name, statement in (("newer.db", "PRAGMA user_version = 99"), ("other.db", "CREATE TABLE mine (x)")):
        connection = sqlite3.connect(tmp_path / name)
        connection.execute(statement)
        connection.close()
    with as_before(tmp_path):
        yield tmp_path


def typed(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a command line, and what it said on standard error."""
    code = main(shlex.split(line))
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


@pytest.mark.parametrize("line", WALK)
def test_a_mistake_is_one_sentence_that_names_it_and_exit_code_2(
    line: str, furnished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in furnished.rglob("*") if path.is_file()}
    assert typed(line, capsys) == (2, f"poolcrawl: {WALK[line]}\n")
    after = {path: path.read_bytes() for path in furnished.rglob("*") if path.is_file() if path.suffix != ".pyc"}
    assert after == before


def test_several_bad_seeds_are_a_line_each_before_the_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = typed("nosuch.txt one.txt", capsys)
    lines = [line[9:] for line in err.splitlines()[:2]]
    assert (code, lines) == (
        2,
        [
            "nosuch.txt: there is no such file or folder",
            "one.txt:2: nosuch/: there is no such folder, and it is no URL",
        ],
    )
    sentence = "there is no usable seed; name a URL, a host, a folder of HTML, or a file with one of them a line"
    assert err.splitlines()[2] == f"poolcrawl: {sentence}"


def test_a_ledger_in_a_folder_that_is_not_there_is_a_storage_error(capsys: pytest.CaptureFixture[str]) -> None:
    said = "cannot write beside the ledger nowhere/crawl.db: No such file or directory; is its folder writable?"
    assert typed(f"{URL} --ledger nowhere/crawl.db", capsys) == (5, f"poolcrawl: {said}\n")


def test_the_ledger_of_a_running_crawl_is_refused_with_its_process(capsys: pytest.CaptureFixture[str]) -> None:
    lock = LedgerLock(Path("crawl.db"))
    lock.acquire()
    try:
        said = f"the ledger crawl.db is in use by another crawl, process {os.getpid()}: wait for it, stop it, or"
        assert typed(URL, capsys) == (2, f"poolcrawl: {said} name another file with --ledger\n")
    finally:
        lock.release()


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("crawler.transports.registry.find_spec", lambda name: None)
    said = "transport = 'curl' needs pycurl: pip install 'poolcrawl[curl]'"
    assert typed(f"{URL} --transport curl", capsys) == (2, f"poolcrawl: {said}\n")


def test_a_port_that_a_folder_had_and_another_program_has_now_is_named(
    furnished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        folder = (furnished / "made").resolve()
        connection = sqlite3.connect("crawl.db")
        seed = (f"http://127.0.0.1:{port}/", "argument", str(folder), 1)
        connection.execute("INSERT INTO seeds VALUES (?, ?, ?, ?)", seed)
        connection.commit()
        connection.close()
        code, err = typed("made", capsys)
    assert code == 2
    assert err == (
        f"poolcrawl: the folder {folder} was served at port {port} of 127.0.0.1 before, and another program has that "
        "port now: free it, or start over with --fresh\n"
    )


def test_a_ledger_that_may_not_be_read_is_a_storage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may read anything
    assert typed("pages", capsys) == (5, "poolcrawl: the ledger crawl.db cannot be read: no permission\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_of_seeds_that_may_not_be_read_is_named(furnished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (furnished / "notes.txt").chmod(0)
    assert typed("notes.txt", capsys) == (2, "poolcrawl: notes.txt: cannot be read: Permission denied\n")
