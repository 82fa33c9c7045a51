"""The section "Materials" as a person uses it: choose, name segments, wait for the network or stop it, and look."""

import threading
import time

import numpy as np
import pytest
from panel_actions import opened, settle

from DeepDRRSlicerLib.anatomy.substances import CLASSES
from DeepDRRSlicerLib.scene import materials_work
from DeepDRRSlicerLib.scene.materials import AUTOMATIC, LABEL_MAP, MODES, SEGMENTATION, THRESHOLD


class Network:
    """Stands in for the network; it answers when it is let."""

    def __init__(self):
        self.calls, self.may = 0, threading.Event()

    def __call__(self, ct, should_stop, progress):
        from DeepDRRSlicerLib.projection.projector import Stopped

        self.calls += 1
        progress(0.25)
        while not self.may.wait(0.01):
            if should_stop():
                raise Stopped
        labels = np.where(ct.array > -500, CLASSES.index("soft tissue"), 0).astype(np.uint8)
        labels[ct.array > 1000] = CLASSES.index("contrast")
        return labels


@pytest.fixture
def network(host, monkeypatch, tmp_path):
    """A network that can run."""
    monkeypatch.setenv("DEEPDRRSLICER_CACHE", str(tmp_path / "cache"))
    stand_in = Network()
    monkeypatch.setattr(materials_work, "network_missing", lambda: None)
    monkeypatch.setattr(materials_work, "network", lambda: (stand_in, "v" * 64))
    yield stand_in
    stand_in.may.set()


@pytest.fixture
def no_network(host, monkeypatch):
    """A Python without torch."""
    monkeypatch.setattr(materials_work, "network_missing", lambda: "The network needs torch; install torch.")


