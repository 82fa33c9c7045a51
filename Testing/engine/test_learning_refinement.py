"""The refiner: untrained a rule of densities, trained on the CT's own voxels, and the same however a CT is cut."""

import numpy as np
import pytest
from learning_samples import one_thread  # noqa: F401

from DeepDRRSlicerLib.anatomy.substances import ADIPOSE, AIR, BONE, CLASSES, CONTRAST, LUNG, METAL, SOFT_TISSUE
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.learning.grid import Axis, working_grid
from DeepDRRSlicerLib.learning.noise import noise_of

torch = pytest.importorskip("torch")

from DeepDRRSlicerLib.learning import refining  # noqa: E402
from DeepDRRSlicerLib.learning.device import Place  # noqa: E402
from DeepDRRSlicerLib.learning.refinement import FITS, REST, Refiner, RefinerConfig, about, between  # noqa: E402

EXACT = Place("cpu", False)
TOLD = about((1.0, 1.0, 1.0), 20.0)[None]


def random_refiner(seed=3):
    torch.manual_seed(seed)
    refiner = Refiner().eval()
    for layer in (refiner.about, refiner.head):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return refiner


def fits(hu):
    """What the untrained refiner multiplies equal probabilities with, at one HU."""
    edge = 2 * RefinerConfig().margin + 1
    even = torch.full((1, len(CLASSES), edge, edge, edge), 1 / len(CLASSES))
    found = Refiner()(even, torch.full((1, edge, edge, edge), float(hu)), TOLD)
    return (found[0, :, 0, 0, 0] + np.log(len(CLASSES))).exp().detach().numpy()


@pytest.mark.parametrize(
    "hu, fitting, never",
    [
        (-1000, AIR, SOFT_TISSUE),
        (-800, LUNG, BONE),
        (-100, ADIPOSE, BONE),
        (50, SOFT_TISSUE, AIR),
        (1200, BONE, AIR),
        (700, CONTRAST, SOFT_TISSUE),
        (3071, METAL, SOFT_TISSUE),
    ],
)
def test_untrained_typical_hu_fit_their_class_and_not_another(hu, fitting, never):
    assert len(FITS) == len(CLASSES)
    found = fits(hu)
    assert found[fitting] > 0.9 and found[never] < 2 * REST


@pytest.mark.parametrize("hu", [-600, -150, -30, 100, 250, 1200])  # knots: there the fits are met exactly
def test_untrained_it_is_the_rule_of_densities(hu):
    expected = [np.interp(hu, corners, (REST, 1, 1, REST)) for corners in FITS]
    assert fits(hu) == pytest.approx(expected, rel=1e-3)


def test_untrained_it_finds_the_border_between_coarse_voxels():
    """A rod of bone, 7 mm thick in muscle; the coarse answer is the truth averaged over 2 mm voxels."""
    n, step, deep = 90, 0.7, 9
    x = (np.arange(n) - (n - 1) / 2) * step
    bone = np.hypot(x[:, None] - 1.1, x[None] + 0.4) < 3.5
    rng = np.random.default_rng(5)
    hu = np.where(bone, 600, 50) + rng.normal(0, 25, (deep, n, n))
    axis = Axis(n, step, 32, 2.0)
    mean = axis.means() @ bone @ axis.means().T
    coarse = np.zeros((7, 1, 32, 32), np.float32)
    coarse[BONE, 0], coarse[SOFT_TISSUE, 0] = mean, 1 - mean
    fine = between(torch.from_numpy(coarse), (np.zeros(deep), axis.places(), axis.places()))
    logits = Refiner()(fine[None], torch.from_numpy(hu.astype(np.float32))[None], TOLD)[0]
    inner = bone[4:-4, 4:-4]

    def dice(found):
        return 2 * (found & inner).sum() / (found.sum() + inner.sum())

    labels = logits.argmax(0)[0].numpy()
    alone = fine.argmax(0)[4, 4:-4, 4:-4].numpy()
    assert set(np.unique(labels)) == {SOFT_TISSUE, BONE}
    assert dice(labels == BONE) > 0.95 and dice(labels == BONE) > dice(alone == BONE) + 0.03


def test_a_voxel_is_answered_from_its_surroundings_alone():
    """What lies beyond the margin changes nothing, what lies within does."""
    refiner, margin = random_refiner(), RefinerConfig().margin
    rng = np.random.default_rng(1)
    n = 2 * margin + 3
    probabilities = torch.from_numpy(rng.dirichlet(np.ones(7), (1, n, n, n)).astype(np.float32)).movedim(-1, 1)
    hu = torch.from_numpy(rng.normal(0, 200, (1, n, n, n)).astype(np.float32))
    first = refiner(probabilities, hu, TOLD)
    assert first.shape == (1, 7, 3, 3, 3)
    other = hu.clone()
    other[0, 0] += 300  # seen by the first plane of the answer alone
    second = refiner(probabilities, other, TOLD)
    assert torch.equal(first[:, :, 1:], second[:, :, 1:]) and not torch.equal(first[:, :, 0], second[:, :, 0])


