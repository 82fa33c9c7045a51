"""Stand-in widgets and .ui files behave as the real ones in what the panel relies on."""

import pytest


def test_scene_reaches_only_connected_widgets(panel):
    import slicer

    assert panel.ui.inputSelector.mrmlScene() is slicer.mrmlScene
    assert panel.ui.strandedSelector.mrmlScene() is None
    assert not panel.ui.strandedSelector.enabled


def test_other_connections_of_the_ui_file(panel):
    panel.ui.automaticCheckBox.checked = False
    assert not panel.ui.countSpinBox.enabled


def test_collapsed_section_hides_its_children(panel):
    assert not panel.ui.hintLabel.visible and panel.ui.angleSlider.visible
    panel.ui.advancedButton.collapsed = False
    assert panel.ui.hintLabel.visible and panel.ui.advancedButton.checked


def test_child_hidden_by_the_panel_stays_hidden_when_its_section_opens(panel):
    panel.ui.warningLabel.visible = False
    panel.ui.advancedButton.collapsed = False
    assert not panel.ui.warningLabel.visible and panel.ui.hintLabel.visible
    panel.ui.advancedButton.collapsed = True
    panel.ui.warningLabel.visible = True
    assert not panel.ui.warningLabel.visible
    panel.ui.advancedButton.collapsed = False
    assert panel.ui.warningLabel.visible


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


def test_directory_button(slicer_host, tmp_path):
    import ctk

    button, changes = ctk.ctkDirectoryButton(), []
    button.connect("directoryChanged(QString)", changes.append)
    slicer_host.answers.append(str(tmp_path))
    button.browse()
    button.directory = str(tmp_path)
    assert changes == [str(tmp_path)] and button.directory == str(tmp_path)


def test_selector_follows_the_scene(panel):
    import slicer

    selector, changes = panel.ui.inputSelector, []
    first = slicer.mrmlScene.GetFirstNodeByName("CT")
    second = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT 2")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "other type")
    selector.setCurrentNode(first)
    selector.connect("currentNodeChanged(vtkMRMLNode*)", changes.append)
    assert selector.nodeCount() == 2
    slicer.mrmlScene.RemoveNode(first)
    assert selector.currentNode() is second and changes == [second]
    slicer.mrmlScene.Clear(0)
    assert selector.currentNode() is None and selector.nodeCount() == 0


def test_selector_without_none_and_with_none(panel):
    assert panel.ui.outputSelector.currentNode() is None
    assert panel.ui.outputSelector.currentNodeID == ""


def test_selector_remembers_a_node_until_its_scene_comes(slicer_host):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "A")
    wanted = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "B")
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setCurrentNode(wanted)
    selector.setMRMLScene(slicer.mrmlScene)
    assert selector.currentNode() is wanted


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('class="QSpinBox"', 'class="QDial"', "QDial"),
        ('name="suffix"', 'name="sufix"', "no property sufix"),
        ("setEnabled(bool)", "setEnable(bool)", "setEnable"),
        ("toggled(bool)", "toggle(bool)", "no signal"),
        ("<receiver>countSpinBox", "<receiver>spinBox", "unknown objects"),
    ],
)
def test_mistakes_in_a_ui_file(slicer_host, sample, tmp_path, old, new, message):
    import slicer

    text = (sample.parent / "Resources" / "UI" / "SamplePanel.ui").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "a.ui").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises((NotImplementedError, ValueError, AttributeError), match=message):
        slicer.util.loadUI(str(tmp_path / "a.ui"))
