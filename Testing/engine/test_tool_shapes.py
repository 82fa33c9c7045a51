"""Parametric tools: closed, of the volume and the reach that their numbers say, and strict about those numbers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.tool_shapes import (
    GAUGES,
    SHAPES,
    CannulatedScrew,
    KWire,
    Needle,
    shape_from_dict,
    shape_to_dict,
)
from DeepDRRSlicerLib.projection.tools import Tool


def volume(vertices, faces):
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.einsum("fa,fa->f", a, np.cross(b, c)).sum() / 6


@pytest.mark.parametrize(
    "shape",
    [KWire(), CannulatedScrew(), CannulatedScrew(cannula=0.0), CannulatedScrew(thread=80.0), Needle(), Needle(8)],
)
def test_the_surface_is_closed_and_points_outwards(shape):
    vertices, faces = shape.mesh()
    tool = Tool("tool", vertices, faces, shape.material)  # which raises for an open one, and turns one inside out
    assert volume(vertices, faces) > 0
    assert volume(tool.vertices, tool.faces) == pytest.approx(volume(vertices, faces), rel=1e-9)
    assert vertices[:, 2].max() == pytest.approx(0, abs=1e-9)  # the tip


def test_a_wire_has_the_volume_of_a_cylinder_with_a_trocar_point():
    """Of the point: a facet at 15 degrees cuts a pyramid; integrated over its cross-sections, independently."""
    wire = KWire(diameter=2.0, length=100.0, tip_angle=15.0)
    angle = np.linspace(0, 2 * np.pi, 20001)[:-1]
    slope = np.tan(np.deg2rad(15.0)) / np.max([np.cos(angle - k * 2 * np.pi / 3) for k in range(3)], axis=0)
    depth = (np.arange(200000) + 0.5) * 1e-4  # 20 mm from the tip
    profile = [0.5 * np.mean(np.minimum(1.0, slope[::200] * z) ** 2) * 2 * np.pi for z in depth[::200]]
    expected = np.sum(profile) * 0.02 + np.pi * (100.0 - 20.0)
    assert volume(*wire.mesh()) == pytest.approx(expected, rel=2e-3)
    at = wire.mesh()[0][:, 2]
    assert at.min() == -100.0


def test_a_needle_is_hollow_and_its_bevel_is_a_plane():
    needle = Needle(gauge=18, length=150.0, bevel=20.0)
    outer, inner = 1.270, 0.838  # mm, Stubs' 18 gauge
    assert GAUGES[18] == (outer, inner)
    cut = outer / 2 / np.tan(np.deg2rad(20.0))  # the mean length that the bevel takes away
    expected = np.pi / 4 * (outer**2 - inner**2) * (150.0 - cut)
    assert volume(*needle.mesh()) == pytest.approx(expected, rel=2e-3)
    vertices = needle.mesh()[0]
    front = vertices[vertices[:, 2] > -10]
    normal = np.array([np.cos(np.deg2rad(20.0)), 0.0, np.sin(np.deg2rad(20.0))])
    assert np.ptp(front @ normal) < 1e-9


def test_the_thread_is_a_right_handed_helix_of_its_pitch():
    screw = CannulatedScrew(diameter=7.3, length=80.0, core=4.8, pitch=2.75, thread=32.0)
    vertices = screw.mesh()[0]
    radius = np.hypot(vertices[:, 0], vertices[:, 1])
    crest = vertices[(radius > 3.6) & (vertices[:, 2] < -6) & (vertices[:, 2] > -26)]
    turn = np.arctan2(crest[:, 1], crest[:, 0]) / (2 * np.pi)
    # A right-handed helix rises with the angle: z - pitch * turn is the same modulo the pitch for all crests.
    rest = (crest[:, 2] - 2.75 * turn) / 2.75 % 1.0
    assert np.abs(np.exp(2j * np.pi * rest).mean()) > 0.7
    wrong = (crest[:, 2] + 2.75 * turn) / 2.75 % 1.0
    assert np.abs(np.exp(2j * np.pi * wrong).mean()) < 0.3
    assert radius.max() == pytest.approx(4.0, rel=5e-3)  # the head
    assert np.isclose(radius[vertices[:, 2] == 0].min(), 1.45, rtol=5e-3)  # the bore at the tip


def test_a_shape_goes_through_json():
    for made in SHAPES.values():
        shape = made()
        assert shape_from_dict(json.loads(json.dumps(shape_to_dict(shape)))) == shape
    assert shape_from_dict({"kind": "k-wire", "diameter": 1.6}) == KWire(diameter=1.6)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: KWire(diameter=0.0), "diameter"),
        (lambda: KWire(diameter=float("nan")), "diameter"),
        (lambda: KWire(diameter=True), "diameter"),
        (lambda: KWire(diameter=10.0, length=10.0, tip_angle=5.0), "shorter than its point"),
        (lambda: CannulatedScrew(core=8.0), "thicker than its thread"),
        (lambda: CannulatedScrew(cannula=4.8), "leaves no wall"),
        (lambda: CannulatedScrew(thread=90.0), "longer than the screw"),
        (lambda: Needle(gauge=9), "9 gauge"),
        (lambda: shape_from_dict({"kind": "hammer"}), "hammer"),
        (lambda: shape_from_dict({"kind": "needle", "width": 3}), "width"),
        (lambda: shape_from_dict([]), "kind"),
    ],
)
def test_impossible_numbers_are_named_in_a_sentence(wrong, says):
    with pytest.raises(InputError, match=says) as caught:
        wrong()
    assert str(caught.value).count(". ") == 0 and str(caught.value).endswith(".")


@settings(max_examples=60, deadline=None)
@given(
    st.floats(1, 20), st.floats(5, 300), st.floats(0.8, 20), st.floats(0.8, 10), st.floats(1, 40), st.floats(0, 15),
    st.floats(1, 30),
)  # fmt: skip
def test_whatever_screw_is_accepted_is_closed(diameter, length, core, pitch, thread, cannula, head):
    try:
        screw = CannulatedScrew(diameter, length, core, pitch, thread, cannula, head)
    except InputError:
        return
    tool = Tool("screw", *screw.mesh(), "titanium")
    assert volume(tool.vertices, tool.faces) > 0
