"""What may be named as a seed, and what is said of the rest; the others always go on."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from crawler.api.seeds import Problem, Seed, read_seeds


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of each test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(*words: str, stdin: bytes = b"") -> tuple[list[Seed], list[Problem]]:
    return read_seeds(words, io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))


def read_file(text: str | bytes) -> tuple[list[Seed], list[Problem]]:
    Path("seeds.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return read("seeds.txt")


def site(path: Path) -> Path:
    """Make a folder with a page in it."""
    path.mkdir(parents=True)
    (path / "index.html").write_text("<title>x</title>")
    return path


@pytest.mark.parametrize(
    ("word", "url"),
    [
        ("http://a.test", "http://a.test/"),
        ("https://A.test:443/x#part", "https://a.test/x"),
        ("a.test", "http://a.test/"),
        ("a.test/page.html", "http://a.test/page.html"),
        ("localhost", "http://localhost/"),
        ("localhost:8000/x", "http://localhost:8000/x"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("point.md", "http://point.md/"),
    ],
)
def test_a_url_and_a_bare_host_are_seeds_in_normal_form(word: str, url: str) -> None:
    assert read(word) == ([Seed(url, None, "argument")], [])


@pytest.mark.parametrize(
    "word", ["./no", "no/where", "/no/where", "~/no", "seeds.txt", "SEEDS.CSV", "a.lst", "index.html", "no"]
)
def test_what_looks_like_a_path_and_is_none_is_said_to_be_missing(word: str) -> None:
    assert read(word) == ([], [Problem("argument", word, "there is no such file or folder")])


@pytest.mark.parametrize(
    "word",
    ["ftp://a.test/", "http://", "http://[broken", "a b.test", "mailto:a@b.test", "x" * 5_000, "./" + "x" * 5_000],
)
def test_a_word_that_is_no_seed_is_a_problem_with_a_reason(word: str) -> None:
    seeds, (problem,) = read(word)
    assert (seeds, problem.origin, problem.text) == ([], "argument", word)
    assert problem.message


@pytest.mark.parametrize("word", ["", "   "])
def test_an_empty_word_is_not_the_working_directory(word: str, folder: Path) -> None:
    (folder / "index.html").write_text("")
    assert read(word) == ([], [Problem("argument", word, "expected a URL or a host, got nothing")])


def test_a_folder_is_a_seed_if_a_file_is_in_it_however_deep(folder: Path) -> None:
    deep = site(folder / "site" / "a" / "b")
    (folder / "empty" / "a").mkdir(parents=True)
    assert read("site", str(deep), "empty") == (
        [Seed("", folder / "site", "argument"), Seed("", deep, "argument")],
        [Problem("argument", "empty", "the folder has no file in it")],
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_may_not_be_entered_does_not_end_the_look_for_a_file(folder: Path) -> None:
    for name in ("closed", "open"):
        site(folder / name / "sub").chmod(0o644)
    (folder / "open" / "z.html").write_text("")
    assert read("closed", "open") == (
        [Seed("", folder / "open", "argument")],
        [Problem("argument", "closed", "the folder has no file in it")],
    )
    for name in ("closed", "open"):
        (folder / name / "sub").chmod(0o755)  # lest it stay for ever: pytest removes it later


def test_a_pipe_alone_makes_no_folder_a_seed(folder: Path) -> None:
    (folder / "site").mkdir()
    os.mkfifo(folder / "site" / "pipe")
    assert read("site") == ([], [Problem("argument", "site", "the folder has no file in it")])


def test_a_file_has_one_seed_a_line_and_comments() -> None:
    text = "# one a line\n\nhttp://a.test/ # the first\n  b.test\t# after a tab\nhttp://c.test/#no-comment\n#last"
    assert read_file(text) == (
        [
            Seed("http://a.test/", None, "seeds.txt:3"),
            Seed("http://b.test/", None, "seeds.txt:4"),
            Seed("http://c.test/", None, "seeds.txt:5"),
        ],
        [],
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_may_have_any_line_ends_and_a_byte_order_mark(end: str, mark: str) -> None:
    seeds, problems = read_file(mark + end.join(["http://a.test/", "", "http://b.test/"]) + end)
    assert [(seed.url, seed.origin) for seed in seeds] == [
        ("http://a.test/", "seeds.txt:1"),
        ("http://b.test/", "seeds.txt:3"),
    ]
    assert problems == []


def test_a_bad_line_is_told_by_its_number_and_the_rest_goes_on() -> None:
    seeds, problems = read_file("http://a.test/\nftp://b.test/\n./missing\n\x0cx y\nhttp://c.test/\n")
    assert [seed.origin for seed in seeds] == ["seeds.txt:1", "seeds.txt:5"]
    assert [(problem.origin, problem.text) for problem in problems] == [
        ("seeds.txt:2", "ftp://b.test/"), ("seeds.txt:3", "./missing"), ("seeds.txt:4", "x y"),
    ]  # fmt: skip
    assert problems[1].message == "there is no such folder, and it is no URL"


def test_a_line_in_another_encoding_is_a_problem_unless_only_its_comment_is() -> None:
    seeds, problems = read_file("http://a.test/ # café\nhttp://b.test/é\nhttp://c.test/\n".encode("latin-1"))
    assert [seed.origin for seed in seeds] == ["seeds.txt:1", "seeds.txt:3"]
    assert problems == [Problem("seeds.txt:2", "http://b.test/\ufffd", "is no text in UTF-8")]


@pytest.mark.parametrize(
    "content",
    ["http://a.test/\n".encode("utf-16"), "\u4e00\u4e01".encode("utf-16"), b"\0http://a.test/"],
)
def test_a_file_that_is_no_text_is_one_problem(content: bytes) -> None:
    assert read_file(content) == (
        [],
        [Problem("argument", "seeds.txt", "is no text in UTF-8: expected one seed a line")],
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"SQLite format 3\0...", "is a database and no list of seeds; a ledger is named with --ledger"),
        (b"\xef\xbb\xbf\n <!doctype html>\n<p>\n", "is a page and no list of seeds; name its folder, ./"),
        (b"# nothing\n\n", "there is no seed in it; expected a URL, a host or a folder of HTML a line"),
    ],
)
def test_a_file_that_is_something_else_is_said_so_once(content: bytes, message: str) -> None:
    assert read_file(content) == ([], [Problem("argument", "seeds.txt", message)])


def test_a_folder_in_a_file_is_looked_for_beside_the_file_first(folder: Path) -> None:
    here, there = site(folder / "site"), site(folder / "lists" / "site")
    other = site(folder / "other")
    (folder / "lists" / "seeds.txt").write_text(f"site\nother\n{here}\n")
    seeds, problems = read("lists/seeds.txt")
    assert [(seed.folder, seed.origin) for seed in seeds] == [
        (there, "seeds.txt:1"), (other, "seeds.txt:2"), (here, "seeds.txt:3"),
    ]  # fmt: skip
    assert problems == []


def test_standard_input_is_read_like_a_file(folder: Path) -> None:
    site(folder / "site")
    assert read("-", stdin=b"\xef\xbb\xbfhttp://a.test/\r\nsite\r\nhttp://b.test/\xe9\r\n") == (
        [Seed("http://a.test/", None, "standard input:1"), Seed("", folder / "site", "standard input:2")],
        [Problem("standard input:3", "http://b.test/\ufffd", "is no text in UTF-8")],
    )


def test_standard_input_may_be_a_stand_in_without_bytes() -> None:
    assert read_seeds(["-"], io.StringIO("a.test\n")) == ([Seed("http://a.test/", None, "standard input:1")], [])


def test_the_same_seed_counts_once_and_keeps_its_first_origin(folder: Path) -> None:
    site(folder / "site")
    (folder / "seeds.txt").write_text("HTTP://A.test:80\na.test\n./site\n")
    seeds, problems = read("seeds.txt", "http://a.test/#x", "site")
    assert [(seed.url, seed.folder, seed.origin) for seed in seeds] == [
        ("http://a.test/", None, "seeds.txt:1"), ("", folder / "site", "seeds.txt:3"),
    ]  # fmt: skip
    assert problems == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that nobody can read, as Linux has")
def test_a_file_that_cannot_be_read_is_a_problem() -> None:
    (problem,) = read("/proc/self/mem", "a.test")[1]
    assert problem == Problem("argument", "/proc/self/mem", f"cannot be read: {os.strerror(5)}")
