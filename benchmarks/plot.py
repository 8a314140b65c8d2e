"""Bar charts as SVG, written by hand: a row for each contender, a column for each number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_MARGIN, _LABEL, _COLUMN, _BAR, _VALUE = 24, 176, 220, 140, 60  # widths
_TOP, _LINE, _THICK = 104, 30, 18  # heights
_OURS, _PEER, _INK, _FAINT, _CARD, _EDGE = "#2563eb", "#94a3b8", "#1e293b", "#64748b", "#ffffff", "#cbd5e1"


@dataclass(frozen=True, slots=True)
class Column:
    """One chart: a number of every contender."""

    title: str
    remark: str
    values: Sequence[float]
    digits: int  # after the point


def draw(title: str, subtitle: str, labels: Sequence[str], ours: Sequence[bool], columns: Sequence[Column]) -> str:
    """Return an SVG card; it is white, so that it reads on any background."""
    width = 2 * _MARGIN + _LABEL + _COLUMN * len(columns)
    height = _TOP + _LINE * len(labels) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="system-ui, sans-serif" font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="{_CARD}" stroke="{_EDGE}"/>',
        _text(_MARGIN, 32, title, size=16, weight=600),
        _text(_MARGIN, 50, subtitle, color=_FAINT, size=11),
    ]
    for number, (label, is_ours) in enumerate(zip(labels, ours, strict=True)):
        parts.append(_text(_MARGIN, _middle(number) + 4, label, weight=600 if is_ours else 400))
    for place, column in enumerate(columns):
        parts += _chart(_MARGIN + _LABEL + place * _COLUMN, column, ours)
    return "\n".join([*parts, "</svg>", ""])


def _chart(left: int, column: Column, ours: Sequence[bool]) -> list[str]:
    parts = [_text(left, 76, column.title, weight=600), _text(left, 92, column.remark, color=_FAINT, size=11)]
    most = max(column.values, default=0.0) or 1.0
    for number, (value, is_ours) in enumerate(zip(column.values, ours, strict=True)):
        length = max(value / most * _BAR, 1.0)
        color = _OURS if is_ours else _PEER
        top = _middle(number) - _THICK / 2
        parts.append(f'<rect x="{left}" y="{top}" width="{length:.1f}" height="{_THICK}" rx="2" fill="{color}"/>')
        parts.append(_text(round(left + length + 6), _middle(number) + 4, f"{value:,.{column.digits}f}", size=12))
    return parts


def _middle(number: int) -> int:
    return _TOP + _LINE * number + _LINE // 2


def _text(x: int, y: int, text: str, *, color: str = _INK, size: int = 13, weight: int = 400) -> str:
    return f'<text x="{x}" y="{y}" fill="{color}" font-size="{size}" font-weight="{weight}">{escape(text)}</text>'
