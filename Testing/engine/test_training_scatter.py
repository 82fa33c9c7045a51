"""The scatter network in the making: its pairs, the same network in numpy and torch, training in pieces."""

import json

import numpy as np
import pytest

from DeepDRRSlicerLib.__main__ import main
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning.scatter_inputs import CELLS, NAMES
from DeepDRRSlicerLib.learning.scatter_network import ScatterNetwork, load_network
from DeepDRRSlicerLib.training.scatter.bodies import CHANNELS, METALS, body
from DeepDRRSlicerLib.training.scatter.pairs import PairSettings, make_pairs, pair, read_pairs
from DeepDRRSlicerLib.training.scatter.settings import read_settings
from DeepDRRSlicerLib.training.scatter.train import ScatterSettings, train_scatter

MAPS = len(NAMES)


@pytest.mark.parametrize("seed", range(8))
def test_bodies_are_of_matter(seed):
    _, volume = body(np.random.default_rng(seed))
    assert volume.materials == CHANNELS or (volume.materials[:-1] == CHANNELS and volume.materials[-1] in METALS)
    density = np.tensordot(volume.scale, volume.density, axes=1)
    assert 0.5 < density.max() < (2.5 if volume.materials == CHANNELS else 8)
    litres = (density > 0.1).sum() * 6**3 / 1e6
    assert 0.3 < litres < 80


def test_a_pair_is_the_same_again_and_hangs_together():
    few = PairSettings(seed=3, histories=4000)
    first, again, other = pair(few, 5), pair(few, 5), pair(few, 6)
    assert np.array_equal(first.inputs, again.inputs) and np.array_equal(first.scatter, again.scatter)
    assert not np.array_equal(first.inputs, other.inputs)
    assert first.inputs.shape == (MAPS, CELLS, CELLS) and first.scatter.shape == (CELLS, CELLS)
    assert np.isfinite(first.inputs).all() and (first.scatter >= 0).all() and first.scatter.max() > 0
    assert first.estimate.shape == (CELLS, CELLS) and (first.estimate >= 0).all() and first.estimate.max() < 1


def test_pairs_are_made_once(tmp_path):
    settings = PairSettings(seed=1, count=2, histories=400)
    assert make_pairs(tmp_path, settings) == 2
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert make_pairs(tmp_path, settings) == 2
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert read_pairs(tmp_path).inputs.shape == (2, MAPS, CELLS, CELLS)
    with pytest.raises(InputError, match="other settings"):
        make_pairs(tmp_path, PairSettings(seed=2, count=2, histories=400))
    with pytest.raises(InputError, match="no training pairs"):
        read_pairs(tmp_path / "nowhere")


def write_made_up_pairs(folder, count=8):
    """Inputs at random, and scatter that is twice the estimate."""
    inputs = np.random.default_rng(0).random((count, MAPS, 16, 16), dtype=np.float32)
    estimate = np.random.default_rng(1).random((count, 16, 16), dtype=np.float32)
    np.savez(folder / "pairs_000000.npz", names=np.array(NAMES), inputs=inputs, estimate=estimate, scatter=2 * estimate,
             error=0.1 * estimate)  # fmt: skip


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
    pairs = read_pairs(tmp_path)
    inputs = pairs.inputs
    assert abs(whole(inputs[0], pairs.estimate[0]).mean() / pairs.scatter[0].mean() - 1) < 0.3
    assert not whole.outside(inputs.mean(axis=0)) and whole.outside(inputs[1] * 10) == NAMES
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
    inputs = np.random.default_rng(1).random((MAPS, 32, 32), dtype=np.float32)
    estimate = np.random.default_rng(2).random((32, 32), dtype=np.float32)
    expected = model(torch.from_numpy(inputs)[None], torch.from_numpy(estimate)[None])[0].detach().numpy()
    assert np.allclose(network(inputs, estimate), expected, rtol=1e-4)
    assert not np.allclose(expected, estimate)
    assert (network(inputs, 0 * estimate) == 0).all()  # nothing in the beam


def test_a_file_that_is_no_network(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"\x80\x04pickle")
    (tmp_path / "short").write_bytes(b"\x10")
    (tmp_path / "list").write_bytes((2).to_bytes(8, "little") + b"[]")
    for name in ("weights.pt", "short", "list", "missing"):
        with pytest.raises(InputError, match="no scatter network"):
            load_network(tmp_path / name)


QUICK = {
    "pairs": {"count": 2, "histories": 400, "cts": []},
    "training": {"steps": 4, "batch": 2, "widths": [2, 2, 2, 2]},
}


def command(folder, capsys, *options, settings=QUICK):
    """Exit code, and what was said on either stream."""
    config = folder / "settings.json"
    config.write_text(json.dumps(settings))
    code = main(["train", "scatter", "--config", str(config), "-o", str(folder / "work"), *map(str, options)])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_train_command_goes_on_where_it_was(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        code, said = command(tmp_path, capsys, "--minutes", 1e-9)
        assert code == 0 and "not finished" in said and not list((tmp_path / "work" / "pairs").glob("*.npz"))
        code, said = command(tmp_path, capsys, "--minutes", 5)
        assert code == 2 and "--resume" in said
        code, said = command(tmp_path, capsys, "--minutes", 5, "--resume")
        assert code == 0 and ": finished" in said
    finally:
        torch.set_num_threads(threads)
    assert load_network(tmp_path / "work" / "scatter.safetensors").header["step"] == 4
    assert (tmp_path / "work" / "log.jsonl").exists() and (tmp_path / "work" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"pair": {}}, "fields pairs, training"),
        ({"pairs": {"counts": 3}}, "no field 'pairs.counts'"),
        ({"pairs": {"count": 0}}, "'pairs.count'"),
        ({"training": {"widths": ["a"]}}, "'training.widths'"),
        ({"pairs": {"cts": ["missing.nii.gz"]}}, "missing.nii.gz"),
        ([], "fields pairs, training"),
    ],
)
def test_train_command_names_what_is_wrong(tmp_path, capsys, settings, sentence):
    code, said = command(tmp_path, capsys, settings=settings)
    assert code == 2 and sentence in said


def test_train_command_leaves_out_what_is_not_for_scatter(tmp_path, capsys):
    code, said = command(tmp_path, capsys, "--device", "cuda")
    assert code == 2 and "CPU" in said


def test_shipped_settings_can_be_read():
    pairs, training = read_settings()
    assert pairs.count >= 1000 and "skull" in pairs.cts[0] and training.steps > 1000
    assert not any("chest_ct" in name for name in pairs.cts)  # kept for judging
