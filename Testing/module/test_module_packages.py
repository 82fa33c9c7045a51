"""What Slicer lacks: asked for on first use, installed by Slicer's own ways, and never missed when it is declined."""

import subprocess
import sys
import types
import zipfile
from importlib.util import find_spec as real_find_spec
from pathlib import Path

import numpy as np
import pytest
from panel_actions import run_python

from DeepDRRSlicerLib.errors import InputError
from host import qmrml_module
from host.pythonqt import invokable

REQUIREMENTS = Path(__file__).resolve().parents[2] / "DeepDRRSlicer" / "Resources" / "requirements.txt"


@pytest.fixture
def dependencies(host):
    """The file under test, which needs the test host to be imported."""
    from DeepDRRSlicerLib.ui import dependencies

    return dependencies


@pytest.fixture
def packages(there, dependencies):
    """What is offered when nothing is there."""
    return dependencies.Packages(REQUIREMENTS)


@pytest.fixture
def there(dependencies, monkeypatch):
    """Names of the modules that can be imported, of those that are offered; none at first."""
    found = set()

    def find_spec(name):
        offered = name.partition(".")[0] in {"numba", "safetensors", "torch", "h5py", "cuda", "pycuda", "PyTorchUtils"}
        return (object() if name in found else None) if offered else real_find_spec(name)

    monkeypatch.setattr(dependencies, "find_spec", find_spec)
    return found


@pytest.fixture
def asked(host, monkeypatch):
    """The questions that were put; all are declined, and a test may say otherwise by `asked.answer`."""
    import slicer

    class Asked(list):
        answer = False

    questions = Asked()

    def confirm(text, title=None):
        questions.append(text)
        return questions.answer

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", confirm)
    return questions


@pytest.fixture
def not_testing(host, monkeypatch):
    """Slicer without --testing."""
    monkeypatch.setattr(qmrml_module.qSlicerApplication, "testingEnabled", invokable(lambda self: False))


@pytest.fixture
def slicer_5_12(host, monkeypatch):
    """slicer.packaging, whose pip_ensure only writes down how it was called."""
    import slicer

    calls = []
    packaging = types.ModuleType("slicer.packaging")

    def pip_ensure(requirements, constraints=None, skip_packages=None, prompt_install=True, prompt_restart=True,
                   requester=None, skip_in_testing=True, show_progress=True):  # fmt: skip
        assert not prompt_install and prompt_restart and skip_in_testing, "one question, not two"
        calls.append((requirements, Path(constraints).read_text(), requester))

    packaging.pip_ensure = pip_ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    monkeypatch.setattr(slicer, "packaging", packaging, raising=False)
    return calls


@pytest.fixture
def slicer_5_10(host, monkeypatch):
    """slicer.util.pip_install of Slicer 5.10, which writes down how it was called; there is no slicer.packaging."""
    import slicer

    calls = []
    monkeypatch.setattr(slicer.util, "pip_install", lambda requirements: calls.append(requirements))
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    return calls


def test_the_question_says_what_and_how_large_and_is_put_once(packages, asked, there, slicer_5_12):
    packages.askOnFirstUse("numba")
    packages.askOnFirstUse("numba")
    assert len(asked) == 1 and "numba" in asked[0] and "65 MB" in asked[0] and slicer_5_12 == []
    assert not packages.install("numba") and len(asked) == 2, "the button asks again"
    there |= {"numba", "safetensors"}
    packages.askOnFirstUse("numba")
    assert not packages.install("numba") and len(asked) == 2, "nothing is missing"


def test_slicer_5_12_installs_and_keeps_its_numpy(packages, asked, there, slicer_5_12, not_testing, monkeypatch):
    asked.answer, told = True, []
    packages.onInstalled.append(lambda: told.append(True))
    ensure = sys.modules["slicer.packaging"].pip_ensure

    def installing(*arguments, **options):
        ensure(*arguments, **options)
        there.update(("numba", "safetensors"))

    monkeypatch.setattr(sys.modules["slicer.packaging"], "pip_ensure", installing)
    assert packages.install("numba") and told == [True]
    ((requirements, constraints, requester),) = slicer_5_12
    assert requirements == ["numba>=0.60", "safetensors>=0.4"] and requester == "DeepDRRSlicer"
    assert constraints == f"numpy=={np.__version__}\n"


