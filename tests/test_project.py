"""`init` makes a project that runs as it is; `config` says what holds; completion knows every command and option."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from crawler import Config
from crawler.cli.commands import COMMANDS, completion
from crawler.cli.commands.init import project_files
from crawler.cli.main import main, parser_of
from crawler.cli.option_files import as_toml
from tests.shell import Shell

ROOT = Path(__file__).parent.parent
BASH, FISH, ZSH = (shutil.which(shell) or "" for shell in ("bash", "fish", "zsh"))
FILES = ["config.toml", "example/index.html", "example/more.html", "hook.py", "seeds.txt", "test_hook.py"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_new_project_crawls_extracts_and_its_test_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "deep/shop"]) == 0
    said = capsys.readouterr().out
    shop = Path("deep/shop")
    assert sorted(str(path.relative_to(shop)) for path in shop.rglob("*") if path.is_file()) == FILES
    for step in ("cd deep/shop", " seeds.txt ", " items ", " links --broken ", "python -m pytest "):
        assert step in said
    shell = Shell(shop.absolute())
    crawled = shell.run("seeds.txt")
    assert (crawled.returncode, "parse hook errors  0" in crawled.stdout) == (0, True), crawled.stderr
    items = shell.run("items", "--columns", "item.title,item.price", "--format", "csv").stdout
    books = ["Night Ferry North,11.50", "Salt Roads,9.95", "Small Stars,12.00"]
    assert sorted(items.splitlines()) == [*books, "title,price"]
    assert shell.run("links", "--broken", "--format", "jsonl").stdout.count("gone.html") == 1
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=shop, env=shell.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "1 passed" in tested.stdout, tested.stdout + tested.stderr


def test_nothing_that_is_there_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("hook.py").write_text("mine")
    assert main(["init"]) == 2
    assert "hook.py is there already, and nothing was written" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["hook.py"]
    assert Path("hook.py").read_text() == "mine"


def test_the_config_of_a_project_is_the_repositorys_with_every_option_commented_out_but_its_own() -> None:
    every = (ROOT / "config.toml").read_text()
    made = project_files()["config.toml"]
    assert tomllib.loads(made) == {"parse": "hook:parse"}
    whole = re.sub(r"^#(?=\w+ = )", "", made, flags=re.MULTILINE)
    assert tomllib.loads(whole) == {**tomllib.loads(every), "parse": "hook:parse"}
    body = every.partition("\n\n")[2]
    changed = set(whole.splitlines()) ^ set(body.splitlines())
    assert {line for line in changed if line and not line.startswith("# ")} == {'parse = ""', 'parse = "hook:parse"'}


def test_each_option_is_shown_with_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("config.toml").write_text("retries = 1\nmax_pages = 1\nmax_depth = 1\nper_host = 1\nconcurrency = 1\n")
    for key in ("MAX_PAGES", "MAX_DEPTH", "PER_HOST"):
        monkeypatch.setenv(f"POOLCRAWL_{key}", "2")
    monkeypatch.setenv("POOLCRAWL_INCLUDE", '["a\\u001bb"]')
    words = ["config", "-s", "max_depth=3", "-s", "per_host=3", "--per-host", "4", "--no-robots", "-H", "A: b"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == list(Config.__struct_fields__)
    assert {key: tuple(each.values()) for key, each in found.items() if each["source"] != "default"} == {
        "retries": (1, "config.toml"),
        "concurrency": (1, "config.toml"),
        "max_pages": (2, "environment POOLCRAWL_MAX_PAGES"),
        "include": (["a\x1bb"], "environment POOLCRAWL_INCLUDE"),
        "max_depth": (3, "-s"),
        "per_host": (4, "flag --per-host"),
        "obey_robots": (False, "flag --no-robots"),
        "headers": ({"A": "b"}, "flag --header"),
    }
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(found)
    shown = tomllib.loads(
        "\n".join(re.sub(r"  +(default|config\.toml|environment \w+|-s|flag \S+)$", "", line) for line in lines)
    )
    assert shown == {key: each["value"] for key, each in found.items()}
    assert "\x1b" not in "".join(lines)


def test_options_are_shown_as_toml_that_reads_the_same() -> None:
    for value in (True, 3, 0.5, 'a "b" \\ \x7f\x1b\u202e', ("a", "b"), {"A b": "c"}, {}, ()):
        read = tomllib.loads(f"value = {as_toml(value)}")["value"]
        assert read == (list(value) if isinstance(value, tuple) else value)


def test_the_crawl_obeys_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("site").mkdir()
    Path("site/index.html").write_text('<a href="a.html">a</a>')
    Path("site/a.html").write_text("a")
    monkeypatch.setenv("POOLCRAWL_MAX_DEPTH", "0")
    monkeypatch.setenv("POOLCRAWL_LEDGER", "mine.db")
    shell = Shell(tmp_path)
    assert shell.run("site", "-q").returncode == 0
    assert shell.ask("SELECT count(*) FROM urls", ledger="mine.db") == [(1,)]


def test_every_command_has_help_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    listing = capsys.readouterr().out
    assert main(["help"]) == 0
    assert capsys.readouterr().out == listing
    for name, command in COMMANDS.items():
        assert f"  {name:<10}  {command.help}\n" in listing
        assert main(["help", name]) == 0
        assert f"crawler {name} " in capsys.readouterr().out


def test_a_crawl_starts_without_what_only_the_commands_need() -> None:
    program = (
        "import sys; from crawler.cli.main import parser_of; parser_of(''); "
        "print([name for name in sys.modules if name.startswith('crawler.cli.commands.') or name in "
        "('rich', 'csv', 'difflib', 'tomllib', 'crawler.cli.export', 'crawler.cli.pager', 'crawler.ledger.lookup')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip
    assert shown.stdout == "['crawler.cli.commands.crawl']\n"


LINES = {
    "st": {"status"},
    "stat": {"status"},
    "crawl.d": {"crawl.db"},
    "--sc": {"--scope"},
    "--scope ": {"page", "prefix", "host", "any"},
    "-s max_p": {"max_pages="},
    "seeds.txt --led": {"--ledger"},
    "--ledger cra": {"crawl.db"},
    "status --j": {"--json"},
    "status cra": {"crawl.db"},
    "pages --format ": {"table", "jsonl", "csv"},
    "pages --orp": {"--orphans"},
    "urls --state f": {"failed"},
    "urls --reason too-": {"too-large", "too-many-redirects", "too-deep"},
    "links --bro": {"--broken", "--broken-fragments"},
    "help co": {"config", "completion"},
    "completion ": {"bash", "zsh", "fish"},
    "config --del": {"--delay"},
}


def _script(shell: str) -> str:
    Path("crawl.db").touch()
    text: str = completion._SCRIPTS[shell](completion.read_commands(parser_of))
    Path(f"script.{shell}").write_text(text)
    return text


@pytest.mark.skipif(not BASH, reason="no bash here")
def test_bash_completes_commands_options_choices_and_files() -> None:
    _script("bash")
    ask = 'source script.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _poolcrawl; printf "%s\\n" "${COMPREPLY[@]}"'
    lines = {**LINES, "pages --format = c": {"csv"}, "pages --format =": {"table", "jsonl", "csv"}}
    for line, expected in lines.items():
        typed = f"poolcrawl {line}".split(" ")
        shown = subprocess.run(
            [BASH, "--norc", "-c", ask, "-", *typed], capture_output=True, text=True, timeout=20, check=True
        )
        assert (line, set(shown.stdout.split()), shown.stderr) == (line, expected, "")


@pytest.mark.skipif(not FISH, reason="no fish here")
def test_fish_completes_the_same(tmp_path: Path) -> None:
    _script("fish")
    for line, expected in LINES.items():
        shown = subprocess.run(
            [FISH, "--no-config", "-c", f"source script.fish; complete -C 'poolcrawl {line}'"],
            env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        assert (line, {each.split("\t")[0] for each in shown.stdout.splitlines()}) == (line, expected)


@pytest.mark.skipif(not ZSH, reason="no zsh here")
def test_zsh_reads_its_script() -> None:
    _script("zsh")
    ask = "autoload -U compinit; compinit -u -D; source script.zsh; print $_comps[poolcrawl]"
    shown = subprocess.run([ZSH, "-f", "-c", ask], capture_output=True, text=True, timeout=20, check=True)
    assert (shown.stdout, shown.stderr) == ("_poolcrawl\n", "")


def test_every_command_and_option_is_in_each_script() -> None:
    words = completion.read_commands(parser_of)
    flags = {flag for command in words.values() for word in command for flag in word.flags}
    assert len(flags) >= 59
    for shell in ("bash", "zsh", "fish"):
        text = _script(shell)
        shown = [flag for flag in flags if not re.search(rf"(?<!\w){flag}(?!\w)", text)]
        if shell == "fish":
            shown = [
                flag for flag in shown
                if not re.search(rf"-l {flag[2:]}\b" if flag.startswith("--") else rf"-s {flag[1:]}\b", text)
            ]  # fmt: skip
        assert shown == []
        assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", text)] == []
