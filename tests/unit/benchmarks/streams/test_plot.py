from xml.etree import ElementTree as ET

from benchmarks.streams.plot import svg, text

SERIES = {"a < b": [(100.0, 1.0), (1000.0, 3.0)], "c": [(100.0, 0.5)]}


def test_svg_draws_a_line_for_each_series_within_its_box() -> None:
    document = svg(SERIES, title="Cost & more", x="streams", y="ms")
    root = ET.fromstring(document)
    words = [one.text for one in root.iter() if one.tag.endswith("}text")]
    assert {"Cost & more", "streams", "ms", "a < b", "c", "1000", "5"} <= set(words)
    lines = [one.attrib["points"] for one in root.iter() if one.tag.endswith("}polyline")]
    points = [tuple(map(float, point.split(","))) for line in lines for point in line.split()]
    assert len(points) == 3
    assert all(64 <= x <= 500 and 40 <= y <= 352 for x, y in points)


def test_text_draws_bars_in_proportion() -> None:
    lines = text(SERIES).splitlines()
    assert lines[0] == "a < b"
    assert lines[2].count("#") == 40
    assert (lines[1].count("#"), lines[4].count("#")) == (13, 7)
