"""Which bodies are kept (`types`, `accept`, `reject`), and which URLs are not even asked because of it.

A content type decides when the headers are there: it is the truth. A name decides before anything is asked, but only
one that is no page's: a name without a suffix that we know, `.html`, `.php` and the like may be a page, whose links are
wanted, kept or not. So `/wiki/File:Cat.jpg`, a page, is lost by `reject = ["jpg"]`, as it is with wget, and not by
`reject = ["image/*"]`. Pure; runs in workers and consumers.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote

from crawler.config import Config
from crawler.errors import UsageError
from crawler.rules.filenames import HTML_SUFFIXES, file_name, suffix_of
from crawler.text import did_you_mean

#: what may be said in the place of content types
SHORT_NAMES: Final = {
    name: tuple(types.split())
    for name, types in {
        "html": "text/html application/xhtml+xml",
        "css": "text/css",
        "js": "text/javascript application/javascript application/x-javascript application/ecmascript",
        "json": "application/json */*+json",
        "xml": "application/xml text/xml application/rss+xml application/atom+xml",
        "text": "text/plain text/markdown text/csv",
        "pdf": "application/pdf",
        "images": "image/*",
        "audio": "audio/* application/ogg",
        "video": "video/*",
        "fonts": "font/* application/font-* application/x-font-* application/vnd.ms-fontobject",
        "documents": "application/pdf application/msword application/rtf application/epub+zip application/postscript "
        "application/vnd.ms-* application/vnd.oasis.* application/vnd.openxmlformats-*",
        "archives": "application/zip application/gzip application/zstd application/x-*zip* application/x-tar "
        "application/x-7z-compressed application/x-xz application/x-rar* application/vnd.rar",
    }.items()
}
_TYPE: Final = re.compile(r"[\w!#$&^.+*?-]+/[\w!#$&^.+*?\[\]-]+", re.ASCII)
_Matches = Callable[[str], object]


class Selection(NamedTuple):
    """The rule of a crawl."""

    types: _Matches | None  # None: any
    accepted_types: _Matches | None  # None: there are no such patterns
    accepted_names: _Matches | None
    rejected_types: _Matches | None
    rejected_names: _Matches | None

    @classmethod
    def of(cls, config: Config) -> Selection:
        """Return the rule of a config.

        Raises:
            UsageError: names the key and what it does not understand.
        """
        accepted = _split("accept", config.accept)
        rejected = _split("reject", config.reject)
        return cls(_compile(_read_types(config.types)), *map(_compile, accepted), *map(_compile, rejected))

    def refuses(self, url: str) -> bool:
        """Return whether a URL (normal form) need not be asked: by its name it is no page, and would not be kept."""
        name = _name_in(url)
        suffix = suffix_of(name)
        if not suffix or suffix in HTML_SUFFIXES:
            return False
        if self.rejected_names is not None and self.rejected_names(name):
            return True
        accepts = self.accepted_names
        return accepts is not None and self.accepted_types is None and not accepts(name)

    def keeps(self, url: str, kind: str) -> bool:
        """Return whether the body of a URL is kept, by its content type (in lower case, without parameters)."""
        if (self.types is not None and not self.types(kind)) or _matches(self.rejected_types, kind):
            return False
        is_accepted = _matches(self.accepted_types, kind) or (
            self.accepted_types is None and self.accepted_names is None
        )
        if self.accepted_names is None and self.rejected_names is None:
            return is_accepted
        names = (_name_in(url), file_name(url, kind).rpartition("/")[2].lower())
        if any(_matches(self.rejected_names, name) for name in names):
            return False
        return is_accepted or any(_matches(self.accepted_names, name) for name in names)

    def wanted(self, url: str, others: Sequence[str]) -> Container[str]:
        """Return the content types of which a URL's body is read: those that are kept, and these others."""
        return _Wanted(self, url, others)


class _Wanted:
    """The content types that are read of a URL: what `in` asks for."""

    def __init__(self, selection: Selection, url: str, others: Sequence[str]) -> None:
        self._selection, self._url, self._others = selection, url, others

    def __contains__(self, kind: object) -> bool:
        return kind in self._others or self._selection.keeps(self._url, str(kind))


def _matches(matches: _Matches | None, text: str) -> bool:
    return matches is not None and bool(matches(text))


def _name_in(url: str) -> str:
    """Return the name of the file that a URL seems to be, in lower case; of a folder, that of its page."""
    path = url[8:].partition("?")[0]
    return unquote(path.rpartition("/")[2]).lower() or "index.html"


def _read_types(types: Iterable[str]) -> list[str]:
    found: list[str] = []
    for text in types:
        name = text.strip().lower()
        if _TYPE.fullmatch(name):
            found.append(name)
        elif name in SHORT_NAMES:
            found += SHORT_NAMES[name]
        else:
            raise UsageError(
                f"types: expected a content type, such as application/pdf or image/*, or one of "
                f"{', '.join(SHORT_NAMES)}, not {text!r}{did_you_mean(name, SHORT_NAMES)}"
            )
    return found


def _split(key: str, patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return content types, and patterns of names, as wget has them: "pdf", ".pdf", "*.pdf", "report-[0-9]*"."""
    types, names = [], []
    for text in patterns:
        pattern = text.strip().lower()
        if not pattern or (not _TYPE.fullmatch(pattern) and "/" in pattern):
            raise UsageError(
                f"{key}: expected a suffix such as pdf, a pattern of names such as 'report-*.pdf', or a content type "
                f"such as image/*, not {text!r}"
            )
        if "/" in pattern:
            types.append(pattern)
        elif re.search(r"[*?\[]", pattern):
            names.append(pattern)
        else:
            names.append(f"*.{pattern.removeprefix('.')}")
    return types, names


def _compile(patterns: Sequence[str]) -> _Matches | None:
    if not patterns:
        return None
    return re.compile("|".join(map(fnmatch.translate, patterns)), re.DOTALL).fullmatch
