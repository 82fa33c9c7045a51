"""What a CT is made of: any storage, spacing and field of view, within the memory, or a clear refusal."""

import numpy as np
import pytest
from learning_samples import lumpy_ct, one_thread, write_small_network  # noqa: F401

from DeepDRRSlicerLib.anatomy.substances import CLASSES
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning import decomposition, device, memory
from DeepDRRSlicerLib.learning.decomposition import classify
from DeepDRRSlicerLib.projection.projector import Stopped
from phantoms import restored, storage_orders

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_small_network(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="module")
def plain(weights):
    ct = lumpy_ct()
    return ct, classify(ct, device="cpu", weights=weights)


def test_labels_lie_on_the_cts_own_grid(plain):
    ct, labels = plain
    assert labels.shape == ct.array.shape and labels.dtype == np.uint8 and labels.max() < len(CLASSES)
    assert len(np.unique(labels)) > 2


@pytest.mark.parametrize("permutation, flips", storage_orders())
def test_the_48_ways_to_store_a_ct_give_the_same_labels_in_the_same_places(plain, weights, permutation, flips):
    ct, labels = plain
    other = Volume(*restored(ct.array, ct.ijk_to_ras, permutation, flips))
    found = classify(other, device="cpu", weights=weights)
    assert np.array_equal(found, restored(labels, ct.ijk_to_ras, permutation, flips)[0])


@pytest.mark.parametrize("low, high", [((0, 0, 9), (36, 28, 11)), ((0, 0, 9), (36, 28, 12)), ((0, 13, 0), (36, 15, 20)),
                                       ((16, 0, 0), (18, 28, 20))])  # fmt: skip
def test_a_few_slices_in_any_direction_work(weights, low, high):
    thin = lumpy_ct().cropped(low, high)
    assert classify(thin, weights=weights).shape == thin.array.shape


@pytest.mark.parametrize("step", [(0.4, 0.4, 0.6), (5.0, 5.0, 10.0), (0.5, 0.5, 12.0)])
def test_any_spacing_works(weights, step):
    assert classify(lumpy_ct((12, 30, 32), step), weights=weights).shape == (12, 30, 32)


def test_the_array_is_left_as_it_was(weights):
    for kind in (np.int16, np.int32, np.float64):
        ct = lumpy_ct()
        array = ct.array.astype(kind)
        array[0, 0, 0] = -3024
        before = array.copy()
        array.flags.writeable = False
        classify(Volume(array, ct.ijk_to_ras), weights=weights)
        assert np.array_equal(array, before)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda hu: np.zeros_like(hu), "the same value"),
        (lambda hu: np.full_like(hu, -1000), "the same value"),
        (lambda hu: np.where(hu > -900, -800, hu), "nothing but air"),
        (lambda hu: hu.astype(np.uint16), "not in HU"),  # negative values wrap to 64512 and more
        (lambda hu: hu.astype(np.float32) + np.where(hu > 600, np.nan, 0), "NaN"),
        (lambda hu: hu * np.float32(3e5), "not in HU"),
        (lambda hu: hu[:1], "at least two slices"),
        (lambda hu: hu > 0, "type bool"),
    ],
)
def test_what_is_no_ct_is_refused_in_a_sentence(weights, change, message):
    ct = lumpy_ct()
    with pytest.raises(InputError, match=message) as caught:
        classify(Volume(change(ct.array), ct.ijk_to_ras), weights=weights)
    assert str(caught.value).endswith(".")


def test_metal_on_an_extended_scale_is_clipped_and_not_refused(weights):
    ct = lumpy_ct()
    array = ct.array.copy()
    array[5, 10:12, 10:12] = 20000
    clipped = np.minimum(array, 3071)
    found, same = (classify(Volume(a, ct.ijk_to_ras), weights=weights) for a in (array, clipped))
    assert np.array_equal(found, same)


def test_a_huge_ct_with_too_little_memory_is_refused_before_anything_is_taken(weights, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 1 << 30)
    huge = Volume(np.broadcast_to(np.int16(0), (1024, 1024, 1024)), np.diag([0.5, 0.5, 0.5, 1]))
    with pytest.raises(InputError, match=r"memory but .* GB are free"):
        classify(huge, weights=weights)


def test_little_memory_is_enough_or_refused(plain, weights, monkeypatch):
    """Tiles are small enough for 400 MB; with less comes a refusal that says how much is needed."""
    network = decomposition.load_trained(weights).network
    place = device.Place("cpu", False)
    for free in (2 << 30, 400 << 20):
        assert decomposition.plan((166, 180, 180), network, place, free).tile_voxels <= 80**3
    with pytest.raises(InputError, match=r"The network needs .* GB of memory"):
        decomposition.plan((166, 180, 180), network, place, 1 << 25)
    monkeypatch.setattr(memory, "free_memory", lambda: 600 << 20)
    ct, labels = plain
    assert np.array_equal(classify(ct, device="cpu", weights=weights), labels)


def test_progress_rises_to_one_and_a_stop_is_heard(plain, weights):
    ct, _ = plain
    heard = []
    classify(ct, progress=heard.append, weights=weights)
    assert heard == sorted(heard) and heard[-1] == 1.0
    with pytest.raises(Stopped):
        classify(ct, should_stop=lambda: True, weights=weights)
    answers = iter([False, True])  # of a tile, then of a block of the refiner
    with pytest.raises(Stopped):
        classify(ct, should_stop=lambda: next(answers, True), weights=weights)


def test_a_card_that_fails_gives_way_to_the_cpu(plain, weights, monkeypatch):
    ct, labels = plain
    real = decomposition._classify
    places = []

    def failing(ct, trained, place, *rest):
        places.append(place.device)
        if place.device == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return real(ct, trained, place, *rest)

    monkeypatch.setattr(decomposition, "_classify", failing)
    monkeypatch.setattr(decomposition, "choose", lambda name: device.Place("cuda", False))
    monkeypatch.setattr(decomposition, "cpu", lambda: device.Place("cpu", device.cpu().half))
    assert np.array_equal(classify(ct, device="auto", weights=weights), labels)
    assert places == ["cuda", "cpu"]
    with pytest.raises(InputError, match="CUDA failed .*out of memory"):
        classify(ct, device="cuda", weights=weights)


def test_devices():
    assert device.choose("cpu").device == "cpu"
    with pytest.raises(InputError, match="no device 'gpu'"):
        device.choose("gpu")
    if not torch.cuda.is_available():
        assert device.choose("auto") == device.cpu()
        with pytest.raises(InputError, match="CUDA cannot be used"):
            device.choose("cuda")


def test_weights_of_other_classes_are_refused(tmp_path):
    path = write_small_network(tmp_path / "other.safetensors", classes=(*CLASSES[:6], "gold"))
    with pytest.raises(InputError, match="gold"):
        classify(lumpy_ct(), weights=path)


def test_threads_are_as_many_as_before(plain, weights):
    before = torch.get_num_threads()
    classify(plain[0], weights=weights)
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_what_the_cpu_gives(plain, weights):
    ct, labels = plain
    assert (classify(ct, device="cuda", weights=weights) != labels).mean() < 0.01