def test_slicer_5_10_installs_likewise(packages, asked, slicer_5_10, not_testing):
    asked.answer = True
    packages.askOnFirstUse("numba")
    ((flag, path, *requirements),) = slicer_5_10
    assert flag == "--constraint" and not Path(path).exists() and requirements == ["numba>=0.60", "safetensors>=0.4"]


def test_a_self_test_of_slicer_installs_nothing(packages, asked, slicer_5_10):
    asked.answer = True  # as all questions are answered with --testing
    assert not packages.install("numba") and slicer_5_10 == []


@pytest.mark.parametrize(
    "error", [RuntimeError("no network"), subprocess.CalledProcessError(1, "pip"), OSError("full")]
)
def test_a_failed_installation_is_said_in_a_sentence(packages, asked, slicer_5_10, not_testing, monkeypatch, error):
    import slicer

    def fail(requirements):
        raise error

    shown, asked.answer = [], True
    monkeypatch.setattr(slicer.util, "pip_install", fail)
    monkeypatch.setattr(slicer.util, "errorDisplay", shown.append)
    with pytest.raises(InputError, match="numba, safetensors could not be installed"):
        packages.install("numba")
    packages.askOnFirstUse("numba")
    packages.askOnFirstUse("numba")
    assert len(shown) == 1 and len(asked) == 2, "it does not fail again and again"


def test_torch_comes_from_the_pytorch_extension(packages, asked, there, slicer_5_12, not_testing, monkeypatch):
    asked.answer = True
    with pytest.raises(InputError, match="Extensions Manager"):
        packages.install("torch")
    assert asked == []
    calls = []

    class PyTorchUtilsLogic:  # as of the extension: fepegar/SlicerPyTorch, PyTorchUtils.py
        def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None,
                         torchvisionVersionRequirement=None):  # fmt: skip
            calls.append((askConfirmation, torchVersionRequirement))
            there.add("torch")

    monkeypatch.setitem(sys.modules, "PyTorchUtils", types.SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic))
    there |= {"PyTorchUtils", "safetensors"}
    assert packages.install("torch") and calls == [(False, ">=2.2")]
    assert "PyTorch" in asked[0] and "3 GB" in asked[0]
    assert slicer_5_12[0][0] == ["safetensors>=0.4"], "pip itself is never told of torch"


class Driver:
    """The CUDA driver library: version as cuDriverGetVersion has it, or an error."""

    def __init__(self, version, error=0):
        self.version, self.error = version, error

    def cuDriverGetVersion(self, pointer):
        pointer._obj.value = self.version
        return self.error


@pytest.mark.parametrize(
    "version, toolkit, offered, extra",
    [
        (None, True, set(), None),
        (13010, False, {"cuda"}, "cuda-core[cu13]>=0.3"),
        (12080, True, {"cuda", "pycuda"}, "cuda-core[cu12]>=0.3"),
    ],
)
def test_the_graphics_card_is_offered_where_it_can_be_used(
    there, dependencies, monkeypatch, tmp_path, version, toolkit, offered, extra
):
    def library(name):
        if version is None:
            raise OSError(f"{name}: cannot open shared object file")
        return Driver(version)

    monkeypatch.setattr(dependencies.ctypes, "CDLL", library)
    monkeypatch.setattr(dependencies.shutil, "which", lambda name: None)
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.setenv("CUDA_PATH", str(tmp_path if toolkit else tmp_path / "removed"))
    offers = dependencies.Packages(REQUIREMENTS).offers
    assert offers.keys() & {"cuda", "pycuda"} == offered
    assert extra is None or offers["cuda"].requirements[0] == extra


