"""`deepdrr-slicer validate`: every check passes, and each of them fails where the engine is wrong."""

import argparse
import dataclasses
import math

import numpy as np
import pytest

from DeepDRRSlicerLib.commands import validate
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics import blur, noise, primary, readout, spectrum
from DeepDRRSlicerLib.validation import chain, detector, geometry, transmission, tube
from DeepDRRSlicerLib.validation import noise as noise_checks
from DeepDRRSlicerLib.validation.attenuation import nist_table
from DeepDRRSlicerLib.validation.checks import CHECKS
from DeepDRRSlicerLib.validation.table import FULL, HEADER, QUICK, SOURCES, Absolute, Relative, Row, line, worst

ALL = [pytest.param(check, id=f"{group}-{check.__name__}") for group, checks in CHECKS.items() for check in checks]


def assert_passed(rows):
    assert rows
    assert not [line(row) for row in rows if not row.passed]


def failing(check):
    """Quantities of the rows that fail."""
    return [row.quantity for row in check(QUICK) if not row.passed]


@pytest.mark.parametrize("check", ALL)
def test_check(check):
    rows = list(check(QUICK))
    assert_passed(rows)
    for row in rows:
        assert row.source in SOURCES
        assert len(line(row)) <= 140 and len(row.quantity) <= 64
        assert np.isfinite([row.reference, row.allowed.limit]).all()


@pytest.mark.long
@pytest.mark.parametrize("check", ALL)
def test_check_with_full_counts(check):
    assert_passed(list(check(FULL)))


def test_the_nist_table_ships():
    table = nist_table()
    assert len(table) == 90 and len({material for material, _, _ in table}) == 15


def run(*arguments):
    parser = argparse.ArgumentParser()
    validate.add_parser(parser.add_subparsers())
    options = parser.parse_args(["validate", *arguments])
    options.run(options)


def test_the_table_is_printed(capsys):
    run("--only", "attenuation")
    lines = capsys.readouterr().out.splitlines()
    rows = [text for text in lines if text.endswith("  pass")]
    assert lines[0] == HEADER and lines[2] == "attenuation" and len(rows) == 19
    assert "sources" in lines and lines[-1] == "19 of 19 checks passed"


def test_a_failure_is_told(capsys, monkeypatch):
    wrong = Row("2 + 2", 4.0, "definition", 5.0, Relative(0.1))
    right = dataclasses.replace(wrong, ours=4.0)
    monkeypatch.setitem(CHECKS, "tube", (lambda counts: iter([wrong, right]),))
    with pytest.raises(InputError, match="^1 check fails; see FAIL"):
        run("--only", "tube")
    out = capsys.readouterr().out
    assert "+25 %      10 %  FAIL" in out and out.endswith("1 of 2 checks passed\n")
    monkeypatch.setitem(CHECKS, "tube", (lambda counts: iter([wrong, wrong]),))
    with pytest.raises(InputError, match="^2 checks fail"):
        run("--only", "tube")


def test_a_group_that_is_not_there():
    with pytest.raises(InputError, match="no group 'tubes'"):
        run("--only", "tubes")


def test_what_passes():
    row = Row("length", 10.0, "definition", 10.1, Relative(0.0101))
    assert row.passed and not dataclasses.replace(row, allowed=Relative(0.0099)).passed
    assert dataclasses.replace(row, allowed=Absolute(0.11)).passed
    assert not dataclasses.replace(row, allowed=Absolute(0.09)).passed
    for ours in (math.nan, math.inf, -math.inf):
        assert not dataclasses.replace(row, ours=ours).passed
    rows = [row, dataclasses.replace(row, ours=math.nan), dataclasses.replace(row, ours=10.0)]
    for order in (rows, rows[::-1], rows[1:] + rows[:1]):
        assert math.isnan(next(iter(worst(order, QUICK))).ours)
    assert list(worst(rows, FULL)) == rows


# A check that cannot fail is a defect: the engine is broken on purpose, and the check has to see it.


def test_blur_before_noise_is_found(monkeypatch):
    """Then neighbours no longer share their noise: it is white, though the picture is as blurred."""
    taken_in = readout.taken_in

    def swapped(mean, variance, panel, pitch, generator, source_blur=None):
        if generator is None:
            return taken_in(mean, variance, panel, pitch, generator, source_blur)
        mean, variance = (blur.screen_blur(image, (pitch, pitch), panel.mtf, None) for image in (mean, variance))
        sharp = dataclasses.replace(panel, scintillator=dataclasses.replace(panel.scintillator, mtf=None))
        return taken_in(mean, variance, sharp, pitch, generator, source_blur)

    monkeypatch.setattr(readout, "taken_in", swapped)
    assert len(failing(noise_checks.power_rows)) == 2
    assert len(failing(noise_checks.gaussian_rows)) == 5
    assert failing(detector.mtf_rows) == []


def test_noise_without_energy_weighting_is_found(monkeypatch):
    """Every photon counted with the mean energy: the variance is too small."""
    moments = primary._moments

    def mean_energy(of, panel):
        mean, _ = moments(of, panel)
        return np.stack([mean, mean * mean.sum() / (mean / of.energies).sum()])

    monkeypatch.setattr(primary, "_moments", mean_energy)
    assert len([row for row in failing(noise_checks.slope_rows) if row.startswith("variance / mean")]) == 2


def test_a_shift_of_half_a_pixel_is_found(monkeypatch):
    filtered = blur._filtered

    def shifted(image, transfer, shape, surround=1.0):
        found = filtered(image, transfer, shape, surround)
        return 0.5 * (found + np.roll(found, 1, axis=1))

    monkeypatch.setattr(blur, "_filtered", shifted)
    assert failing(geometry.place_rows) == ["column of a ball's shadow at LAO 30, CRA 20"]
    assert "column of that edge, pixels of 0.02 mm" in failing(geometry.penumbra_rows)


def test_a_wrong_filter_is_found(monkeypatch):
    """10 % less aluminium than is said."""
    filtered = spectrum.Spectrum.filtered

    def thinner(self, layers):
        return filtered(self, {material: 0.9 * mm for material, mm in layers.items()})

    monkeypatch.setattr(spectrum.Spectrum, "filtered", thinner)
    monkeypatch.setattr(spectrum, "_tube_spectrum", spectrum._tube_spectrum.__wrapped__)  # nothing remembered
    assert len(failing(tube.half_value_layer_rows)) == 14
    assert len(failing(tube.output_rows)) == 3


def test_one_effective_energy_is_found(monkeypatch):
    """In place of the spectrum: right for one thickness by accident, wrong for others, and without hardening."""

    def one(materials, energies, weights):
        middle = int(np.argmin(np.abs(energies - weights[0] @ energies / weights[0].sum())))
        return np.array([middle]), np.array([weights[0].sum() / weights[0, middle]])

    monkeypatch.setattr(primary, "spectral_nodes", one)
    assert len(failing(transmission.transmission_rows)) == 6
    assert len(failing(transmission.hardening_rows)) == 6
    assert failing(chain.pmma_rows)


def test_less_noise_than_there_is_is_found(monkeypatch):
    drawn = noise.quantum_noise

    def weaker(mean, energy, generator):
        return drawn(mean, energy * np.float32(0.97), generator)

    monkeypatch.setattr(readout, "quantum_noise", weaker)
    assert len([row for row in failing(noise_checks.slope_rows) if "variance / mean" in row]) == 2