def test_spacing_and_noise_are_told():
    refiner, edge = random_refiner(), 2 * RefinerConfig().margin + 1
    even, hu = torch.full((1, 7, edge, edge, edge), 1 / 7), torch.full((1, edge, edge, edge), 40.0)
    plain = refiner(even, hu, TOLD)
    for other in (about((2.0, 1.0, 1.0), 20.0), about((1.0, 1.0, 2.0), 20.0), about((1.0, 1.0, 1.0), 40.0)):
        assert not torch.allclose(refiner(even, hu, other[None]), plain)


def test_between_coarse_voxels_it_is_linear_and_beyond_them_constant():
    rng = np.random.default_rng(0)
    coarse = rng.random((2, 4, 5, 6)).astype(np.float32)
    places = (np.array([0.0, 1.25, 9.0]), np.array([-2.0, 3.5]), np.array([2.0, 4.5, 5.0]))
    found = between(torch.from_numpy(coarse), places).numpy()
    assert found.shape == (2, 3, 2, 3)
    assert found[:, 0, 0, 0] == pytest.approx(coarse[:, 0, 0, 2])
    assert found[:, 2, 0, 2] == pytest.approx(coarse[:, 3, 0, 5])
    corners = coarse[:, 1:3, 3:5, 4:6]
    expected = np.einsum("cxyz,x,y,z->c", corners, (0.75, 0.25), (0.5, 0.5), (0.5, 0.5))
    assert found[:, 1, 1, 1] == pytest.approx(expected)


@pytest.fixture
def case():
    """A CT on its own grid, coarse probabilities of it, and the labels of the refiner in one block."""
    rng = np.random.default_rng(8)
    ct = Volume(rng.normal(0, 300, (23, 30, 37)).astype(np.float32), np.diag([0.9, 0.8, 1.7, 1.0]))
    grid = working_grid(ct, 2.0)
    layers = rng.dirichlet(np.ones(7) / 3, grid.shape).astype(np.float32).transpose(0, 3, 1, 2)
    return ct.array, grid, np.ascontiguousarray(layers)


def refined(case, sizes=None):
    hu, grid, layers = case
    labels = np.zeros(hu.shape, np.uint8)
    work = refining.Refining(random_refiner(), EXACT, grid, hu, labels, lambda: False)
    first = 0
    for size in sizes or [len(layers)]:
        work.add(first, layers[first : first + size])
        first += size
    assert first == len(layers)
    return labels


def test_labels_are_those_of_the_refiner_on_the_whole_ct(case):
    hu, grid, layers = case
    margin = RefinerConfig().margin
    places = [np.pad(axis.places(), margin, mode="edge") for axis in grid.axes]
    fine = between(torch.from_numpy(layers).transpose(0, 1), places)[None]
    wide = torch.from_numpy(np.pad(hu, margin, mode="edge"))[None]
    told = about([axis.step for axis in grid.axes], noise_of(hu))[None]
    expected = random_refiner()(fine, wide, told)[0].argmax(0).numpy()
    found = refined(case)
    assert len(np.unique(found)) > 3 and (found == expected).mean() > 0.999


@pytest.mark.parametrize("block, sizes", [((5, 7, 11), None), ((32, 96, 96), [1] * 20), ((4, 96, 16), [3, 1, 8, 2, 6])])
def test_blocks_and_layers_leave_no_seams(case, monkeypatch, block, sizes):
    whole = refined(case)
    monkeypatch.setattr(refining, "BLOCK", block)
    assert (refined(case, sizes) == whole).mean() > 0.999


def test_nothing_but_air_is_not_looked_at(case, monkeypatch):
    hu, grid, layers = case
    layers = np.zeros_like(layers)
    layers[:, AIR] = 1
    layers[:, AIR, :4, :4], layers[:, BONE, :4, :4] = 0, 1
    monkeypatch.setattr(refining, "BLOCK", (8, 8, 8))
    looked = []
    forward = Refiner.forward
    monkeypatch.setattr(Refiner, "forward", lambda self, *inputs: looked.append(0) or forward(self, *inputs))
    found = refined((hu, grid, layers))
    assert 0 < len(looked) < np.prod([-(-n // 8) for n in hu.shape]) / 2
    assert (found[:, 20:, 20:] == AIR).all() and (found[:, :6, :6] != AIR).any()


@pytest.mark.parametrize("noise", [8, 20, 60])
def test_noise_is_found_beside_edges(noise):
    rng = np.random.default_rng(2)
    hu = np.full((6, 120, 120), 40.0)
    hu[:, :, 40:80] = -90
    hu[:, 30:60] = 900
    hu[:, 100:] = -1000
    hu += rng.normal(0, noise, hu.shape)
    assert noise_of(hu) == pytest.approx(noise, rel=0.1)  # one difference in ten or so lies across an edge


def test_a_volume_without_soft_tissue_has_the_least_noise():
    assert noise_of(np.full((3, 5, 6), -1000)) == 5.0
