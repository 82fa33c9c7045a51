"""slicer.parameterNodeWrapper: storage as in Slicer, validation, binding to widgets."""

import enum
import pathlib
from typing import Annotated

import pytest


class Plane(enum.Enum):
    FRONTAL = 1
    LATERAL = 2


@pytest.fixture
def node(slicer_host):
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


@pytest.fixture
def wrapper(node):
    import slicer
    from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        ct: slicer.vtkMRMLScalarVolumeNode
        mask: slicer.vtkMRMLSegmentationNode | None
        angle: Annotated[float, WithinRange(-90, 90)] = 12
        rows: Annotated[int, Default(512)]
        preset: Annotated[str, Choice(["AP", "PA"])] = "AP"
        plane: Plane
        on: bool = True
        folder: pathlib.Path

    return Parameters(node)


def test_string_forms_are_slicers(node, wrapper):
    """Values taken from Slicer's serializers, so that scenes can be exchanged."""
    wrapper.folder = pathlib.Path("/tmp/a")
    stored = {name: node.GetParameter(name) for name in node.GetParameterNames()}
    assert stored == {
        "ct": "",
        "mask.1": "True",
        "angle": "12",
        "rows": "512",
        "preset": "AP",
        "plane": "FRONTAL",
        "on": "True",
        "folder": "/tmp/a",
    }


def test_read_what_slicer_wrote(node, wrapper):
    node.SetParameter("angle", "-7.5")
    node.SetParameter("plane", "LATERAL")
    node.SetParameter("on", "False")
    assert (wrapper.angle, wrapper.plane, wrapper.on) == (-7.5, Plane.LATERAL, False)


def test_nodes_are_references(node, wrapper):
    import slicer

    ct = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    mask = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    wrapper.ct, wrapper.mask = ct, mask
    assert node.GetNodeReferenceID("ct") == ct.GetID() and node.GetNodeReferenceID("mask.0") == mask.GetID()
    assert wrapper.ct is ct and wrapper.mask is mask
    slicer.mrmlScene.RemoveNode(ct)
    wrapper.mask = None
    assert wrapper.ct is None and wrapper.mask is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("angle", 91.0, ValueError),
        ("angle", "1", TypeError),
        ("angle", None, ValueError),
        ("rows", 1.5, TypeError),
        ("preset", "LAO", ValueError),
        ("plane", "LATERAL", TypeError),
        ("on", 1, TypeError),
        ("folder", "/tmp", TypeError),
        ("mask", 3, TypeError),
    ],
)
def test_refused_values(wrapper, name, value, error):
    before = getattr(wrapper, name)
    with pytest.raises(error):
        setattr(wrapper, name, value)
    assert getattr(wrapper, name) == before


def test_changes_can_be_batched(node, wrapper):
    import slicer
    import vtk

    events = []
    wrapper.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: events.append(event))
    with slicer.util.NodeModify(wrapper):
        wrapper.angle, wrapper.rows = 1.0, 2
    assert events == ["ModifiedEvent"]


@pytest.mark.parametrize("name", ["default", "getValue", "Modified", "allParameters"])
def test_reserved_names(slicer_host, name):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    with pytest.raises(ValueError, match="reserved"):
        parameterNodeWrapper(type("Parameters", (), {"__annotations__": {name: int}}))


def test_unknown_types_and_names(slicer_host):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    with pytest.raises(NotImplementedError):
        parameterNodeWrapper(type("Parameters", (), {"__annotations__": {"sizes": list[int]}}))
    with pytest.raises(NotImplementedError):
        from slicer.parameterNodeWrapper import parameterPack  # noqa: F401