def test_a_driver_that_fails_is_none(dependencies, monkeypatch):
    monkeypatch.setattr(dependencies.ctypes, "CDLL", lambda name: Driver(12000, error=100))
    assert dependencies.cudaVersion() is None


def test_the_panel_offers_what_is_missing_and_hides_the_rest(host, asked, there, dependencies, monkeypatch):
    monkeypatch.setattr(dependencies, "cudaVersion", lambda: None)
    there |= {"h5py"}
    widget = host.openModule()
    ui, parameters = widget.ui, widget.logic.getParameterNode()
    ui.packagesSection.collapsed = False
    assert ui.numbaPackageButton.visible and "65 MB" in ui.numbaPackageLabel.text
    assert ui.h5pyPackageLabel.text == "h5py: installed" and not ui.h5pyPackageButton.visible
    assert not any(getattr(ui, f"cudaPackage{kind}").visible for kind in ("Title", "Label", "Button"))
    ui.numbaPackageButton.click()
    assert len(asked) == 1 and ui.packagesStatusLabel.text == "Nothing was installed."
    ui.torchPackageButton.click()
    assert "Extensions Manager" in ui.packagesStatusLabel.text and len(asked) == 1
    monkeypatch.setattr("DeepDRRSlicerLib.ui.packages_section.shipped", lambda: REQUIREMENTS)
    ui.materialsSection.collapsed = False
    parameters.keepCouch = True
    assert ui.materialsInstallButton.visible
    parameters.materials = "threshold"
    assert not ui.materialsInstallButton.visible


def test_an_installed_package_is_used_at_once(host, there, asked, dependencies, monkeypatch):
    widget = host.openModule()
    ui, prepared = widget.ui, []
    monkeypatch.setattr(widget.logic.fluoroscopy, "prepareAnew", lambda: prepared.append(True))
    asked.answer = True
    monkeypatch.setattr(dependencies, "_pip", lambda requirements: there.update(("numba", "safetensors", "h5py")))
    ui.packagesSection.collapsed = False
    ui.numbaPackageButton.click()
    assert prepared == [True] and ui.packagesStatusLabel.text == "Installed."
    assert not ui.numbaPackageButton.visible and ui.numbaPackageLabel.text.endswith("installed")


def test_kernels_imported_without_numba_are_compiled_after_it_is_installed():
    code = """
import sys
sys.modules["numba"] = None  # not to be found
from DeepDRRSlicerLib.projection import thickness
from DeepDRRSlicerLib.projection.projector import forget_uncompiled
assert not hasattr(thickness._place, "signatures")
del sys.modules["numba"]
forget_uncompiled()
from DeepDRRSlicerLib.projection.thickness import _place
assert hasattr(_place, "signatures")
held = sys.modules["DeepDRRSlicerLib.projection.thickness"]
forget_uncompiled()
assert sys.modules["DeepDRRSlicerLib.projection.thickness"] is held, "compiled kernels stay"
"""
    run_python(code)


def test_a_folder_of_wheels_serves_a_computer_without_network(
    packages, asked, slicer_5_10, not_testing, monkeypatch, tmp_path
):
    """pip's own settings, as Documentation/install.md has them; the folder's name has a space, written as %20."""
    import slicer

    folder = tmp_path / "wheel folder"
    folder.mkdir()
    for name in ("numba", "safetensors"):
        with zipfile.ZipFile(folder / f"{name}-99.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", "")
            info = f"{name}-99.0.dist-info"
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")

    def pip_install(requirements):  # as slicer.util.pip_install: pip in a process of its own, with Slicer's environment
        command = [sys.executable, "-m", "pip", "install", "--target", str(tmp_path / "target"), *requirements]
        subprocess.run(command, check=True, capture_output=True)

    monkeypatch.setattr(slicer.util, "pip_install", pip_install)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    asked.answer = True
    packages.install("numba")
    assert sorted(p.name for p in (tmp_path / "target").iterdir() if "-" not in p.name) == ["numba", "safetensors"]
