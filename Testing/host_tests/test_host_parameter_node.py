"""slicer.parameterNodeWrapper: storage as in Slicer, validation, binding to widgets."""

import enum
import pathlib
from types import SimpleNamespace
from typing import Annotated

import pytest


class Plane(enum.Enum):
    FRONTAL = 1


@pytest.fixture
def node(slicer_host):
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


@pytest.fixture
def wrapper(node):
    import slicer
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        ct: slicer.vtkMRMLScalarVolumeNode
        mask: slicer.vtkMRMLSegmentationNode
        angle: Annotated[float, WithinRange(-90, 90)] = 12
        rows: int = 512
        count: Annotated[int, WithinRange(1, 100)] = 3
        device: str = "mobile"
        on: bool = True

    return Parameters(node)


def connect(wrapper, **widgets):
    """Bind widgets to the parameters of the same names, as connectGui() does with those of a .ui file."""
    for name, widget in widgets.items():
        widget.setProperty("SlicerParameterName", name)
    return wrapper.connectGui(SimpleNamespace(**widgets))


def test_string_forms_are_slicers(node, wrapper):
    """Values taken from Slicer's serializers, so that scenes can be exchanged."""
    stored = {name: node.GetParameter(name) for name in node.GetParameterNames()}
    assert stored == {
        "ct": "",
        "mask": "",
        "angle": "12",
        "rows": "512",
        "count": "3",
        "device": "mobile",
        "on": "True",
    }


def test_read_what_slicer_wrote(node, wrapper):
    node.SetParameter("angle", "-7.5")
    node.SetParameter("on", "False")
    assert (wrapper.angle, wrapper.on) == (-7.5, False)


def test_nodes_are_references(node, wrapper):
    import slicer

    ct = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    mask = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    wrapper.ct, wrapper.mask = ct, mask
    assert node.GetNodeReferenceID("ct") == ct.GetID() and node.GetNodeReferenceID("mask") == mask.GetID()
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
        ("device", 3, TypeError),
        ("device", pathlib.Path("a"), TypeError),
        ("on", 1, TypeError),
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


@pytest.mark.parametrize("kind", [list[int], pathlib.Path, Plane, Annotated[float, "note"], int | None])
def test_types_that_the_host_lacks(slicer_host, kind):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    with pytest.raises(NotImplementedError):
        parameterNodeWrapper(type("Parameters", (), {"__annotations__": {"sizes": kind}}))
    with pytest.raises(NotImplementedError):
        from slicer.parameterNodeWrapper import parameterPack  # noqa: F401


def test_widgets_follow_the_parameters(panel):
    import slicer

    parameters, ui = panel._parameterNode, panel.ui
    parameters.angle, parameters.offset, parameters.automatic = -33.0, 7.5, False
    parameters.inputVolume = slicer.mrmlScene.GetFirstNodeByName("CT")
    assert (ui.angleSlider.value, ui.offsetSpinBox.value, ui.automaticCheckBox.checked) == (-33.0, 7.5, False)
    assert ui.inputSelector.currentNode() is parameters.inputVolume and ui.applyButton.enabled


def test_parameters_follow_the_widgets(panel):
    import slicer

    parameters, ui = panel._parameterNode, panel.ui
    ui.angleSlider.value, ui.offsetSpinBox.value, ui.automaticCheckBox.checked = 41.5, 9.0, False
    ui.outputSelector.setCurrentNode(slicer.mrmlScene.GetFirstNodeByName("CT"))
    assert (parameters.angle, parameters.offset, parameters.automatic) == (41.5, 9.0, False)
    assert parameters.outputVolume.GetName() == "CT"


def test_ranges_come_from_the_annotations(panel):
    assert (panel.ui.angleSlider.minimum, panel.ui.angleSlider.maximum) == (-90.0, 90.0)


def test_disconnected_widgets_are_left_alone(panel):
    parameters = panel._parameterNode
    parameters.disconnectGui(panel._guiTag)
    parameters.angle = 22.0
    assert panel.ui.angleSlider.value == 10.0
    panel.ui.angleSlider.value = 33.0
    assert parameters.angle == 22.0


def test_change_made_by_a_slot_during_an_update_shows_with_the_next_one(wrapper):
    """A trap of Slicer's binding, which ignores changes while it updates the widgets."""
    import ctk
    import qt

    slider, checkBox = ctk.ctkSliderWidget(), qt.QCheckBox()
    connect(wrapper, angle=slider, on=checkBox)
    checkBox.connect("toggled(bool)", lambda on: setattr(wrapper, "angle", 5.0))
    wrapper.on = False
    assert (wrapper.angle, slider.value) == (5.0, 12.0)
    wrapper.rows = 3
    assert slider.value == 5.0


@pytest.mark.parametrize(
    ("widget", "name", "error"),
    [
        ("ctkSliderWidget", "unbounded", RuntimeError),
        ("QComboBox", "text", RuntimeError),
        ("QLabel", "flag", RuntimeError),
        ("QPushButton", "flag", RuntimeError),  # a subclass of no connected class, however alike
        ("QCheckBox", "nosuch", ValueError),
        ("QDoubleSpinBox", "text", RuntimeError),
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
        connect(Parameters(node), **{name: getattr(ctk if widget.startswith("ctk") else qt, widget)()})


def test_stale_ui_name_fails_when_it_is_connected(panel):
    panel.ui.angleSlider.setProperty("SlicerParameterName", "angel")
    with pytest.raises(ValueError, match="angel"):
        panel._parameterNode.connectGui(panel.ui)


def test_spin_boxes_and_line_edits(wrapper):
    import qt

    spin, line = qt.QSpinBox(), qt.QLineEdit()
    connect(wrapper, count=spin, device=line)
    assert (spin.value, spin.minimum, spin.maximum, line.text) == (3, 1, 100, "mobile")
    spin.setValue(7)
    line.setText("fixed")
    assert (wrapper.count, wrapper.device) == (7, "fixed")
    wrapper.count, wrapper.device = 9, "other"
    assert (spin.value, line.text) == (9, "other")


def test_a_spin_box_needs_limits(wrapper):
    import qt

    with pytest.raises(NotImplementedError, match="WithinRange"):
        connect(wrapper, rows=qt.QSpinBox())
