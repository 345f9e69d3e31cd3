# SPDX-License-Identifier: Apache-2.0
"""hoplab.web.geometry and hoplab.web.tiers: a fabric of switches fits on a screen, in tiers."""

from __future__ import annotations

from itertools import combinations

import pytest

from hoplab.follow.wiring import Wiring
from hoplab.report.layout import neighbours_of
from hoplab.web.geometry import LEVELS, Map, draw_map
from hoplab.web.tiers import fabric_of
from tests.unit.fabrics import fat_tree, lab, leaves_and_spines

# Units of the map in which text is as large as it must be, in the player's map area: at 1280 by
# 800 pixels 11 of them a line of text of 13 units, at 1920 by 1080 14.
SMALL, LARGE = (824 * 13 / 11, 500 * 13 / 11), (1240 * 13 / 14, 760 * 13 / 14)


def drawn(cables: list[tuple[str, str]], level: int = 0) -> Map:
    return draw_map(Wiring.from_dict(lab(cables)), "h1", level, controller=True)


def covering(made: Map) -> list[tuple[str, str]]:
    """Pairs of boxes that lie on each other."""
    return [
        (a.node, b.node) for a, b in combinations(made.boxes.values(), 2)
        if abs(a.x - b.x) < (a.width + b.width) / 2 and abs(a.y - b.y) < (a.height + b.height) / 2
    ]  # fmt: skip


@pytest.mark.parametrize(
    "cables",
    [fat_tree(4), leaves_and_spines(4, 2, 3), leaves_and_spines(8, 4, 2)],
    ids=["fat-tree-4", "leaves-4", "leaves-8"],
)
def test_a_fabric_fits_on_a_screen(cables: list[tuple[str, str]]) -> None:
    made = drawn(cables)
    for width, height in (SMALL, LARGE):
        assert (made.width <= width, made.height <= height) == (True, True)
    assert covering(made) == []
    assert len(made.cables) == len(cables)
    for level in range(1, LEVELS):
        assert covering(drawn(cables, level)) == []


def test_a_larger_fabric_folds_its_details() -> None:
    """45 switches and 54 hosts: names alone, hosts below each other, and still in order."""
    made = drawn(fat_tree(6))
    assert covering(made) == []
    assert all(box.plain for box in made.boxes.values() if box.kind == "switch")
    assert made.width < 1300


def test_the_tiers_of_a_fat_tree_and_its_pods() -> None:
    wiring = Wiring.from_dict(lab(fat_tree(4)))
    fabric = fabric_of(wiring, set(wiring.nodes), neighbours_of(wiring))
    assert fabric is not None
    assert [{name[0] for name in tier} for tier in fabric.tiers] == [{"e"}, {"a"}, {"c"}]
    for tier in fabric.tiers[:2]:
        pods = [name[1] for name in tier]
        assert pods == sorted(pods), "those of a pod stand together"
    made = drawn(fat_tree(4))
    rows = {kind: {made.boxes[n].y for n in made.boxes if n[0] == kind} for kind in "ceah"}
    assert all(len(row) == 1 for row in rows.values()), "each tier is a row"
    (core,), (aggregation,), (edge,), (hosts,) = (rows[kind] for kind in "caeh")
    assert core < aggregation < edge < hosts
    for cable in made.cables:
        assert cable.curve[0] == cable.curve[2], "a cable leaves a box upwards or downwards"


@pytest.mark.parametrize(
    "cables",
    [
        [("h1", "s1"), ("h2", "s1"), ("s1", "r1"), ("r1", "s2"), ("h3", "s2")],
        [("h1", "s1"), ("h2", "s2"), ("h3", "s3"), ("s1", "s2"), ("s2", "s3"), ("s3", "s1")],
        [("h1", "s1"), ("h1", "s2"), *leaves_and_spines(2, 3, 1)[:6], ("s1", "s2")],
    ],
    ids=["a chain", "a ring", "a host with two cables"],
)
def test_what_is_no_fabric_is_drawn_as_a_tree(cables: list[tuple[str, str]]) -> None:
    wiring = Wiring.from_dict(lab(cables))
    assert fabric_of(wiring, set(wiring.nodes), neighbours_of(wiring)) is None
    assert not drawn(cables).upright