def test_widgets_follow_the_parameters(panel):
    import slicer

    parameters = panel._parameterNode
    parameters.angle, parameters.count, parameters.preset = -33.0, 7, "PA"
    parameters.automatic, parameters.label = False, "another"
    parameters.inputVolume = slicer.mrmlScene.GetFirstNodeByName("CT")
    ui = panel.ui
    assert (ui.angleSlider.value, ui.countSpinBox.value, ui.presetComboBox.currentText) == (-33.0, 7, "PA")
    assert (ui.automaticCheckBox.checked, ui.labelEdit.text) == (False, "another")
    assert ui.inputSelector.currentNode() is parameters.inputVolume and ui.applyButton.enabled


def test_parameters_follow_the_widgets(panel, tmp_path):
    import slicer

    ui = panel.ui
    ui.angleSlider.value, ui.countSpinBox.value = 41.5, 9
    ui.presetComboBox.setCurrentIndex(1)
    ui.modeComboBox.setCurrentText("Fluoro")
    ui.labelEdit.text = "typed"
    ui.folderButton.directory = str(tmp_path)
    ui.outputSelector.setCurrentNode(slicer.mrmlScene.GetFirstNodeByName("CT"))
    parameters = panel._parameterNode
    assert (parameters.angle, parameters.count, parameters.preset, parameters.mode.name) == (41.5, 9, "PA", "FLUORO")
    assert (parameters.label, parameters.folder) == ("typed", tmp_path)
    assert parameters.outputVolume.GetName() == "CT"


def test_ranges_and_choices_come_from_the_annotations(panel):
    assert (panel.ui.angleSlider.minimum, panel.ui.angleSlider.maximum, panel.ui.angleSlider.decimals) == (
        -90.0,
        90.0,
        1,
    )
    assert panel.ui.countSpinBox.minimum == 1
    assert [panel.ui.modeComboBox.itemText(i) for i in range(2)] == ["Fluoro", "Spot"]


def test_disconnected_widgets_are_left_alone(panel):
    parameters = panel._parameterNode
    parameters.disconnectGui(panel._guiTag)
    parameters.angle = 22.0
    assert panel.ui.angleSlider.value == 10.0
    panel.ui.angleSlider.value = 33.0
    assert parameters.angle == 22.0


def test_change_made_by_a_slot_during_an_update_shows_with_the_next_one(node, wrapper):
    """A trap of Slicer's binding, which ignores changes while it updates the widgets."""
    import ctk
    import qt

    slider, comboBox = ctk.ctkSliderWidget(), qt.QComboBox()
    wrapper.connectParametersToGui({"angle": slider, "preset": comboBox})
    comboBox.connect("currentTextChanged(QString)", lambda text: setattr(wrapper, "angle", 5.0))
    wrapper.preset = "PA"
    assert (wrapper.angle, slider.value) == (5.0, 12.0)
    wrapper.on = False
    assert slider.value == 5.0


@pytest.mark.parametrize(
    ("widget", "name", "error"),
    [
        ("ctkSliderWidget", "unbounded", RuntimeError),
        ("QComboBox", "text", RuntimeError),
        ("QLabel", "flag", RuntimeError),
        ("QCheckBox", "nosuch", ValueError),
        ("QSpinBox", "unbounded", RuntimeError),
    ],
)
def test_widgets_that_do_not_fit(node, widget, name, error):
    import ctk
    import qt
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        unbounded: float
        text: str
        flag: bool

    with pytest.raises(error):
        Parameters(node).connectParametersToGui({name: getattr(ctk if widget.startswith("ctk") else qt, widget)()})


def test_connectors_match_the_exact_class(node):
    import qt
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class OwnCheckBox(qt.QCheckBox):
        pass

    @parameterNodeWrapper
    class Parameters:
        flag: bool

    with pytest.raises(RuntimeError):
        Parameters(node).connectParametersToGui({"flag": OwnCheckBox("x")})


def test_stale_ui_name_fails_when_it_is_connected(panel):
    panel.ui.angleSlider.setProperty("SlicerParameterName", "angel")
    with pytest.raises(ValueError, match="angel"):
        panel._parameterNode.connectGui(panel.ui)
