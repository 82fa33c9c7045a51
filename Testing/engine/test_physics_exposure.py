"""Inverse square, obliquity, fluence and air kerma at any distance."""

import numpy as np
import pytest

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.exposure import air_kerma_at, fluence_at, open_field, plane_coordinates
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum


def panel(sid=1000.0, shift=(0.0, 0.0), step=10.0):
    """30 x 30 cm whose outermost pixel centres are its corners and edges."""
    n = round(300 / step) + 1
    corner = np.array([-150.0 + shift[0], -150.0 + shift[1], 0.0])
    return ConeBeam(np.array([0, 0, -sid]), corner, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (step, step), (n, n))


def test_fall_off_towards_corner_and_edge():
    field = open_field(panel())
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert field[corner] / field[15, 15] == pytest.approx(0.9361, abs=1e-3)
    for edge in ((0, 15), (15, 0), (-1, 15), (15, -1)):
        assert field[edge] / field[15, 15] == pytest.approx(0.9672, abs=1e-3)


def test_distance():
    assert open_field(panel(1500.0))[15, 15] / open_field(panel())[15, 15] == pytest.approx(0.4444, abs=1e-4)


@pytest.mark.parametrize("sid", [400.0, 1000.0])
def test_a_panel_catches_its_solid_angle(sid):
    """A square of half width a at a distance d fills 4 asin(a^2 / (a^2 + d^2)) steradian."""
    a = 151.0  # the pixels of 2 mm reach 1 mm further than their centres
    photons = open_field(panel(sid, step=2.0)).sum() * 2.0**2
    assert photons / 1000.0**2 == pytest.approx(4 * np.arcsin(a**2 / (a**2 + sid**2)), rel=1e-4)


def test_fluence_and_kerma_at_any_distance():
    spectrum = tube_spectrum(80, {"Al": 3.0})
    # spekpy: 1.38e8 photons/(cm2 mAs) and 70.2 uGy/mAs at 1 m
    assert fluence_at(spectrum, 1.0, 1000.0) == pytest.approx(1.38e6, rel=1e-2)
    assert air_kerma_at(spectrum, 1.0, 1000.0) == pytest.approx(70.2, rel=1.2e-2)
    for quantity in (fluence_at, air_kerma_at):
        once = quantity(spectrum, 1.0, 1000.0)
        assert quantity(spectrum, 2.0, 1000.0) / once == pytest.approx(2.0, rel=1e-12)
        assert quantity(spectrum, 1.0, 1500.0) / once == pytest.approx(4 / 9, rel=1e-12)
        assert quantity(spectrum, 3.0, 500.0) / once == pytest.approx(12.0, rel=1e-12)


def test_plane_coordinates_start_below_the_source():
    across, down = plane_coordinates(panel(shift=(30.0, -20.0)))
    assert across[0] == -120 and across[-1] == 180 and down[0] == -170 and down[-1] == 130
