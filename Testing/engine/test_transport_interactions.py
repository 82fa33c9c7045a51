"""One collision at a time: angles drawn against their distributions, cross-sections against closed forms."""

import numpy as np
import pytest

from DeepDRRSlicerLib.physics.materials import mass_attenuation
from DeepDRRSlicerLib.transport.cross_sections import cross_sections, energy_bins
from DeepDRRSlicerLib.transport.interactions import compton_cosine, compton_ratio, deflect, rayleigh_cosine
from DeepDRRSlicerLib.transport.random import begin, uniform

REST, RADIUS2, AVOGADRO = 510.99895, 7.9407877e-26, 6.02214076e23
EDGES = np.linspace(-1, 1, 21)


def stream(seed=1):
    numbers = np.empty(1, np.uint64)
    begin(numbers, seed, 0)
    return numbers


def chi_squared(drawn, density, edges):
    """Per degree of freedom, of drawn cosines against a density that need not be normalised."""
    fine = np.linspace(-1, 1, 20001)
    running = np.concatenate([[0], np.cumsum((density(fine[1:]) + density(fine[:-1])) / 2)])
    expected = np.diff(np.interp(edges, fine, running / running[-1])) * len(drawn)
    counts = np.histogram(drawn, edges)[0]
    used = expected > 20
    return (((counts - expected) ** 2 / expected)[used]).sum() / used.sum()


def klein_nishina(energy, cosine):
    """cm2 per steradian and electron."""
    ratio = 1 / (1 + energy / REST * (1 - cosine))
    return RADIUS2 / 2 * ratio**2 * (ratio + 1 / ratio - (1 - cosine**2))


def test_uniform_numbers():
    numbers = stream()
    drawn = np.array([uniform(numbers) for _ in range(100_000)])
    assert 0 <= drawn.min() < drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 4 * np.sqrt(1 / 12 / drawn.size)
    counts = np.histogram(drawn, np.linspace(0, 1, 51))[0]
    assert abs(((counts - 2000) ** 2 / 2000).sum() / 49 - 1) < 0.7
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.02


def test_histories_have_streams_of_their_own():
    first = np.empty((2000, 1), np.uint64)
    for history, numbers in enumerate(first):
        begin(numbers, 3, history)
    starts = np.array([uniform(numbers) for numbers in first])
    assert len(np.unique(starts)) == len(starts)
    assert abs(starts.mean() - 0.5) < 4 * np.sqrt(1 / 12 / starts.size)
    other = np.empty(1, np.uint64)
    begin(other, 4, 0)
    assert uniform(other) != starts[0]


@pytest.mark.parametrize("energy", [20.0, 60.0, 120.0])
@pytest.mark.parametrize("material", ["water", "bone"])
def test_compton_angles(material, energy):
    tables = cross_sections([material])
    numbers = stream()
    drawn = np.array(
        [compton_cosine(numbers, energy, tables.incoherent[0], tables.transfer[-1]) for _ in range(60_000)]
    )

    def density(cosine):
        transfer = energy / 12.398420 * np.sqrt(np.maximum(0, (1 - cosine) / 2))
        return klein_nishina(energy, cosine) * np.interp(transfer, tables.transfer, tables.incoherent[0])

    assert chi_squared(drawn, density, EDGES) < 2.2


@pytest.mark.parametrize("energy", [20.0, 60.0, 120.0])
def test_rayleigh_angles(energy):
    tables = cross_sections(["water"])
    numbers = stream()
    drawn = np.array([rayleigh_cosine(numbers, energy, tables.coherent[0], tables.transfer) for _ in range(60_000)])

    def density(cosine):
        squared = (energy / 12.398420) ** 2 * (1 - cosine) / 2
        slope = np.diff(tables.coherent[0]) / np.diff(tables.transfer**2)
        place = np.clip(np.searchsorted(tables.transfer**2, squared, side="right") - 1, 0, len(slope) - 1)
        return slope[place] * (1 + cosine**2)

    edges = 1 - 2 * np.linspace(0, 1, 41) ** 3  # narrow where it is strong
    assert chi_squared(drawn, density, edges[::-1]) < 2.0


def test_compton_energy():
    assert compton_ratio(100.0, 1.0) == 1
    assert abs(compton_ratio(REST, -1.0) - 1 / 3) < 1e-12


@pytest.mark.parametrize("cosine", [1.0, 0.7, -0.2, -1.0])
def test_deflection_keeps_angle_and_length(cosine):
    numbers = stream()
    for start in ([0, 0, 1.0], [0, 0, -1.0], [0.6, -0.48, 0.64]):
        turned = []
        for _ in range(400):
            direction = np.array(start)
            deflect(numbers, direction, cosine)
            assert abs(np.linalg.norm(direction) - 1) < 1e-12
            assert abs(direction @ start - cosine) < 1e-9
            turned.append(direction)
        across = np.mean(turned, axis=0) - cosine * np.array(start)
        assert np.linalg.norm(across) < 0.2  # every azimuth alike


def test_compton_cross_section_of_free_electrons():
    """At 100 keV the electrons of water are nearly free: Klein and Nishina's integral, a few per mille less."""
    tables = cross_sections(["water"])
    place = np.argmin(np.abs(energy_bins() - 100))
    nodes, weights = np.polynomial.legendre.leggauss(32)
    electrons = AVOGADRO * (0.111898 / 1.008 + 0.888102 * 8 / 15.999)
    free = electrons * 2 * np.pi * weights @ klein_nishina(energy_bins()[place], nodes)
    assert 0.985 < tables.compton[0, place] / free < 1.0


def test_parts_make_the_whole():
    names = ["water", "bone", "iodine", "titanium"]
    tables = cross_sections(names)
    for row, name in enumerate(names):
        assert np.array_equal(tables.total[row], mass_attenuation(name, energy_bins()))
    absorbed = tables.total - tables.compton - tables.rayleigh
    assert (absorbed > -1e-9).all()
    iodine = absorbed[2]
    edge = np.searchsorted(energy_bins(), 33.169)
    assert iodine[edge + 1] > 5 * iodine[edge - 1]


def test_incoherent_function_and_form_factors():
    tables = cross_sections(["water"])
    assert tables.incoherent[0, 0] == 0
    assert tables.incoherent[0, -1] > 0.999
    assert (np.diff(tables.coherent[0]) >= 0).all()
    assert tables.coherent[0, 0] == 0
    assert tables.coherent[0, -1] == 1
