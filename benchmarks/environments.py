"""An environment for each contender: made once, with pinned versions, and kept for the next time.

`pins/NAME.txt` holds every version, also of what comes along; pip is given them as constraints.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PINS = Path(__file__).with_name("pins")
DEFAULT_FOLDER = Path("~/.cache/poolcrawl-benchmarks").expanduser()
_MARKER = "made-of"  # in an environment that is complete: what it was made of
_ASK_VERSIONS = """
import importlib.metadata, json, sys
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment, by what pip installs in it."""

    name: str
    requirements: tuple[str, ...]
    sources: tuple[Path, ...] = ()  # files and folders that, when they change, make it anew

    def make(self, folder: Path) -> Path:
        """Make it in a folder, unless it is there; its interpreter.

        Raises:
            RuntimeError: it cannot be made; the text says what pip said.
        """
        here = folder / self.name
        python = here / "bin" / "python"
        marker = here / _MARKER
        recipe = self._recipe()
        if marker.exists() and marker.read_text() == recipe:
            return python
        shutil.rmtree(here, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([sys.executable, "-m", "venv", str(here)])
        _run([*pip, "--constraint", str(self._pins), *self.requirements])
        marker.write_text(recipe)
        return python

    @property
    def _pins(self) -> Path:
        return PINS / f"{self.name}.txt"

    def _recipe(self) -> str:
        """Return a text that changes with everything that makes this environment what it is."""
        sums = hashlib.sha256(self._pins.read_bytes())
        for source in self.sources:
            for file in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
                sums.update(str(file).encode() + b"\0" + file.read_bytes())
        return f"{sys.version}\n{self.requirements}\n{sums.hexdigest()}\n"


def versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of packages in an environment."""
    found: dict[str, str] = json.loads(_run([str(python), "-c", _ASK_VERSIONS, *packages]))
    return found


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:5])} … failed: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout
