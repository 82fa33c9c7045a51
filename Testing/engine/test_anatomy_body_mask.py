"""The body without what it lies on: made-up patients whose parts are known, and the real CTs."""

import time

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.body_mask import body_mask
from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.anatomy.segmentation import read_segmentation
from DeepDRRSlicerLib.anatomy.volume import Volume
from phantoms import centered, ras_grid, restored

SHAPE, SPACING = (60, 140, 200), (2.5, 2.5, 4.0)  # k, j, i; i, j, k in mm: 500 x 350 x 240 mm


class Scene:
    """A CT of shapes in mm, and which of its voxels are body, and which couch."""

    def __init__(self, shape=SHAPE, spacing=SPACING):
        self.matrix = centered(shape, spacing)
        self.r, self.a, self.s = np.moveaxis(ras_grid(shape, self.matrix), -1, 0)
        self.hu = np.full(shape, -1000.0)
        self.body = np.zeros(shape, bool)

    def add(self, inside, hu, body):
        self.hu[inside] = hu
        self.body[inside] = body

    def cylinder(self, r, a, radius_r, radius_a):
        """Along the patient's axis."""
        return ((self.r - r) / radius_r) ** 2 + ((self.a - a) / radius_a) ** 2 < 1

    def couch(self, surface=-100.0, bend=0.0):
        """Two shells of 3 mm with foam between, their upper face at A = `surface`."""
        depth = surface - (self.a + bend * self.r**2)
        self.add((depth > 0) & (depth < 40) & (np.abs(self.r) < 220), -940, False)
        for top in (0, 37):
            self.add((depth > top) & (depth < top + 3.5) & (np.abs(self.r) < 220), 150, False)

    def ct(self, noise=15):
        noisy = self.hu + np.random.default_rng(0).normal(0, noise, self.hu.shape)
        return Volume(np.clip(noisy, -1024, None).astype(np.int16), self.matrix)


def chest(scene, arms=False):
    """A torso of fat and muscle with two lungs and a spine; its back lies on A = -100."""
    scene.couch()
    scene.add(scene.cylinder(0, 0, 160, 100), -90, True)
    scene.add(scene.cylinder(0, 0, 145, 85), 45, True)
    for side in (-70, 70):
        scene.add(scene.cylinder(side, 10, 50, 60), -850, True)
    scene.add(scene.cylinder(0, -60, 20, 20), 400, True)
    if arms:
        for side in (-205, 205):
            scene.add(scene.cylinder(side, -60, 38, 38), 40, True)
            scene.add(scene.cylinder(side, -60, 11, 11), 700, True)
    return scene


def split(scene, mask):
    """Share of the body that is kept, and g of other things above -900 HU before and after."""
    kept = (mask & scene.body).sum() / scene.body.sum()
    mass = np.clip(scene.hu + 1000, 0, None) * abs(np.linalg.det(scene.matrix[:3, :3])) * 1e-6
    other = ~scene.body & (scene.hu > -945)
    return kept, mass[other].sum(), mass[other & mask].sum()


@pytest.mark.parametrize("arms", [False, True])
def test_the_couch_goes_and_the_body_stays(arms):
    scene = chest(Scene(), arms)
    kept, before, after = split(scene, body_mask(scene.ct()))
    assert kept == 1
    assert before > 500 and after < 0.1 * before  # what touches the skin, as deep as a voxel of the copy


def test_a_bent_couch_and_a_head_in_its_rest():
    scene = Scene((60, 100, 100), (2.5, 2.5, 4.0))
    rest = scene.cylinder(0, 0, 125, 125) & ~scene.cylinder(0, 0, 119, 119) & (scene.a < 0)
    scene.add(rest, 120, False)
    scene.add(scene.cylinder(0, -33, 75, 85), 30, True)
    scene.add(scene.cylinder(0, -33, 70, 80) & ~scene.cylinder(0, -33, 62, 72), 900, True)
    ears = (np.abs(np.abs(scene.r) - 87) < 14) & (np.abs(scene.a + 10) < 2.5) & (np.abs(scene.s) < 30)
    scene.add(ears, 20, True)
    kept, before, after = split(scene, body_mask(scene.ct()))
    assert kept == 1
    assert before > 500 and after < 0.25 * before  # it fits the back of the head closely


def test_two_legs_stay():
    scene = Scene()
    scene.couch(-80)
    for side in (-90, 90):
        scene.add(scene.cylinder(side, 0, 75, 80), 20, True)
        scene.add(scene.cylinder(side, 0, 16, 16), 900, True)
    kept, before, after = split(scene, body_mask(scene.ct()))
    assert kept == 1 and after < 0.1 * before


def test_lungs_that_the_scan_cuts_open_stay():
    """The field of view ends inside the chest on all sides."""
    scene = chest(Scene())
    inner = (slice(10, 50), slice(45, 110), slice(60, 140))
    ct = scene.ct()
    mask = body_mask(Volume(ct.array[inner], ct.ijk_to_ras))
    assert (mask | ~scene.body[inner]).all()


def test_a_body_that_fills_the_field_of_view_and_phantoms_stay_whole():
    everywhere = np.full((30, 30, 30), 40, np.int16)
    everywhere[10:20, 10:20, 10:20] = -850
    assert body_mask(Volume(everywhere, np.diag([5.0, 5, 5, 1]))).all()
    for hu in (0, 125, -77):  # water, PMMA, fat
        scene = Scene((40, 80, 80), (4, 4, 4))
        scene.add(scene.cylinder(0, 0, 100, 100), hu, True)
        scene.add(scene.cylinder(50, 0, 12, 12), -1000, True)
        mask = body_mask(scene.ct())
        assert mask[scene.body & (scene.hu > -900)].all()


def test_where_there_is_no_body_everything_stays():
    """Beads, a mouse, a wire: objects of less than half a litre."""
    hu = np.full((40, 40, 40), -1000, np.int16)
    hu[5:8, 5:8, 5:8] = 3000
    hu[20:34, 20:34, 20:34] = 40
    assert body_mask(Volume(hu, np.diag([3.0, 3, 3, 1]))).all()
    assert body_mask(Volume(np.full((5, 5, 5), -1000, np.int16), np.eye(4))).all()


def test_storage_order_and_resolution_do_not_matter():
    scene = chest(Scene())
    ct = scene.ct()
    reference = body_mask(ct)
    for permutation, flips in (((2, 1, 0), (True, False, True)), ((1, 0, 2), (False, True, False))):
        moved, matrix = restored(ct.array, ct.ijk_to_ras, permutation, flips)
        expected, _ = restored(reference, ct.ijk_to_ras, permutation, flips)
        found = body_mask(Volume(moved, matrix))
        # Blocks begin at the other end of a flipped axis: the border of the mask may move by a voxel of the copy.
        assert (found == expected).mean() > 0.99
        body, _ = restored(scene.body, ct.ijk_to_ras, permutation, flips)
        assert found[body].all()
    coarse = chest(Scene((24, 50, 70), (7.0, 7.0, 10.0)))
    kept, before, after = split(coarse, body_mask(coarse.ct()))
    assert kept == 1 and after < before


def test_the_real_headrest(shared_data):
    """skull_ct: the shell of the headrest and its cloth go, no part of the head does."""
    ct = read_ct(shared_data / "skull_ct" / "ct_0.957x0.957x1.5mm.nii.gz")
    start = time.process_time()
    mask = body_mask(ct)
    assert time.process_time() - start < 2
    ml = np.prod(ct.spacing) / 1000
    gone = ~mask & (ct.array > -300)
    assert 80 < gone.sum() * ml < 120  # the shell alone, of about 3 mm
    # The head ends in front of the shell at each side and in front of the row where the cloth begins.
    assert (np.nonzero(gone)[1] < 130).all() and not (ct.array[gone] > 1500).any()
    j, i = np.ogrid[:256, :256]
    head = ((j - 130) / 85) ** 2 + ((i - 130) / 62) ** 2 < 1
    assert mask[:100, head][ct.array[:100, head] > -300].all()


def test_no_labelled_voxel_of_a_real_chest_is_lost(shared_data):
    ct = read_ct(shared_data / "chest_ct" / "ct_1.5mm.nii.gz")
    mask = body_mask(ct)
    to_index = np.linalg.inv(ct.ijk_to_ras)
    for segment in read_segmentation(shared_data / "chest_ct" / "totalsegmentator_labels_1.5mm.nii.gz"):
        low = np.rint(to_index[:3, :3] @ segment.mask.ijk_to_ras[:3, 3] + to_index[:3, 3]).astype(int)
        window = tuple(slice(a, a + n) for a, n in zip(low[::-1], segment.mask.array.shape, strict=True))
        assert mask[window][segment.mask.array > 0].all(), segment.name
    ml = np.prod(ct.spacing) / 1000
    assert (~mask & (ct.array > -300)).sum() * ml > 200  # the couch


@pytest.mark.parametrize("name", ["thorax", "heart"])
def test_a_truncated_chest_stays(shared_data, name):
    ct = read_ct(shared_data / "thorax_cta_stent" / f"ct_{name}_1.5mm.nii.gz")
    gone = ~body_mask(ct) & (ct.array > -900)
    assert gone.sum() * np.prod(ct.spacing) / 1000 < 10  # ml, of cables and cloth before the chest
