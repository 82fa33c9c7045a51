"""The scatter network in the making: its pairs, the same network in numpy and torch, training in pieces."""

import json

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning.scatter_inputs import CELLS, NAMES, removed
from DeepDRRSlicerLib.learning.scatter_network import ScatterNetwork, load_network
from DeepDRRSlicerLib.training.scatter.bodies import CHANNELS, body
from DeepDRRSlicerLib.training.scatter.pairs import PairSettings, make_pairs, pair, read_pairs
from DeepDRRSlicerLib.training.scatter.train import ScatterSettings, train_scatter

MAPS = len(NAMES)


@pytest.mark.parametrize("seed", range(8))
def test_bodies_are_of_matter(seed):
    _, volume = body(np.random.default_rng(seed))
    assert volume.materials == CHANNELS
    density = np.tensordot(volume.scale, volume.density, axes=1)
    assert 0.5 < density.max() < 2.5
    litres = (density > 0.1).sum() * 6**3 / 1e6
    assert 0.3 < litres < 80


def test_a_pair_is_the_same_again_and_hangs_together():
    first, again, other = pair(3, 5, 4000), pair(3, 5, 4000), pair(3, 6, 4000)
    assert np.array_equal(first.inputs, again.inputs) and np.array_equal(first.scatter, again.scatter)
    assert not np.array_equal(first.inputs, other.inputs)
    assert first.inputs.shape == (MAPS, CELLS, CELLS) and first.scatter.shape == (CELLS, CELLS)
    assert np.isfinite(first.inputs).all() and (first.scatter >= 0).all() and first.scatter.max() > 0
    assert 0.02 <= removed(first.inputs) <= 1


def test_pairs_are_made_once(tmp_path):
    settings = PairSettings(seed=1, count=2, histories=400)
    assert make_pairs(tmp_path, settings) == 2
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert make_pairs(tmp_path, settings) == 2
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert read_pairs(tmp_path)[0].shape == (2, MAPS, CELLS, CELLS)
    with pytest.raises(InputError, match="other settings"):
        make_pairs(tmp_path, PairSettings(seed=2, count=2, histories=400))
    with pytest.raises(InputError, match="no training pairs"):
        read_pairs(tmp_path / "nowhere")


def write_made_up_pairs(folder, count=8):
    """Inputs at random, and scatter that is a tenth of what they take from the beam."""
    inputs = np.random.default_rng(0).random((count, MAPS, 16, 16), dtype=np.float32)
    scatter = 0.1 * removed(inputs)[:, None, None] * np.ones((count, 16, 16), dtype=np.float32)
    np.savez(folder / "pairs_000000.npz", inputs=inputs, scatter=scatter.astype(np.float32))


def test_training_learns_and_goes_on_where_it_was(tmp_path):
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        write_made_up_pairs(tmp_path)
        settings = ScatterSettings(steps=60, batch=4, warm_up=5, average=0.9, widths=(4, 6, 8, 8))
        assert train_scatter(tmp_path, tmp_path / "whole", settings, 5)
        assert not train_scatter(tmp_path, tmp_path / "pieces", settings, 0)
        train_scatter(tmp_path, tmp_path / "pieces", settings, 0.002, resume=True)  # some of the steps
        assert train_scatter(tmp_path, tmp_path / "pieces", settings, 5, resume=True)
    finally:
        torch.set_num_threads(threads)
    whole, pieces = (load_network(tmp_path / name / "scatter.safetensors") for name in ("whole", "pieces"))
    assert whole.digest == pieces.digest
    losses = [json.loads(line)["loss"] for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    inputs, scatter = read_pairs(tmp_path)
    assert abs(whole(inputs[0]).mean() / scatter[0].mean() - 1) < 0.3
    assert not whole.outside(inputs.mean(axis=0)) and whole.outside(inputs[1] * 10)
    with pytest.raises(InputError, match="training already"):
        train_scatter(tmp_path, tmp_path / "whole", settings, 1)


def test_numpy_and_torch_compute_the_same():
    torch = pytest.importorskip("torch")
    from DeepDRRSlicerLib.training.scatter.model import ScatterModel

    torch.manual_seed(0)
    model = ScatterModel((4, 6, 8, 10))
    torch.nn.init.normal_(model.last.weight, std=0.3)
    tensors = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    network = ScatterNetwork(tensors, {}, np.zeros(MAPS), np.ones(MAPS))
    inputs = np.random.default_rng(1).random((MAPS, 32, 24), dtype=np.float32)
    expected = model(torch.from_numpy(inputs)[None])[0].detach().numpy()
    assert np.allclose(network(inputs), expected, rtol=1e-4)
    assert network(inputs[:, :30, :21]).shape == (30, 21)  # sides that are no multiples of 8
    inputs[NAMES.index("transmission")] = 1  # nothing in the beam
    assert (network(inputs) == 0).all()


def test_a_file_that_is_no_network(tmp_path):
    pytest.importorskip("safetensors")
    (tmp_path / "weights.pt").write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match="no scatter network"):
        load_network(tmp_path / "weights.pt")
