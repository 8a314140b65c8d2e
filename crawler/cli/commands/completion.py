"""`python -m crawler completion bash|zsh|fish`: what a shell needs to complete `poolcrawl` on Tab.

A script is made from the parsers themselves, so that it has every command, option and choice. It is all there is: no
Python runs when Tab is pressed. (argcomplete runs the program at each Tab; shtab cannot describe a first word that is
either a command or a file.)
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from crawler.cli.arguments import OneOf, Parser
from crawler.cli.commands import COMMANDS
from crawler.config import Config

_INSTALL: Final = """to install it, for all sessions to come:
  bash   echo 'eval "$(poolcrawl completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(poolcrawl completion zsh)"' >> ~/.zshrc     (after compinit)
  fish   poolcrawl completion fish > ~/.config/fish/completions/poolcrawl.fish"""
_FILES: Final = {"FILE", "LEDGER", "SEED", "SQL", "DIR"}


class Word(NamedTuple):
    """An option, or (without flags) what else a command takes."""

    flags: tuple[str, ...]
    help: str
    metavar: str  # "": it takes no value
    choices: tuple[str, ...]
    repeatable: bool

    @property
    def takes_file(self) -> bool:
        """Return whether the value is the name of a file or folder."""
        return self.metavar in _FILES and not self.choices


def make_parser(name: str) -> Parser:
    """Make the parser of the command."""
    parser = Parser(name, description="Print what a shell needs to complete `poolcrawl` on Tab.", epilog=_INSTALL)
    parser.add_argument("shell", metavar="SHELL", type=OneOf(*_SCRIPTS), help=", ".join(_SCRIPTS))
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print(_SCRIPTS[arguments.shell](read_commands(arguments.parser_of)))
    return 0


def read_commands(parser_of: Callable[[str], Parser]) -> dict[str, list[Word]]:
    """Return the words of each command, and of the crawl itself as "", from their parsers."""
    return {name: [_read(action) for action in parser_of(name)._actions] for name in ("", *COMMANDS)}


def _read(action: argparse.Action) -> Word:
    metavar = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    choices = getattr(action.type, "choices", ()) or (metavar.split("|") if "|" in metavar else ())
    if action.dest == "set":
        choices = [f"{key}=" for key in Config.__struct_fields__]
    text = re.sub(r"%\((\w+)\)s", lambda name: str(getattr(action, name[1])), action.help or "").replace("%%", "%")
    repeatable = isinstance(action, argparse._AppendAction)
    return Word(tuple(action.option_strings), text, metavar, tuple(choices), repeatable)


def make_bash(found: dict[str, list[Word]]) -> str:
    """Make the script for bash, 3.2 (macOS) included."""
    values, options, others = [], [], []
    for name, words in found.items():
        for word in words:
            patterns = "|".join(f'"{name} {flag}"' for flag in word.flags)
            if word.flags and word.metavar:
                values.append(f"        {patterns}) {_bash_value(word)} ;;")
            elif not word.flags and name:
                others.append(f'        "{name}") {_bash_value(word)} ;;')
        flags = " ".join(flag for word in words for flag in word.flags)
        options.append(f'        "{name}") words="{flags}" ;;')
    lines = {"COMMANDS": " ".join(COMMANDS), "NAMES": "|".join(COMMANDS),
             "VALUES": "\n".join(values), "OPTIONS": "\n".join(options), "OTHERS": "\n".join(others)}  # fmt: skip
    return re.sub(r"@(\w+)@", lambda name: lines[name[1]], _BASH)


def _bash_value(word: Word) -> str:
    return "files=1" if word.takes_file else f'words="{" ".join(word.choices)}"'


_BASH: Final = r"""# completion of poolcrawl for bash: eval "$(poolcrawl completion bash)"
_poolcrawl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command="" words="" files=""
    # bash takes the = of --format=csv for a word of its own
    if [[ $cur == "=" ]]; then cur=""; elif [[ $prev == "=" ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
    if (( COMP_CWORD > 1 )); then
        case ${COMP_WORDS[1]} in @NAMES@) command=${COMP_WORDS[1]} ;; esac
    fi
    COMPREPLY=()
    case "$command $prev" in
@VALUES@
        *)
            if [[ $cur == -* ]]; then
                case $command in
@OPTIONS@
                esac
            else
                case $command in
