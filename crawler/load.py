"""One loader for whatever the user names as "package.module:name": hooks, set-ups, transports.

It imports somebody's code; so what goes wrong there, whatever it is, becomes one sentence. Knows nothing of
what it is for. Runs in the coordinator, to refuse what cannot be used, and in workers.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crawler.errors import UsageError
from crawler.text import VERY_ALIKE, did_you_mean


def load(what: str, spec: str, example: str) -> Callable[..., Any]:
    """Import "package.module:name", a callable, from the working directory too.

    Args:
        what: names the thing in messages: "the hook".
        example: of a spec, for who gave another kind of text.

    Raises:
        UsageError: says what is wrong with it.
    """
    module, colon, name = spec.partition(":")
    if not (colon and module and name):
        raise UsageError(f"{what} {spec!r} is not of the form 'package.module:function', such as {example}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:  # a console script does not look here by itself
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        where = "in this folder or on PYTHONPATH" if error.name == module.partition(".")[0] else "that it imports"
        raise UsageError(f"{what} {spec!r} cannot be imported: there is no module {error.name} {where}") from error
    except (Exception, SystemExit) as error:  # a script without a main guard may end with sys.exit()
        raise UsageError(f"{what} {spec!r} cannot be imported: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        owner, found = found, getattr(found, part, None)
        if found is None:
            meant = did_you_mean(part, dir(owner), VERY_ALIKE)
            raise UsageError(f"{what} {spec!r}: the module {module} has no {name!r}{meant}")
    if not callable(found):
        raise UsageError(f"{what} {spec!r} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def load_hook(spec: str) -> Callable[..., object]:
    """Import a parse hook, or another function of the user's, by name; raises UsageError as `load`."""
    return load("the hook", spec, "hook:parse")
