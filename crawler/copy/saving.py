"""The copy: the folder that bodies are saved in, each file whole or not there, and nothing outside it.

    worker   write(path, body) ─► .poolcrawl-<ledger>/<number> ── rename ─► host/path

A file is written under another name, on the same disk, and moved into place before its page is told to the ledger: so
whatever is killed, a page that is done has its file, whole. What a killed process leaves is in the scratch folder,
which the next run on the ledger empties. Names inside are walked down folder by folder, by file descriptors that follow
no symbolic link; only the copy's own path may be one. Runs in workers, and in the coordinator at both ends of a run.
Must not know the ledger, nor any transport.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import stat
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from crawler.config import Config
from crawler.errors import SavingError, UsageError
from crawler.model import Answer, PageRow
from crawler.rules import mime
from crawler.rules.filenames import file_name
from crawler.rules.selection import Selection

_NO_CONTENT: Final = (204, 205)

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ADVICE: Final = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in the quota",
    errno.EACCES: "see to the permissions",
    errno.EPERM: "see to the permissions",
    errno.EROFS: "name another folder with --save",
    errno.EISDIR: "move that folder away",
    errno.ENAMETOOLONG: "name a folder with a shorter path with --save",
}


class CopySetup(NamedTuple):
    """What a process needs to know of the copy; plain data."""

    root: str  # an absolute path
    scratch: str  # the name of the folder inside it for what is not whole yet
    folds_case: bool  # the file system takes names that differ by capitals alone for the same
    syncs: bool  # each file survives the loss of power


class Copy:
    """A copy that is written to and read from. For one thread."""

    def __init__(self, setup: CopySetup, name: str) -> None:
        """Open a copy.

        Args:
            name: this process's, among all that ever write in this run.

        Raises:
            SavingError: it cannot be opened.
        """
        self.setup = setup
        # Names are UTF-8, whatever the locale says of file names.
        self._numbers = (f"{name}-{number}".encode() for number in itertools.count())
        self._root = Path(setup.root)
        self._folder = b""  # the last one that was entered
        self._folder_fd = self._root_fd = self._scratch_fd = -1
        try:
            with self._errors(""):
                self._root_fd = os.open(setup.root, _FOLDER & ~os.O_NOFOLLOW)
                self._scratch_fd = os.open(setup.scratch, _FOLDER, dir_fd=self._root_fd)
        except SavingError:
            self.close()
            raise

    def write(self, path: str, body: bytes) -> None:
        """Put a body in the place of a file, in one step.

        Args:
            path: relative, with "/" between its segments, as `filenames` makes it.

        Raises:
            SavingError: it cannot be written; what was there before still is.
        """
        folder, _, name = path.encode().rpartition(b"/")
        with self._errors(path):
            folder_fd = self._enter(folder)
            self._put(folder_fd, name, body)
            if self.setup.syncs:
                os.fsync(folder_fd)

    def read(self, path: str) -> bytes | None:
        """Return what is in a file, None if there is none of that name, or a symbolic link.

        Raises:
            SavingError: it cannot be read.
        """
        folder, _, name = path.encode().rpartition(b"/")
        with self._errors(path):
            try:
                folder_fd = self._enter(folder, make=False)
                if stat.S_ISLNK(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
                    return None
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
            except FileNotFoundError:
                return None
            with open(fd, "rb") as file:  # noqa: PTH123  (by its descriptor)
                return file.read()

    def has(self, path: str) -> bool:
        """Return whether there is a file of that name."""
        return os.path.isfile(os.fsencode(self.setup.root) + b"/" + path.encode())  # noqa: PTH113  (often asked)

    def close(self) -> None:
        """Close what is open."""
        for fd in (self._folder_fd, self._scratch_fd, self._root_fd):
            if fd >= 0:
                os.close(fd)
        self._folder, self._folder_fd = b"", -1
        self._scratch_fd = self._root_fd = -1

    def _put(self, folder_fd: int, name: bytes, body: bytes) -> None:
        """Write a body under a number, and move it into its place in a folder."""
        number = next(self._numbers)
        try:
            fd = os.open(number, _NEW, 0o666, dir_fd=self._scratch_fd)
            with open(fd, "wb", buffering=0) as file:  # noqa: PTH123  (by its descriptor)
                _write_all(file.fileno(), body)
                if self.setup.syncs:
                    os.fsync(file.fileno())
            os.replace(number, name, src_dir_fd=self._scratch_fd, dst_dir_fd=folder_fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(number, dir_fd=self._scratch_fd)
            raise

    def _enter(self, folder: bytes, *, make: bool = True) -> int:
        """Return the descriptor of a folder, which is made if it is not there."""
        if folder == self._folder and self._folder_fd >= 0:
            return self._folder_fd
        fd = os.dup(self._root_fd)
        try:
            for segment in folder.split(b"/"):
                above, fd = fd, -1
                try:
                    fd = self._step(above, segment, make=make)
                finally:
                    os.close(above)
        except BaseException:
            if fd >= 0:
                os.close(fd)
            raise
        self._forget_folder()
        self._folder, self._folder_fd = folder, fd
        return fd

    def _step(self, above: int, segment: bytes, *, make: bool) -> int:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(segment, dir_fd=above)
                if self.setup.syncs:
                    os.fsync(above)
        return os.open(segment, _FOLDER, dir_fd=above)

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._forget_folder()  # it may be that somebody removed it
            raise _explained(self._root, path, error) from error

    def _forget_folder(self) -> None:
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
        self._folder, self._folder_fd = b"", -1


class Keeper:
    """Saves the bodies that a crawl keeps: a worker's part in it."""

    def __init__(self, setup: CopySetup, config: Config, name: str) -> None:
        """Open the copy; `name` as for `Copy`."""
        self._copy = Copy(setup, name)
        self._selection = Selection.of(config)

    def types(self, url: str, others: Sequence[str]) -> Container[str]:
        """Return the content types of which a URL's body is read: those that are kept, and these others."""
        return self._selection.wanted(url, others)

    def keep(self, url: str, answer: Answer, page: PageRow) -> None:
        """Save the body of an answer of status 2xx, if it is kept, and note its file in the page's row.

        Raises:
            SavingError: it cannot be written.
        """
        if answer.body is None or not 200 <= answer.status < 300 or answer.status in _NO_CONTENT:
            return
        kind = mime.essence(answer.header("content-type"))
        if not kind and mime.is_html("", answer.body):
            kind = "text/html"
        if self._selection.keeps(url, kind):
            path = file_name(url, kind, folds_case=self._copy.setup.folds_case)
            self._copy.write(path, answer.body)
            page.file = path

    def close(self) -> None:
        """Close the copy."""
        self._copy.close()