@OTHERS@
        "") files=1; if (( COMP_CWORD == 1 )); then words="@COMMANDS@"; fi ;;
                esac
            fi ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    if [[ -n $files ]]; then
        local IFS=$'\n'
        COMPREPLY+=($(compgen -f -- "$cur"))
        compopt -o filenames 2>/dev/null
    elif [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _poolcrawl poolcrawl"""


def make_zsh(found: dict[str, list[Word]]) -> str:
    """Make the script for zsh: to be evaluated, or a file _poolcrawl in $fpath."""
    cases = []
    for name, words in found.items():
        if name:
            specs = " \\\n            ".join(_zsh(word) for word in words)
            cases.append(f"        {name}) _arguments \\\n            {specs} ;;")
    crawl = " \\\n            ".join(_zsh(word) for word in found[""] if word.flags)
    described = "\n".join(f"        '{name}:{_quoted(each.help)}'" for name, each in COMMANDS.items())
    lines = {"CASES": "\n".join(cases), "CRAWL": crawl, "DESCRIBED": described}
    return re.sub(r"@(\w+)@", lambda name: lines[name[1]], _ZSH)


def _zsh(word: Word) -> str:
    if word.takes_file:
        value = "_files -/" if word.metavar == "DIR" else "_files"
    else:
        # A word that ends in = is begun, not whole: compadd's empty suffix keeps the cursor behind it.
        begun = bool(word.choices) and word.choices[0].endswith("=")
        value = f"{{compadd -S '' -- {' '.join(word.choices)}}}" if begun else f"({' '.join(word.choices)})"
    value = value.replace("'", "'\\''")
    if not word.flags:
        return f"'*:{_quoted(word.metavar)}:{value}'"
    tail = f":{_quoted(word.metavar)}:{value}" if word.metavar else ""
    again = "'*'" if word.repeatable else f"'({' '.join(word.flags)})'"
    names = f"{{{','.join(word.flags)}}}" if len(word.flags) > 1 else word.flags[0]
    return f"{again}{names}'[{_quoted(word.help)}]{tail}'"


def _quoted(text: str) -> str:
    """Return a text as it stands in a quoted word of _arguments, _describe or fish."""
    return re.sub(r"([\[\]:])", r"\\\1", text).replace("'", "'\\''")


_ZSH: Final = r"""#compdef poolcrawl
# completion of poolcrawl for zsh: eval "$(poolcrawl completion zsh)" after compinit, or a file _poolcrawl in $fpath
_poolcrawl_first() {
    local -a described
    described=(
@DESCRIBED@
    )
    _describe -t commands command described
    _files
}
_poolcrawl() {
    local command=${words[2]}
    if (( CURRENT > 2 )) && [[ -n ${command} ]]; then
        case $command in
        @NAMES@)
            shift words
            (( CURRENT-- )) ;;
        esac
    else
        command=""
    fi
    case $command in
@CASES@
        *) _arguments \
            @CRAWL@ \
            '1:seed or command:_poolcrawl_first' '*:seed:_files' ;;
    esac
}
if [[ ${funcstack[1]} == _poolcrawl ]]; then
    _poolcrawl "$@"
else
    compdef _poolcrawl poolcrawl
fi""".replace("@NAMES@", "|".join(COMMANDS))


def make_fish(found: dict[str, list[Word]]) -> str:
    """Make the script for fish."""
    names = " ".join(COMMANDS)
    lines = [
        "# completion of poolcrawl for fish: poolcrawl completion fish > ~/.config/fish/completions/poolcrawl.fish"
    ]
    for name, each in COMMANDS.items():
        lines.append(f"complete -c poolcrawl -n __fish_is_first_arg -a {name} -d {_fish(each.help)}")
    for name, words in found.items():
        where = f"'__fish_seen_subcommand_from {name}'" if name else f"'not __fish_seen_subcommand_from {names}'"
        for word in words:
            flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in word.flags)
            choices = f" -a {_fish(' '.join(word.choices))}" if word.choices else ""
            value = (" -r" if word.takes_file else " -x") + choices if word.metavar and flags else choices
            if not flags and not word.takes_file:
                value = f" -f{choices}"
            if flags or value:
                text = f" -d {_fish(word.help)}" if flags else ""
                lines.append(f"complete -c poolcrawl -n {where} {flags}{value}{text}".replace("  ", " "))
        if name and not any(word.takes_file for word in words if not word.flags):
            lines.append(f"complete -c poolcrawl -n {where} -f")
    return "\n".join(lines)


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS: Final = {"bash": make_bash, "zsh": make_zsh, "fish": make_fish}
