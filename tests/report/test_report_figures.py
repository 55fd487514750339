import re
import xml.etree.ElementTree as ET

import pytest
from report_sample import fidelity, plan

from crossloss.report.figures import fidelity_panel, overview, removal_curve

CURVE = (list(range(1001)), [1.5 - i / 400 for i in range(1001)], [(100, 1.2), (300, 0.6), (500, 0.4)])


def dots(svg: str) -> list[tuple[float, float]]:
    """Places of the markers drawn inside the axes: the only ones that are clipped to it."""
    return [
        (float(use.get("x")), float(use.get("y")))
        for group in ET.fromstring(svg).iter("g")
        if "clip-path" in group.attrib
        for use in group.iter("use")
    ]


def test_retrained_points_stand_where_their_numbers_say():
    (x0, y0), (x1, y1), (x2, y2) = dots(removal_curve(CURVE, 0.0, "f", "label"))
    assert (x2 - x0) / (x1 - x0) == pytest.approx(400 / 200)
    # Up is less in SVG: 1.2, 0.6, 0.4.
    assert (y2 - y0) / (y1 - y0) == pytest.approx(0.8 / 0.6)
    assert y1 > y0


def test_curve_is_shown_up_to_half_as_far_again_as_the_target():
    drawn = removal_curve(CURVE, 0.0, "f", "label")
    ticks = [int(t.replace(",", "")) for t in re.findall(r">([\d,]+)</text>", drawn)]
    assert max(ticks) in range(750, 1000)  # Crossing at 600, so 900 is the end; a tick stands at or before it.
    whole = removal_curve((*CURVE[:2], []), -5.0, "f", "label")
    assert "1,000</text>" in whole


def test_every_subset_is_a_point_and_only_unrolled_has_the_line_of_equality():
    row = fidelity("unrolled", 0.9, 1.0)
    drawn = fidelity_panel(row, "label")
    places = dots(drawn)
    assert len(places) == 30
    order = sorted(range(30), key=lambda i: places[i][0])
    assert order == sorted(range(30), key=lambda i: row.predicted[i])
    assert ">equal</text>" in drawn
    assert ">equal</text>" not in fidelity_panel(fidelity("gradient-dot", 0.9, 1.0), "label")


def test_same_numbers_same_bytes_and_no_trace_of_day_or_place():
    drawn = removal_curve(CURVE, 0.0, "f", "label")
    assert drawn == removal_curve(CURVE, 0.0, "f", "label")
    assert not re.search(r"http|<style|metadata|xlink|<\?xml|DOCTYPE|20\d\d-", drawn)


def test_ids_are_unique_between_figures_and_every_reference_has_one():
    both = removal_curve(CURVE, 0.0, "f", "a", "one") + removal_curve(CURVE, 0.0, "f", "b", "two")
    ids = re.findall(r' id="([^"]+)"', both)
    assert ids
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', both)) == set(ids)


def test_the_axis_names_what_was_removed():
    assert ">images removed</text>" in removal_curve(CURVE, 0.0, "f", "label", noun="image")


def test_hostile_names_are_text():
    name = "$\\frac{$ <script>&\"'\x00\ud800 $x_1$"
    drawn = fidelity_panel(fidelity(name, 0.5, 1.0), name)
    root = ET.fromstring(drawn)
    shown = "$\\frac{$ <script>&\"'\ufffd\ufffd $x_1$"
    assert root.get("aria-label") == shown
    assert root.get("role") == "img"
    assert shown in ["".join(t.itertext()) for t in root.iter("text")]


def test_a_curve_of_one_point_and_a_flat_one_can_be_drawn():
    ET.fromstring(removal_curve(([0], [0.0], []), 0.0, "f", "label"))
    ET.fromstring(removal_curve(([0, 1], [1.0, 1.0], [(0, 1.0)]), 0.0, "f", "label"))


def test_the_overview_has_a_row_of_marks_where_the_numbers_say():
    values = {"first": 2.0, "second": -1.0}
    drawn = overview(values, {"first": plan("first", 2.0, predicted=0.0)}, {"first": 0.5}, "label")
    places = dots(drawn)  # Now, both rows; predicted; retrained.
    assert len(places) == 4
    (now, y), (second, below), (predicted, _), (retrained, _) = places
    assert (retrained - predicted) / (now - predicted) == pytest.approx(0.25)
    assert (second - predicted) / (now - predicted) == pytest.approx(-0.5)
    assert below > y
    bare = overview(values, {}, {}, "label")
    assert len(dots(bare)) == 2
    assert ">retrained</text>" not in bare