@pytest.fixture
def beads(host, patient):
    """A segmentation of the patient: the beads, which no name tells, and the body."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Parts")
    node.SetReferenceImageGeometryParameterFromVolumeNode(patient)
    hu = slicer.util.arrayFromVolume(patient)
    for name, mask in (("Beads", hu > 1000), ("Muscle", (hu > -500) & (hu < 1000))):
        segment = node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, segment, patient)
    return node


def materials(widget):
    """What decomposed the patient that pictures are taken of; None while it is being made ready."""
    ready = widget.logic.fluoroscopy._views._ready
    return ready and ready[1].decomposition


def choose(widget, mode):
    widget.ui.materialsSelector.setCurrentIndex(MODES.index(mode))
    widget.ui.materialsSelector.activated.emit(MODES.index(mode))


def test_without_the_network_the_threshold_model_serves(host, patient, no_network):
    """It says why; the couch can be kept, and the materials looked at."""
    import slicer

    widget, parameters = opened(host)
    ui = widget.ui
    assert materials(widget).name == "threshold"
    assert "threshold model" in ui.materialsStatusLabel.text and "install torch" in ui.materialsStatusLabel.text
    assert not ui.materialsNetworkButton.visible and not ui.materialsProgressBar.visible
    assert not ui.materialsTable.visible and not ui.materialsSegmentationSelector.visible
    choose(widget, THRESHOLD)
    assert parameters.materials == THRESHOLD and "torch" not in ui.materialsStatusLabel.text
    assert materials(widget).details == {"couch": "left out"}
    ui.keepCouchCheckBox.setChecked(True)
    settle(host, widget)
    assert parameters.keepCouch and materials(widget).details == {"couch": "kept"}
    ui.materialsSection.collapsed = False
    assert not ui.materialAmountsTable.visible
    ui.materialsShownCheckBox.setChecked(True)
    host.processEvents(until=lambda: ui.materialAmountsTable.rowCount == 2)
    rows = [[ui.materialAmountsTable.item(row, column).text() for column in range(3)] for row in range(2)]
    assert [row[0] for row in rows] == ["soft tissue", "bone"]
    hu = slicer.util.arrayFromVolume(patient)
    assert float(rows[1][1]) == pytest.approx((hu > 1000).sum() * 0.064, rel=0.01)
    assert float(rows[0][2]) == pytest.approx(1.0) and float(rows[1][2]) == pytest.approx(1.92 * 3500 / 2577, rel=0.01)
    assert len(slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode")) == 1
    ui.materialsShownCheckBox.setChecked(False)
    assert not slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode") and not ui.materialAmountsTable.visible


def test_the_network_serves_as_soon_as_it_has_an_answer(host, patient, network):
    widget, parameters = opened(host)
    ui = widget.ui
    ui.materialsSection.collapsed = False
    assert materials(widget).name == "threshold" and network.calls == 1
    host.processEvents(until=lambda: ui.materialsProgressBar.value == 25)
    assert ui.materialsProgressBar.visible and ui.materialsNetworkButton.text == "Cancel"
    assert "threshold model, until the network is ready" in ui.materialsStatusLabel.text
    assert "looks at the CT" in ui.materialsStatusLabel.text
    network.may.set()
    host.processEvents(until=lambda: "In use: the network" in ui.materialsStatusLabel.text)
    settle(host, widget)
    assert materials(widget).name == "network"
    assert not ui.materialsProgressBar.visible and not ui.materialsNetworkButton.visible
    choose(widget, THRESHOLD)
    settle(host, widget)
    assert materials(widget).name == "threshold"
    choose(widget, AUTOMATIC)
    settle(host, widget)
    assert materials(widget).name == "network" and network.calls == 1


def test_a_network_from_its_file_to_the_picture_once_per_patient(host, patient, monkeypatch, tmp_path):
    """Weights and torch are there: the network is what happens by default, and its answer is kept on the disk."""
    pytest.importorskip("torch")
    from DeepDRRSlicerLib.learning import decomposition, weights

    path = write_tiny_network(tmp_path / "tiny.safetensors")
    monkeypatch.setenv("DEEPDRRSLICER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(materials_work, "network_missing", lambda: None)
    for module in (weights, decomposition):
        monkeypatch.setattr(module, "shipped", lambda: path)
    widget, parameters = opened(host)
    assert parameters.materials == AUTOMATIC
    host.processEvents(until=lambda: "In use: the network." in widget.ui.materialsStatusLabel.text)
    settle(host, widget)
    assert materials(widget).name == "network" and len(list((tmp_path / "cache").rglob("*.labels"))) == 1

    monkeypatch.setattr(decomposition, "classify", None)  # it is not asked again
    widget.logic.fluoroscopy.materials.forget()
    parameters.primaryAngle = 5.0
    host.processEvents(until=lambda: widget.logic.fluoroscopy.materials.isRunning)
    host.processEvents(until=lambda: "In use: the network." in widget.ui.materialsStatusLabel.text)


def write_tiny_network(path):
    """Weights that know nothing, of a network on a grid of 8 mm."""
    from DeepDRRSlicerLib.learning.network import MaterialNet, NetworkConfig
    from DeepDRRSlicerLib.learning.refinement import Refiner
    from DeepDRRSlicerLib.learning.weights import Trained
    from DeepDRRSlicerLib.training.tensor_files import write_trained

    network = MaterialNet(NetworkConfig(detail=2, widths=(4,), blocks=1, classes=len(CLASSES)))
    write_trained(path, Trained(network, Refiner(), 8.0, CLASSES))
    return path


def test_the_network_can_be_stopped_and_begun_again(host, patient, network):
    widget, parameters = opened(host)
    ui = widget.ui
    start = time.perf_counter()
    widget.exit()  # the window does not wait for it, and it goes on
    assert time.perf_counter() - start < 1 and widget.logic.fluoroscopy.materials.isRunning
    widget.enter()
    settle(host, widget)
    ui.materialsSection.collapsed = False
    ui.materialsNetworkButton.click()
    assert ui.materialsNetworkButton.text == "Run the network" and not ui.materialsProgressBar.visible
    parameters.primaryAngle = 20.0
    settle(host, widget)
    assert network.calls == 1 and materials(widget).name == "threshold"  # it does not begin by itself again
    network.may.set()
    ui.materialsNetworkButton.click()
    host.processEvents(until=lambda: "In use: the network" in ui.materialsStatusLabel.text)


def test_segments_and_labels_get_materials(host, patient, beads, no_network):
    import slicer

    widget, parameters = opened(host)
    ui = widget.ui
    ui.materialsSection.collapsed = False
    choose(widget, SEGMENTATION)
    assert ui.materialsSegmentationSelector.visible and "choose segments" in ui.materialsStatusLabel.text
    ui.materialsSegmentationSelector.setCurrentNode(beads)
    assert parameters.materialsSegmentation is beads and ui.materialsTable.visible
    cells = [[ui.materialsTable.item(row, column).text() for column in (0, 1)] for row in (0, 1)]
    assert cells == [["Beads", "As unsegmented (automatic)"], ["Muscle", "soft tissue (automatic)"]]
    settle(host, widget)
    assert materials(widget).details["segments"] == {"Muscle": "soft tissue"}
    assert not ui.materialsChoiceSelector.enabled  # nothing is selected
    ui.materialsTable.selectRow(0)
    assert ui.materialsChoiceSelector.enabled and ui.materialsChoiceSelector.currentText == "Automatic"
    index = ui.materialsChoiceSelector.findText("titanium")
    ui.materialsChoiceSelector.setCurrentIndex(index)
    ui.materialsChoiceSelector.activated.emit(index)
    host.processEvents(until=lambda: ui.materialsTable.item(0, 1).text() == "titanium")
    settle(host, widget)
    assert materials(widget).details["segments"] == {"Beads": "titanium", "Muscle": "soft tissue"}
    assert "In use: Parts, the rest by the threshold model" in ui.materialsStatusLabel.text
    hu = slicer.util.arrayFromVolume(patient)
    slicer.util.updateSegmentBinaryLabelmapFromArray((hu > 9000).astype(np.uint8), beads, "Beads", patient)
    host.processEvents(until=lambda: materials(widget) and "Beads" not in str(materials(widget).details))  # drawn away

    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    labels.CopyOrientation(patient)
    slicer.util.updateVolumeFromArray(labels, (slicer.util.arrayFromVolume(patient) > 1000).astype(np.uint8))
    choose(widget, LABEL_MAP)
    widget.ui.materialsSection.collapsed = False
    widget.ui.materialsLabelMapSelector.setCurrentNode(labels)
    assert widget.ui.materialsTable.item(0, 0).text() == "label 1"
    settle(host, widget)
    assert materials(widget).name == "segmentation"


def test_nothing_stays_behind(host, patient, beads, no_network):
    widget, parameters = opened(host, materials=SEGMENTATION, materialsSegmentation=beads, materialsShown=True)
    host.processEvents(until=lambda: widget.ui.materialAmountsTable.rowCount > 0)
    section = widget.sections["Materials"]
    assert section._tags
    widget.exit()
    assert not section._tags and not section._poll.isActive()
    names = [thread.name for thread in threading.enumerate()]
    widget.enter()
    host.closeModule()
    left = [thread.name for thread in threading.enumerate() if "DeepDRRSlicer" in thread.name]
    assert "DeepDRRSlicer materials" in names and "DeepDRRSlicer materials" not in left
