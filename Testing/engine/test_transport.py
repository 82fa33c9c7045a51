"""Photon transport: published and closed-form values, the conservation of energy, and an estimator against a count."""

import numpy as np
import pytest
from slab_scatter import central, slab, view

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.exposure import open_field
from DeepDRRSlicerLib.physics.primary import detected
from DeepDRRSlicerLib.physics.spectrum import Spectrum, tube_spectrum
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.transport.montecarlo import coarse_view, follow_photons

IDEAL = load_detector("ideal")
SPECTRUM = tube_spectrum(80, {"Al": 3.0})

# (mm of water, mm of air gap) -> scatter over primary: 80 kVp, 3 mm Al, SID 100 cm, 30 x 30 cm, 60 cm wide slab.
RATIOS = {
    (50, 100): 0.495,
    (100, 100): 1.097,
    (200, 100): 2.57,
    (300, 100): 4.45,
    (200, 5): 3.59,
    (200, 50): 3.18,
    (200, 200): 1.62,
    (200, 400): 0.74,
}


def ratio_of(thickness, gap, histories):
    """(ratio, standard error)."""
    voxel = 5.0 if gap < 10 else 10.0
    beam = view()
    return central(follow_photons(slab(thickness, gap, voxel=voxel), beam, SPECTRUM, IDEAL, histories), beam)


@pytest.mark.parametrize(("thickness", "gap", "histories"), [(50, 100, 400_000), (100, 100, 400_000)])
def test_scatter_to_primary_of_thin_slabs(thickness, gap, histories):
    ratio, error = ratio_of(thickness, gap, histories)
    expected = RATIOS[thickness, gap]
    assert error < 0.05 * expected
    assert abs(ratio - expected) < 0.03 * expected + 2 * error


@pytest.mark.long
@pytest.mark.parametrize(("thickness", "gap"), RATIOS)
def test_scatter_to_primary(thickness, gap):
    """20 million photons a slab: the standard error stays below 2 %."""
    ratio, error = ratio_of(thickness, gap, 20_000_000)
    expected = RATIOS[thickness, gap]
    assert error < 0.02 * expected
    assert abs(ratio - expected) < 0.03 * expected + 2 * error


# AAPM TG-195, case 2, 0 degrees, 56.4 keV (published): eV per photon in the body, and in cubes of 3 cm (x, y, depth).
TG195_BODY = 33171.4
TG195_CUBES = {
    (0, -15, 10): 27.01, (-15, 0, 10): 27.00, (0, 0, 10): 36.67, (15, 0, 10): 27.01, (0, 15, 10): 27.01,
    (0, 0, 4): 72.86, (0, 0, 7): 53.35, (0, 0, 13): 23.83, (0, 0, 16): 14.60,
}  # fmt: skip


