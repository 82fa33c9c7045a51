"""Files of weights: safetensors alone, whole, and of this program."""

import json
import pickle

import pytest
from learning_samples import write_small_network

from DeepDRRSlicerLib import learning
from DeepDRRSlicerLib.anatomy.substances import CLASSES
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning.weights import joined, load_trained, read_tensors

torch = pytest.importorskip("torch")


def test_what_was_written_is_read(tmp_path):
    path = write_small_network(tmp_path / "a.safetensors")
    trained = load_trained(path)
    assert trained.classes == CLASSES and trained.spacing == 2.0
    assert trained.network.config.widths == (8, 8)
    tensors, header = read_tensors(path)
    assert header["network"]["detail"] == 4
    for name, value in joined(trained.network, trained.refiner).items():
        assert value.dtype == torch.float32 and torch.equal(value, tensors[name].float())
    assert len(tensors) == len(trained.network.state_dict()) + len(trained.refiner.state_dict())


@pytest.mark.parametrize("kind", ["pickle", "cut", "text", "empty", "other header"])
def test_any_other_file_is_refused_and_never_unpickled(tmp_path, kind):
    from safetensors.torch import save_file

    path = tmp_path / "b.safetensors"
    whole = write_small_network(tmp_path / "a.safetensors").read_bytes()
    made = tmp_path / "code ran"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(_Code(made)))
    elif kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "text":
        path.write_text("weights")
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="holds no weights of this program"):
        load_trained(path)
    assert not made.exists()


class _Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no file of weights"):
        load_trained(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"network": {"detail": 6}},
        {"network": {"widths": [4096, 8192, 16384]}},
        {"network": {"unknown": 1}},
        {"network": None},
        {"spacing": "far"},
        {"refiner": {"width": 5}},
        {"refiner": {"reach": [1, 2]}},
        {"refiner": None},
    ],
)
def test_a_header_that_does_not_fit_is_refused_before_memory_is_taken(tmp_path, change):
    from safetensors.torch import save_file

    tensors, header = read_tensors(write_small_network(tmp_path / "a.safetensors"))
    header = header | change
    save_file(tensors, tmp_path / "b.safetensors", {"header": json.dumps(header)})
    with pytest.raises(InputError, match="do not fit this version"):
        load_trained(tmp_path / "b.safetensors")


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    assert learning.available() is None
    monkeypatch.setattr(learning, "find_spec", lambda name: None if name == "safetensors" else object())
    assert "needs safetensors" in learning.available() and "pip install safetensors" in learning.available()
    with pytest.raises(InputError, match="needs safetensors"):
        learning.require()
