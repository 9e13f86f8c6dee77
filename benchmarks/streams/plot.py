"""Plots of a figure over the number of streams: as an SVG file, and as text for the report."""

from collections.abc import Mapping, Sequence
from html import escape

Series = Mapping[str, Sequence[tuple[float, float]]]
"""Points of each line, by its name."""

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 220, 40, 48
_COLOURS = ("#0b6e99", "#c8553d", "#3d8361", "#7a4ba0", "#a0742a", "#555555")
_BAR = 40
_STEPS = (1, 2, 5, 10)


def svg(series: Series, *, title: str, x: str, y: str) -> str:
    """Return a plot as an SVG document; both axes begin at 0."""
    right = max(px for points in series.values() for px, _ in points)
    top = _ceiling(max(py for points in series.values() for _, py in points))
    middle, half = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + _HEIGHT - _BOTTOM) / 2
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>',
        _label(x, f'x="{middle:.0f}" y="{_HEIGHT - 10}"'),
        _label(y, f'transform="translate(16 {half:.0f}) rotate(-90)"'),
    ]
    parts += [_grid(top * part / 4, top) for part in range(5)]
    parts += [
        _label(f"{value:g}", f'x="{_x(value, right):.1f}" y="{_HEIGHT - _BOTTOM + 18}"')
        for value in sorted({px for points in series.values() for px, _ in points})
    ]
    parts += [
        _line(name, [(_x(a, right), _y(b, top)) for a, b in points], number)
        for number, (name, points) in enumerate(series.items())
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def text(series: Series) -> str:
    """Return a plot as bars of text, a line for each point."""
    top = max(py for points in series.values() for _, py in points)
    lines = []
    for name, points in series.items():
        lines.append(name)
        lines += [f"{px:8g}  {'#' * round(py / top * _BAR):{_BAR}}  {py:.2f}" for px, py in points]
    return "\n".join(lines)


def _label(words: str, place: str) -> str:
    return f'<text {place} text-anchor="middle">{escape(words)}</text>'


def _grid(value: float, top: float) -> str:
    height = _y(value, top)
    ends = f'x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}"'
    place = f'x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end"'
    return f'<line {ends} stroke="#ddd"/><text {place}>{value:g}</text>'


def _line(name: str, points: Sequence[tuple[float, float]], number: int) -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    dots = "".join(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3"/>' for px, py in points)
    legend = _TOP + 16 + 20 * number
    left = _WIDTH - _RIGHT + 16
    return (
        f'<g fill="{colour}"><polyline points="{path}" fill="none" stroke="{colour}" '
        f'stroke-width="2"/>{dots}<rect x="{left}" y="{legend - 9}" width="10" height="10"/>'
        f'<text x="{left + 16}" y="{legend}" fill="#222">{escape(name)}</text></g>'
    )


def _x(value: float, most: float) -> float:
    return _LEFT + value / most * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, most: float) -> float:
    return _HEIGHT - _BOTTOM - value / most * (_HEIGHT - _TOP - _BOTTOM)


def _ceiling(value: float) -> float:
    """Return a round number that is not below a positive value."""
    size = 1.0
    while size > value:
        size /= 10
    while size * 10 <= value:
        size *= 10
    return next(step * size for step in _STEPS if step * size >= value)