def check(config: Config) -> None:
    """Refuse options of saving that make no sense, without touching anything.

    Raises:
        UsageError: names the option, what was expected and what to do.
    """
    if not config.save:
        for key, what in (
            ("types", "which bodies to save"),
            ("accept", "which bodies to save"),
            ("reject", "which bodies not to save"),
        ):
            if getattr(config, key):
                raise UsageError(
                    f"{key} says {what}: name the folder to save them in (--save), or choose what is asked "
                    "with include and exclude"
                )
        if config.convert_links:
            raise UsageError("convert_links is about saved pages: name the folder to save them in (--save)")
        return
    Selection.of(config)
    root = Path(config.save)
    if root.exists() and not root.is_dir():
        raise UsageError(f"save = {config.save!r} is a file: expected a folder, or a name that is still free")


def prepare(root: Path, ledger_key: bytes, *, syncs: bool) -> CopySetup:
    """Make the folder of a copy, empty its scratch folder, and see what its file system is like.

    Args:
        ledger_key: tells the scratch folders of several ledgers apart. The caller holds the ledger's lock.

    Raises:
        SavingError: it cannot be written.
    """
    name = f".poolcrawl-{ledger_key[:4].hex()}"
    scratch = root / name
    try:
        scratch.parent.mkdir(parents=True, exist_ok=True)
        if scratch.exists():
            shutil.rmtree(scratch)
        scratch.mkdir()
        probe = scratch / "Probe"
        probe.touch()
        folds_case = (scratch / "pROBE").exists()
        probe.unlink()
    except OSError as error:
        raise _explained(root, name, error) from error
    return CopySetup(str(root), name, folds_case, syncs)


def tidy(setup: CopySetup) -> None:
    """Remove the scratch folder; whoever still writes there has been killed."""
    shutil.rmtree(Path(setup.root, setup.scratch), ignore_errors=True)


def _write_all(fd: int, body: bytes) -> None:
    view = memoryview(body)
    while view:
        view = view[os.write(fd, view) :]


def _explained(root: Path, path: str, error: OSError) -> SavingError:
    """Say what the system said, of which file, and what to do."""
    advice = _ADVICE.get(error.errno or 0, "see to the cause")
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        parts = [Path(root, *path.split("/")[:count]) for count in range(1, path.count("/") + 1)]
        for part in parts:
            if part.is_symlink() or part.is_file():
                what = "a symbolic link, through which nothing is saved" if part.is_symlink() else "no folder"
                return SavingError(
                    f"cannot save {root / path}: {part} is {what}; move it away; the same command then continues"
                )
    return SavingError(f"cannot save {root / path}: {error.strerror}; {advice}; the same command then continues")
