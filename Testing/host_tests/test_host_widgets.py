"""Stand-in widgets and .ui files behave as the real ones in what the panel relies on."""

from pathlib import Path

import pytest


def test_scene_reaches_only_connected_widgets(panel):
    import slicer

    assert panel.ui.inputSelector.mrmlScene() is slicer.mrmlScene
    assert panel.ui.strandedSelector.mrmlScene() is None
    assert not panel.ui.strandedSelector.enabled


def test_other_connections_of_the_ui_file(panel):
    panel.ui.automaticCheckBox.checked = False
    assert not panel.ui.offsetSpinBox.enabled


def test_a_collapsed_section_shows_its_title_alone(panel):
    section, told = panel.ui.advancedButton, []
    section.connect("contentsCollapsed(bool)", told.append)
    height = section.height
    section.collapsed = True
    section.collapsed = True
    panel.parent.layout().activate()
    assert section.collapsed and section.height < height and told == [True]
    section.collapsed = False
    assert not section.collapsed and told == [True, False]


def test_slider(slicer_host):
    import ctk

    slider, values = ctk.ctkSliderWidget(), []
    slider.connect("valueChanged(double)", values.append)
    slider.maximum = 10.0
    slider.value = 3.456
    slider.value = 3.456
    slider.value = 20.0
    slider.maximum = 5.0
    assert values == [3.46, 10.0, 5.0]
    assert slider.decimals == 2


def test_directory_is_absolute(slicer_host):
    import ctk

    button = ctk.ctkDirectoryButton()
    button.directory = "views"
    assert Path(button.directory).is_absolute() and Path(button.directory).name == "views"


def test_directory_tells_of_another_one_only(slicer_host, tmp_path):
    import ctk

    button, told = ctk.ctkDirectoryButton(), []
    button.connect("directoryChanged(QString)", told.append)
    button.directory = str(tmp_path)
    button.directory = str(tmp_path)
    assert told == [str(tmp_path)]


def test_selector_follows_the_scene(panel):
    import slicer

    selector, changes = panel.ui.inputSelector, []
    first = slicer.mrmlScene.GetFirstNodeByName("CT")
    second = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT 2")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "other type")
    selector.setCurrentNode(first)
    selector.connect("currentNodeChanged(vtkMRMLNode*)", changes.append)
    slicer.mrmlScene.RemoveNode(first)
    assert selector.currentNode() is second and changes == [second]
    slicer.mrmlScene.Clear(0)
    assert selector.currentNode() is None


def test_selector_without_none_and_with_none(panel):
    assert panel.ui.outputSelector.currentNode() is None
    assert panel.ui.outputSelector.currentNodeID == ""


def test_selector_without_a_scene_takes_no_node(slicer_host):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "A")
    with pytest.raises(NotImplementedError):
        slicer.qMRMLNodeComboBox().setCurrentNode(node)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('class="QDoubleSpinBox"', 'class="QDial"', "QDial"),
        ('name="suffix"', 'name="sufix"', "no property sufix"),
        ("setEnabled(bool)", "setEnable(bool)", "setEnable"),
        ("toggled(bool)", "toggle(bool)", "no signal"),
        ("<receiver>offsetSpinBox", "<receiver>spinBox", "unknown objects"),
    ],
)
def test_mistakes_in_a_ui_file(slicer_host, sample, tmp_path, old, new, message):
    import slicer

    text = (sample.parent / "Resources" / "UI" / "SamplePanel.ui").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "a.ui").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises((NotImplementedError, ValueError, AttributeError), match=message):
        slicer.util.loadUI(str(tmp_path / "a.ui"))
