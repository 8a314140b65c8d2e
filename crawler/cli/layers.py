"""Options from several places: a config file, the environment, KEY=VALUE words, flags; put together, the last one wins.

Each place is a layer over the defaults of `Config`. What cannot be used is named with what was expected. Knows nothing
of the command line's flags but what they say. Runs in the coordinator: workers get the `Config`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import msgspec

from crawler.config import Config
from crawler.errors import UsageError
from crawler.text import close_match, did_you_mean

ENVIRONMENT: Final = "environment"
WORDS: Final = "-s"
FLAGS: Final = "the command line"
ENVIRONMENT_PREFIX: Final = "POOLCRAWL_"


class Layer(NamedTuple):
    """Options from one place."""

    source: str  # the file's name, or one of the names above
    values: dict[str, Any]


def read_config(
    path: Path | None, words: list[str], flags: dict[str, Any], environment: Mapping[str, str] | None = None
) -> Config:
    """Read all layers, as `read_layers` does, and put them together."""
    return put_together(read_layers(path, words, flags, environment))


def put_together(layers: Sequence[Layer]) -> Config:
    """Return the config of layers over the defaults; the last one wins.

    Raises:
        UsageError: names the key, what was expected and what it is.
    """
    values: dict[str, Any] = {}
    for layer in layers:
        values.update(layer.values)
    return _make_config(values, FLAGS)


def read_layers(
    path: Path | None, words: list[str], flags: dict[str, Any], environment: Mapping[str, str] | None = None
) -> list[Layer]:
    """Read what is set above the defaults: a config file, the environment, KEY=VALUE words, flags; the last one wins.

    Args:
        path: a TOML file; None means `config.toml` in the working directory if it is there.
        words: values are TOML (`max_pages=500`, `include=["a", "b"]`); a bare word is taken as text.
        flags: already typed values by key.
        environment: variables, of which POOLCRAWL_KEY is read as a word KEY=VALUE is; an empty one counts as not set.

    Raises:
        UsageError: names the key, what was expected and what it is.
    """
    if path is None and (default := Path("config.toml")).is_file():
        path = default
    layers = [] if path is None else [Layer(str(path), _read_toml(path))]
    layers.append(Layer(ENVIRONMENT, _read_environment(environment or {})))
    layers.append(Layer(WORDS, dict(_read_word(word) for word in words)))
    for layer in layers:
        _make_config(layer.values, layer.source)
    return [*layers, Layer(FLAGS, flags)]


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for name, text in sorted(environment.items()):
        key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
        if key == name.lower() or not text.strip():
            continue
        if key not in Config.__struct_fields__:
            close = close_match(key, Config.__struct_fields__)
            hint = f"; did you mean {ENVIRONMENT_PREFIX}{close.upper()}?" if close else ""
            raise UsageError(f"the environment variable {name}: there is no option {key!r}{hint}")
        values[key] = _read_value(key, text)
    return values


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib  # here and below: a crawl without options of this kind starts without it

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read the config file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a TOML file: {error}") from error


def _read_word(word: str) -> tuple[str, Any]:
    key, equals, value = word.partition("=")
    if not equals:
        raise UsageError(f"-s {word}: expected KEY=VALUE, such as max_pages=500")
    return key.strip(), _read_value(key.strip(), value)


def _read_value(key: str, text: str) -> Any:
    """Read a value as TOML; what is none, or is wanted as text and is not quoted, is text as it stands."""
    import tomllib

    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()
    wants_text = isinstance(getattr(Config(), key, None), str)
    return text.strip() if wants_text and not isinstance(value, str) else value


def _make_config(values: dict[str, Any], source: str) -> Config:
    known = Config.__struct_fields__
    for key in values:
        if key not in known:
            raise UsageError(f"{source}: there is no option {key!r}{did_you_mean(key, known)}")
    for key, value in values.items():
        try:
            msgspec.convert({key: value}, Config)
        except msgspec.ValidationError as error:
            raise UsageError(f"{source}: {key} = {value!r}: {_expected(key, value, str(error))}") from error
    return msgspec.convert(values, Config)


_IN_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
_IN_WORDS |= {"array": 'a list, such as ["a", "b"]', "object": 'a table, such as { "a" = "b" }'}


def _expected(key: str, value: object, complaint: str) -> str:
    """Say what was expected in the place of a value, from what msgspec says: "Expected `int` >= 0 - at `$.retries`"."""
    choices = get_args(get_type_hints(Config)[key])
    if complaint.startswith("Invalid enum value"):
        return f"expected one of {', '.join(choices)}{did_you_mean(str(value), choices)}"
    found = re.match(r"Expected `(\w+)`( of length)?(?: (>=?) ([-\d.]+))?", complaint)
    if found is None:
        return f"{complaint[0].lower()}{complaint[1:]}"
    kind, is_text, relation, bound = found.groups()
    words = _IN_WORDS.get(kind, kind)
    if is_text:
        return f"expected {words} that is not empty"
    if relation:
        words += f" {'of at least' if relation == '>=' else 'above'} {float(bound):g}"
    return f"expected {words}"
