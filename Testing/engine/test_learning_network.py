"""The network: what it sees, and that its answer does not depend on how the volume was cut."""

import numpy as np
import pytest
from learning_samples import one_thread  # noqa: F401

from DeepDRRSlicerLib.learning.tiles import Cut, Tiling
from DeepDRRSlicerLib.projection.projector import Stopped

torch = pytest.importorskip("torch")

from DeepDRRSlicerLib.learning.device import Place  # noqa: E402
from DeepDRRSlicerLib.learning.inference import placed, probabilities  # noqa: E402
from DeepDRRSlicerLib.learning.network import MaterialNet, NetworkConfig, embed  # noqa: E402

CPU = Place("cpu", False)
SMALL = NetworkConfig(detail=4, widths=(8,), blocks=1)
REACH = 8  # voxels that one of SMALL's answers depends on to either side: 1 + 2 * 2 + 1 and the halves' rounding


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(4)
    result = MaterialNet(SMALL)
    with torch.no_grad():  # the blocks begin as nothing
        for parameter in result.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return placed(result, CPU)


@pytest.fixture(scope="module")
def hu():
    return np.random.default_rng(8).uniform(-1000, 1500, (40, 48, 56)).astype(np.float32)


def whole(network, hu, tiling):
    layers = list(probabilities(network, CPU, tiling, lambda first, end: hu[first:end]))
    assert [first for first, _ in layers] == list(np.cumsum([0, *(len(layer) for _, layer in layers[:-1])]))
    return np.concatenate([layer for _, layer in layers])


def one_piece(shape):
    return Tiling(tuple(Cut(n, -(-n // 2) * 2, (0,)) for n in shape))


def test_windows_show_fine_and_coarse_differences():
    windows = NetworkConfig().windows
    channels = embed(torch.tensor([[[[-1000.0, -90.0, 50.0, 300.0, 2900.0, torch.nan]]]]), windows)[0, :, 0, 0].numpy()
    assert channels.shape == (len(windows) + 1, 6) and np.abs(channels).max() <= 1
    known = channels[:, :5]
    steps = np.abs(np.diff(known, axis=1)).max(axis=0)
    assert (steps > 0.3).all()  # air, fat, muscle, bone and metal are far apart in some window
    assert (channels[:, 5] == 0).all() and (known[-1] == 1).all()


def test_tiles_give_what_one_piece_gives_where_the_network_reaches_no_border(network, hu):
    """With an overlap of twice the reach every voxel is blended from answers that saw all they can see."""
    exact = whole(network, hu, one_piece(hu.shape))
    tiling = Tiling((Cut(40, 24, (0, 8, 16)), Cut(48, 32, (0, 16)), Cut(56, 40, (0, 16))))
    blended = whole(network, hu, tiling)
    assert exact.sum(1) == pytest.approx(np.ones(hu.shape), abs=1e-5)
    assert blended.sum(1) == pytest.approx(np.ones(hu.shape), abs=1e-5)
    # Across the first axis tiles share 16 voxels: those nearest to a tile's border, of little weight, see less.
    assert np.abs(blended - exact).max() < 0.25
    free = np.zeros(hu.shape, bool)
    free[:, :REACH, :REACH] = True  # in one tile of the second and third axis, far from its inner border
    alone = Tiling((Cut(40, 40, (0,)), *tiling.cuts[1:]))
    difference = np.abs(whole(network, hu, alone) - exact).max(axis=1)
    assert difference[free].max() < 1e-5
    assert difference.max() > 1e-4  # so that the test could see a difference


def test_blending_leaves_no_seam(network):
    """Of a uniform body the answer changes no faster where tiles meet than it does in one piece."""
    body = np.full((16, 16, 96), 60, np.float32)
    cuts = (Cut(16, 16, (0,)), Cut(16, 16, (0,)), Cut(96, 64, (0, 32)))
    exact = whole(network, body, one_piece(body.shape))[8, :, 8]
    answer = whole(network, body, Tiling(cuts))[8, :, 8]
    assert np.abs(np.diff(answer) - np.diff(exact))[:, 20:76].max() < 0.01
    ends = whole(network, body[:, :, :64], one_piece((16, 16, 64)))[8, :, 8]
    assert np.abs(ends[:, 63] - exact[:, 63]).max() > 0.05  # a tile without blending would leave one


def test_beyond_the_volume_is_unknown_and_not_air(network, hu):
    """A tile that reaches beyond the volume answers as one that ends with it, where it does not see the end."""
    exact = whole(network, hu, one_piece(hu.shape))
    seen = []
    handle = network.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].numpy()[0]))
    beyond = whole(network, hu, Tiling((Cut(40, 48, (0,)), Cut(48, 48, (0,)), Cut(56, 64, (0,)))))
    handle.remove()
    padded = np.pad(hu, ((0, 8), (0, 0), (0, 8)), constant_values=np.nan)
    assert any(np.array_equal(padded, given, equal_nan=True) for given in seen)  # the others are its mirror images
    inside = (slice(0, 40 - REACH), slice(None), slice(None), slice(0, 56 - REACH))
    assert np.abs(beyond - exact)[inside].max() < 1e-5


def test_it_keeps_no_statistics_of_other_voxels(network):
    """Beside something very different, a voxel beyond the network's reach keeps its answer exactly."""
    rng = np.random.default_rng(1)
    first = rng.uniform(-1000, 1500, (1, 16, 16, 64)).astype(np.float32)
    second = first.copy()
    second[..., 40:] = 3000
    with torch.no_grad():
        a, b = (network(torch.from_numpy(x))[..., : 40 - REACH] for x in (first, second))
    assert torch.equal(a, b)


def test_it_stops_and_tells_how_far_it_is(network, hu):
    tiling = Tiling((Cut(40, 24, (0, 16)), Cut(48, 48, (0,)), Cut(56, 56, (0,))))
    heard = []
    list(probabilities(network, CPU, tiling, lambda a, b: hu[a:b], progress=heard.append))
    assert heard == [0.5, 1.0]
    with pytest.raises(Stopped):
        list(probabilities(network, CPU, tiling, lambda a, b: hu[a:b], should_stop=lambda: True))


def test_bfloat16_answers_almost_the_same(network, hu):
    half = Place("cpu", True)
    exact = whole(network, hu, one_piece(hu.shape))
    layers = probabilities(placed(network, half), half, one_piece(hu.shape), lambda a, b: hu[a:b])
    assert np.abs(np.concatenate([layer for _, layer in layers]) - exact).mean() < 0.01
