"""What is shipped: the wheel, the sdist, the public names with their types, and the image's recipe."""

from __future__ import annotations

import ast
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import partial
from pathlib import Path

import pytest

import crawler

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = f"poolcrawl-{crawler.__version__}"
#: what a work tree has that nobody should be sent
LITTER = (
    "crawl.db", ".env", "notes.txt", "site/index.html", ".venv/pyvenv.cfg", ".mypy_cache/x.json", "dist/old.whl",
    "crawler/__pycache__/cli.cpython-311.pyc", "tests/__pycache__/x.pyc", "examples/crawl.db",
)  # fmt: skip
SHIPPED_FOLDERS = ("crawler", "tests", "benchmarks", "examples", "docs")
SHIPPED_FILES = {
    "pyproject.toml", "zensical.toml", "config.toml", "seeds.txt", "Dockerfile", ".dockerignore", ".gitignore",
    "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE",
}  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build wheel and sdist from a copy of the work tree, with litter in it, without the network."""
    source = tmp_path_factory.mktemp("source")
    for name in SHIPPED_FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in SHIPPED_FILES:
        shutil.copy(ROOT / name, source)
    for name in LITTER:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("litter")
    target = tmp_path_factory.mktemp("built")
    build = "import sys; from hatchling import build as b; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(target)], cwd=source, check=True, capture_output=True)
    return target


def _files(folder: str) -> set[str]:
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in found if not path.name.startswith("crawl.db")}


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    about = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert names == _files("crawler") | {f"{NAME}.dist-info/{name}" for name in about}
    assert "crawler/py.typed" in names


def test_the_sdist_holds_the_sources_and_nothing_else(built: Path) -> None:
    with tarfile.open(built / f"{NAME}.tar.gz") as sdist:
        names = {member.name.removeprefix(f"{NAME}/") for member in sdist.getmembers() if member.isfile()}
    assert names == set().union(*map(_files, SHIPPED_FOLDERS)) | SHIPPED_FILES | {"PKG-INFO"}


def test_what_the_wheel_holds_runs(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as wheel:
        for name in wheel.namelist():
            wheel.extract(name, tmp_path / "installed")
    run = partial(subprocess.run, cwd=tmp_path, env={"PYTHONPATH": "installed"}, timeout=60, check=True)
    place = run([sys.executable, "-c", "import crawler; print(crawler.__file__)"], capture_output=True, text=True)
    assert place.stdout.strip() == str(tmp_path / "installed" / "crawler" / "__init__.py")
    run([sys.executable, "-m", "crawler", str(ROOT / "examples" / "bookshop"), "-q"])
    assert _pages(tmp_path / "crawl.db") == 44


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["-py3-none-any.whl", ".tar.gz"])
def test_it_installs_into_a_clean_environment_and_runs_there(built: Path, tmp_path: Path, kind: str) -> None:
    """From the package registry, as a user does; the types are seen from there as well."""
    subprocess.run([sys.executable, "-m", "venv", "clean"], cwd=tmp_path, check=True)
    programs = tmp_path / "clean" / "bin"
    subprocess.run([programs / "pip", "install", "-q", built / f"{NAME}{kind}"], cwd=tmp_path, check=True)
    version = subprocess.run([programs / "poolcrawl", "--version"], cwd=tmp_path, capture_output=True, check=True)
    assert version.stdout.decode() == f"poolcrawl {crawler.__version__}\n"
    subprocess.run([programs / "poolcrawl", ROOT / "examples" / "bookshop", "-q"], cwd=tmp_path, check=True)
    assert _pages(tmp_path / "crawl.db") == 44
    shutil.copy(ROOT / "tests" / "typed_api.py", tmp_path)
    types = [sys.executable, "-m", "mypy", "--strict", "--python-executable", programs / "python", "typed_api.py"]
    subprocess.run([str(word) for word in types], cwd=tmp_path, check=True)


def test_every_public_name_is_there_and_typed() -> None:
    assert sorted(crawler.__all__) == crawler.__all__
    for name in crawler.__all__:
        assert getattr(crawler, name) is not None
    tree = ast.parse((ROOT / "tests" / "typed_api.py").read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(crawler.__all__) <= used  # mypy --strict looks at how


def test_the_readme_names_the_pythons_that_the_metadata_does() -> None:
    classified = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={classified[0]}"
    assert f"Python {classified[0]} or newer" in (ROOT / "README.md").read_text()


def test_the_image_is_given_all_that_the_wheel_is_made_of(built: Path, tmp_path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    given = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert given == {"crawler", "pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]}
    for name in given:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    build = "import sys; from hatchling import build as b; b.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, "dist"], cwd=tmp_path, check=True, capture_output=True)
    with (
        zipfile.ZipFile(tmp_path / "dist" / f"{NAME}-py3-none-any.whl") as from_these,
        zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as from_all,
    ):
        assert set(from_these.namelist()) == set(from_all.namelist())


def test_the_image_runs_the_crawler_itself_as_an_ordinary_user() -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    last_stage = recipe.rpartition("\nFROM ")[2].splitlines()
    assert 'ENTRYPOINT ["poolcrawl"]' in last_stage  # in exec form: signals reach the crawler
    assert [line for line in last_stage if line.startswith("USER")] == ["USER 10001"]


def _pages(ledger: Path) -> int:
    connection = sqlite3.connect(ledger)
    try:
        return int(connection.execute("SELECT count(*) FROM pages").fetchone()[0])
    finally:
        connection.close()