def tg195(histories):
    """eV per photon and their relative error: of the whole body, and of the nine cubes."""
    matrix = np.diag([10.0, 10.0, 5.0, 1.0])
    matrix[:3, 3] = -390, -390, 7.5
    density = np.zeros((360, 79, 79, 2))
    density[..., 0] = 1.205e-3  # air, from 5 mm before the source to the detector
    body = slice(309, 349), slice(20, 59), slice(20, 59)
    density[(*body, 0)], density[(*body, 1)] = 0, 1.03
    volume = MaterialVolume.from_density(("air", "soft tissue TG-195"), density, matrix)
    energy = Spectrum(np.array([56.4]), np.array([1.0]))
    runs = []
    for seed in range(4):
        tally = follow_photons(volume, view(390.0, 13, 1800.0), energy, IDEAL, histories // 4, seed, with_dose=True)
        each = tally.dose / tally.photons * 1e3
        cubes = [each[309 + 2 * d - 3 : 312 + 2 * d, 38 + y : 41 + y, 38 + x : 41 + x].sum() for x, y, d in TG195_CUBES]
        runs.append([each[body].sum(), *cubes])
    runs = np.array(runs)
    return runs.mean(axis=0), runs.std(axis=0, ddof=1) / 2 / runs.mean(axis=0)


def test_energy_deposited_in_tg195_body():
    energies, errors = tg195(40_000)
    assert abs(energies[0] / TG195_BODY - 1) < 0.005 + 2 * errors[0]
    assert errors[0] < 0.005


@pytest.mark.long
def test_tg195_case_2():
    energies, errors = tg195(8_000_000)
    assert abs(energies[0] / TG195_BODY - 1) < 0.005
    # The spread of four runs tells the error of one cube badly, that of nine well enough.
    error = np.sqrt((errors[1:] ** 2).mean())
    assert error < 0.01
    assert np.abs(energies[1:] / list(TG195_CUBES.values()) - 1).max() < 0.02 + 2 * error


def mixed_body():
    """Water with a block of bone and a rod of steel, turned askew to the axes; 8 mm voxels."""
    density = np.zeros((24, 30, 34, 3))
    density[3:21, 4:26, 4:30, 0] = 1.0
    density[8:16, 8:14, 10:20, :2] = 0.3, 1.4
    density[12, 18, 6:28] = 0, 0, 7.99
    turn, _ = np.linalg.qr(np.array([[0.9, 0.3, 0.1], [-0.2, 1.0, 0.3], [0.1, -0.3, 1.1]]))
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.sign(np.diag(turn)) * 8.0
    matrix[:3, 3] = np.array([0, 0, 700]) - matrix[:3, :3] @ [16.5, 14.5, 11.5]
    return MaterialVolume.from_density(("water", "bone", "stainless steel 316L"), density, matrix)


def test_energy_is_conserved():
    tally = follow_photons(mixed_body(), view(), SPECTRUM, load_detector("mobile_flat_panel"), 20_000, with_dose=True)
    emitted, deposited, escaped, arrived = tally.energies
    assert min(deposited, escaped, arrived) > 0.01 * emitted
    assert abs(deposited + escaped + arrived - emitted) < 1e-6 * emitted
    assert abs(tally.dose.sum() - deposited) < 1e-6 * emitted


def test_pictures_agree_with_the_count_of_photons():
    """The estimate of what arrives against the photons of the walk that did."""
    beam = view(cells=6)
    tallies = [follow_photons(mixed_body(), beam, SPECTRUM, IDEAL, 25_000, seed) for seed in range(6)]
    estimated = np.array([[t.primary.sum(), t.scatter.sum()] for t in tallies])
    counted = np.array([t.walked.sum(axis=(1, 2)) for t in tallies])
    differences = (estimated - counted) / counted.mean(axis=0)
    error = differences.std(axis=0, ddof=1) / np.sqrt(len(tallies))
    assert (error < 0.04).all()
    assert (np.abs(differences.mean(axis=0)) < 3.5 * error).all()


def test_primary_is_the_projectors():
    """Mean signal and variance of the primary, through voxels of several materials, against exact paths."""
    beam = view(300.0, 3)
    tally = follow_photons(slab(120, 200), beam, SPECTRUM, IDEAL, 200_000)
    fine = view(300.0, 90)
    paths = np.linalg.norm(fine.pixel_centers(), axis=-1) / fine.sid * 12.0
    mean, variance = (
        (moment * open_field(fine)).reshape(3, 30, 3, 30).mean(axis=(1, 3))
        for moment in detected(paths[None].astype(np.float32), ("water",), SPECTRUM, IDEAL)
    )
    assert np.abs(tally.primary / mean - 1).max() < 0.02
    assert abs(tally.variances[0].sum() / variance.sum() - 1) < 0.01


def paths_through_voxels(volume, beam, step=1.0):
    """(m, rows, columns) g/cm2 along the rays to the pixel centres, by marching through cubes of constant density."""
    rays = beam.pixel_centers() - beam.source
    ras_to_ijk = np.linalg.inv(volume.ijk_to_ras)
    shares = np.arange(500 + step / 2, 950, step) / 1000  # where the body is
    total = np.zeros((len(volume.materials), *beam.size))
    for share in shares:
        index = np.rint((beam.source + share * rays) @ ras_to_ijk[:3, :3].T + ras_to_ijk[:3, 3]).astype(int)
        inside = ((index >= 0) & (index < volume.size)).all(axis=-1)
        i, j, k = np.where(inside[..., None], index, 0).transpose(2, 0, 1)
        total += np.where(inside, volume.density[:, k, j, i], 0) * volume.scale[:, None, None]
    return total * np.linalg.norm(rays, axis=-1) * step / 1000 / 10


@pytest.mark.long
def test_primary_through_mixed_voxels():
    """Control variates in blocks of many materials must not bias the transmission."""
    volume, beam = mixed_body(), view(240.0, 4)
    tallies = [follow_photons(volume, beam, SPECTRUM, IDEAL, 40_000, seed).primary.sum() for seed in range(8)]
    fine = view(240.0, 120)
    mean, _ = detected(paths_through_voxels(volume, fine).astype(np.float32), volume.materials, SPECTRUM, IDEAL)
    expected = (mean * open_field(fine)).mean() * 16
    error = np.std(tallies, ddof=1) / np.sqrt(len(tallies))
    assert error < 0.01 * expected
    assert abs(np.mean(tallies) - expected) < 3 * error


def test_nothing_in_the_beam_scatters_nothing():
    place = np.diag([10.0, 10, 10, 1])
    place[2, 3] = 500
    empty = MaterialVolume.from_density(("water",), np.zeros((2, 2, 2, 1)), place)
    tally = follow_photons(empty, view(), SPECTRUM, IDEAL, 2000)
    assert tally.scatter.sum() == 0
    assert tally.energies[1] == 0
    flat = SPECTRUM.fluence @ SPECTRUM.energies
    assert abs(tally.primary.mean() / (flat * open_field(view(cells=100)).mean()) - 1) < 0.02


def test_result_depends_on_seed_alone():
    body, beam = mixed_body(), view(cells=8)
    first = follow_photons(body, beam, SPECTRUM, IDEAL, 3000, seed=5, threads=1)
    again = follow_photons(body, beam, SPECTRUM, IDEAL, 3000, seed=5, threads=3)
    other = follow_photons(body, beam, SPECTRUM, IDEAL, 3000, seed=6, threads=1)
    for name in ("pictures", "variances", "scatter_error", "walked", "energies"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.pictures, other.pictures)


def test_error_estimate_is_the_spread_of_repetitions():
    body, beam = slab(100, 100), view(cells=5)
    tallies = [follow_photons(body, beam, SPECTRUM, IDEAL, 4000, seed) for seed in range(30)]
    spread = np.std([t.scatter for t in tallies], axis=0, ddof=1)
    told = np.sqrt(np.mean([t.scatter_error**2 for t in tallies], axis=0))
    assert abs(told.mean() / spread.mean() - 1) < 0.15


def test_shutters_cut_primary_and_weaken_scatter():
    beam = view(cells=30)
    field = np.zeros((30, 30))
    field[10:20, 10:20] = 1
    wide = follow_photons(slab(100, 100), beam, SPECTRUM, IDEAL, 50_000)
    narrow = follow_photons(slab(100, 100), beam, SPECTRUM, IDEAL, 50_000, field=field)
    assert narrow.primary[field == 0].sum() == 0
    assert narrow.scatter[field == 0].sum() > 0  # scatter leaves the field
    assert abs(narrow.primary[field == 1].mean() / wide.primary[field == 1].mean() - 1) < 0.03
    assert narrow.scatter[field == 1].mean() < 0.6 * wide.scatter[field == 1].mean()


def test_matter_behind_the_detector_is_ignored():
    beam = view(cells=6)
    whole = slab(200, 100)
    cut = MaterialVolume(whole.materials, whole.density[:, :10], whole.scale, whole.ijk_to_ras)
    through = view(cells=6, sid=800.0)  # the detector stands in the middle of the slab, at a border of voxels
    a = follow_photons(whole, through, SPECTRUM, IDEAL, 3000)
    b = follow_photons(cut, through, SPECTRUM, IDEAL, 3000)
    assert np.array_equal(a.pictures, b.pictures)
    assert not np.array_equal(a.pictures, follow_photons(cut, beam, SPECTRUM, IDEAL, 3000).pictures)


def test_cancel_and_progress():
    seen = []
    follow_photons(slab(50, 100), view(), SPECTRUM, IDEAL, 6400, threads=2, progress=lambda n, t: seen.append(n))
    assert seen == sorted(seen)
    assert seen[-1] == 6400
    with pytest.raises(Stopped):
        follow_photons(slab(50, 100), view(), SPECTRUM, IDEAL, 6400, should_stop=lambda: True)


def test_wrong_use():
    with pytest.raises(InputError, match="inside the CT"):
        follow_photons(slab(100, 950, voxel=50.0), view(), SPECTRUM, IDEAL, 6400)
    with pytest.raises(InputError, match="shutters are closed"):
        follow_photons(slab(50, 100), view(), SPECTRUM, IDEAL, 6400, field=np.zeros((4, 4)))
    with pytest.raises(InputError, match="histories"):
        follow_photons(slab(50, 100), view(), SPECTRUM, IDEAL, 3)


def test_coarse_view_covers_the_same_detector():
    beam = view(300.0, 30)
    coarse = coarse_view(beam.window(slice(0, 20), slice(0, 30)), 6)
    assert coarse.size == (4, 6)
    assert np.allclose(coarse.pixel_to_ras(-0.5, -0.5), beam.pixel_to_ras(-0.5, -0.5))
    assert np.allclose(coarse.pixel_to_ras(5.5, 3.5), beam.pixel_to_ras(29.5, 19.5))
