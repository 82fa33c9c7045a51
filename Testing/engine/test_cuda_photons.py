"""The CUDA walk of photons, run by this processor, against the CPU's own: the same histories, number by number."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.transport import montecarlo
from DeepDRRSlicerLib.transport.body import body_of
from DeepDRRSlicerLib.transport.card import CardPhotons
from host_cuda.compile import MISSING
from host_cuda.driver import HostDriver

pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")
SIZE = (12, 16)


@pytest.fixture(scope="module")
def run():
    """Arguments of a walk through water with a block of bone and a screw of titanium, in odd numbers of voxels."""
    pytest.importorskip("numba")
    density = np.zeros((19, 33, 26, 3))
    density[2:17, 3:30, 2:24, 0] = 1.0
    density[6:12, 10:18, 8:15] = (0.3, 1.5, 0.0)
    density[13:15, 20:22, 4:20] = (0.0, 0.0, 4.5)
    matrix = np.diag([6.0, 5.0, 7.0, 1.0])
    matrix[:3, 3] = -75, -80, -63
    volume = MaterialVolume.from_density(("water", "bone", "titanium"), density, matrix)
    view = CArmPose(25, 10, (0, 0, 0), 1000, 600, SIZE, (20.0, 20.0)).beam()
    opening = np.ones((24, 32))
    opening[:, :6] = 0
    spectrum = tube_spectrum(90.0, {"aluminium": 3.0}, 12.0)
    body = body_of(volume, view)
    arguments = montecarlo._arguments(body, view, spectrum, load_detector("mobile_flat_panel"), opening)
    return arguments, body.density.shape[:3]


def by_cpu(run, first, count, seed=5):
    arguments, shape = run
    part = montecarlo._empty(SIZE, shape)
    montecarlo._kernel()(seed, first, count, *arguments, *part, np.empty((6, 3)), np.empty(1, np.uint64))
    return part


def on_card(run, first, count, double, seed=5):
    arguments, shape = run
    driver = HostDriver()
    photons = CardPhotons(driver, arguments, SIZE, shape, double)
    part = photons.run(seed, first, count)
    photons.free()
    assert driver.live_bytes == 0
    return part


def test_in_double_precision_it_makes_the_same_collisions(run):
    for name, ours, theirs in zip("pictures variances walked energies dose".split(), on_card(run, 100, 4000, True),
                                  by_cpu(run, 100, 4000), strict=True):  # fmt: skip
        assert theirs.any(), name
        # A library's sine may round differently once in a while and send one photon elsewhere.
        assert ours.sum() == pytest.approx(theirs.sum(), rel=2e-3), name
        assert (np.abs(ours - theirs) > 1e-6 * theirs.max()).mean() < 0.01, name


def test_energy_is_conserved_in_either_precision(run):
    for double, rounding in ((True, 1e-12), (False, 2e-6)):
        emitted, *spent = on_card(run, 0, 3000, double)[3]
        assert sum(spent) == pytest.approx(emitted, rel=rounding)


def test_in_single_precision_it_agrees_within_chance(run):
    """Chunks of both give means and standard errors of what is scattered, let through and deposited."""
    quantities = []
    for make, seeds in ((lambda s: on_card(run, 0, 1500, False, s), range(12)),
                        (lambda s: by_cpu(run, 0, 1500, s), range(100, 112))):  # fmt: skip
        rows = []
        for seed in seeds:
            pictures, _, walked, energies, dose = make(seed)
            rows.append([*pictures.sum((1, 2)), *walked.sum((1, 2)), *energies[1:], dose[6:12, 10:18, 8:15].sum()])
        quantities.append(np.array(rows))
    ours, theirs = quantities
    error = np.sqrt((ours.var(0, ddof=1) + theirs.var(0, ddof=1)) / 12)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 4 * error).all()


def test_chunks_are_parts_of_a_whole(run):
    whole = on_card(run, 0, 900, True)
    parts = [on_card(run, first, 300, True) for first in (0, 300, 600)]
    for total, *pieces in zip(whole, *parts, strict=True):
        assert np.allclose(total, sum(pieces), rtol=1e-9, atol=1e-9)


class HostDevice:
    """Stands for the card's thread. broken_after: chunks that it manages."""

    def __init__(self, broken_after=None):
        self.driver, self._left = HostDriver(), broken_after

    def call(self, work, should_stop=lambda: False):
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise DeviceError("the card fell off the bus")
        return work(self.driver, should_stop)

    def post(self, work):
        work(self.driver)


def followed(monkeypatch, device, backend):
    from DeepDRRSlicerLib.projection.cuda import device_thread

    monkeypatch.setattr(device_thread, "shared_device", lambda *_: device)
    density = np.ones((10, 12, 14, 1))
    volume = MaterialVolume.from_density(("water",), density, np.diag([10.0, 10.0, 10.0, 1.0]))
    view = CArmPose(0, 0, (65, 55, 45), 1000, 600, SIZE, (20.0, 20.0)).beam()
    spectrum, detector = tube_spectrum(80.0, {"aluminium": 3.0}, 12.0), load_detector("ideal")
    heard = []
    tally = montecarlo.follow_photons(volume, view, spectrum, detector, 4000, 3, chunks=4, backend=backend,
                                      progress=lambda done, tally: heard.append(done))  # fmt: skip
    return tally, heard


def test_the_card_follows_photons_where_it_is_wanted_and_works(monkeypatch):
    on_cpu, _ = followed(monkeypatch, None, "cpu")
    device = HostDevice()
    tally, heard = followed(monkeypatch, device, "auto")
    assert tally.backend == "cuda" and heard == [1000, 2000, 3000, 4000] and device.driver.live_bytes == 0
    assert tally.scatter.sum() == pytest.approx(on_cpu.scatter.sum(), rel=2e-3)
    assert tally.energies == pytest.approx(on_cpu.energies, rel=2e-3)


def test_where_the_card_fails_the_cpu_begins_anew(monkeypatch):
    expected, _ = followed(monkeypatch, None, "cpu")
    tally, heard = followed(monkeypatch, HostDevice(broken_after=3), "auto")
    assert tally.backend == "cpu" and np.array_equal(tally.pictures, expected.pictures) and heard[-1] == 4000
    with pytest.raises(InputError, match="fell off the bus; use --backend cpu"):
        followed(monkeypatch, HostDevice(broken_after=0), "cuda")
