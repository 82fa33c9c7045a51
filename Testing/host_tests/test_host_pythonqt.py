"""The host answers as a running Slicer does, and raises where PythonQt fails or silently does nothing."""

import functools
import pathlib
import threading

import numpy as np
import pytest

# Slicer's table of observations (reference notes, section 9), row by row; b is a push button of the module's .ui.


def test_calling_a_property_fails(panel):
    with pytest.raises(TypeError, match="'str' object is not callable"):
        panel.ui.applyButton.text()


def test_setter_and_property(panel):
    panel.ui.applyButton.setText("x")
    assert panel.ui.applyButton.text == "x"


def test_no_new_attributes_on_cpp_objects(panel):
    with pytest.raises(
        AttributeError, match="'foo' does not exist on QPushButton and creating new attributes on C\\+\\+"
    ):
        panel.ui.applyButton.foo = 3


def test_unknown_signal_raises(panel):
    with pytest.raises(ValueError, match="no signal nosuch"):
        panel.ui.applyButton.connect("nosuch()", print)


def test_emit(panel):
    got = []
    panel.ui.applyButton.connect("clicked(bool)", got.append)
    panel.ui.applyButton.clicked.emit(True)
    panel.ui.applyButton.clicked(False)
    assert got == [True, False]


def test_property_method(panel):
    assert panel.ui.automaticCheckBox.property("enabled") is True
    assert panel.ui.angleSlider.property("SlicerParameterName") == "angle"


def test_size_is_a_property_of_a_widget_and_width_a_method_of_a_size(panel):
    assert panel.ui.applyButton.size.width() > 0


def test_parent_is_a_slot(panel):
    assert "slot" in repr(panel.ui.applyButton.parent)
    assert panel.ui.applyButton.parent().className() == "qMRMLWidget"


def test_classes(panel):
    import ctk
    import qt

    button = panel.ui.applyButton
    assert not isinstance(button, qt.QWidget)
    assert type(button) == qt.QPushButton  # noqa: E721
    assert type(panel.ui.angleSlider) == ctk.ctkSliderWidget  # noqa: E721
    assert button.isWidgetType() and button.inherits("QWidget") and button.className() == "QPushButton"


def test_enums_are_plain_ints(panel):
    import qt

    values = (qt.Qt.AlignLeft, qt.QSizePolicy.Expanding, qt.QMessageBox.Yes)
    assert values == (1, 7, 16384) and {type(v) for v in values} == {int}


def test_single_shot(slicer_host):
    import qt

    fired = []
    qt.QTimer.singleShot(0, lambda: fired.append(1))
    slicer_host.processEvents(until=lambda: fired)


def test_color_name(slicer_host):
    import qt

    assert qt.QColor(255, 0, 0).name() == "#ff0000"


def test_slider_starts_at_zero(slicer_host):
    import ctk

    assert ctk.ctkSliderWidget().value == 0.0


def test_string_lists_are_tuples(panel):
    assert panel.ui.inputSelector.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert panel.ui.strandedSelector.property("nodeTypes") == ("vtkMRMLScalarVolumeNode",)


def test_selector_selects_the_first_node_by_itself(slicer_host):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    assert selector.currentNodeID == "vtkMRMLScalarVolumeNode1"


def test_selector_names_a_new_node(panel):
    assert panel.ui.outputSelector.addNode().GetName() == "Volume"


def test_tool_tip_comes_back_as_rich_text(panel):
    assert panel.ui.applyButton.toolTip == "<p>Show the angle</p>"


def test_module_widget_is_entered(panel):
    assert panel.parent.isEntered is True


def test_missing_setting(slicer_host):
    import qt

    assert qt.QSettings().value("x") is None


def test_views(slicer_host):
    import slicer

    manager = slicer.app.layoutManager()
    assert manager.sliceWidget("Red").sliceView().className() == "qMRMLSliceView"
    assert manager.threeDWidget(0).threeDView().renderWindow().IsA("vtkRenderWindow")


# Where PySide is more lenient than PythonQt


def test_keyword_arguments(panel):
    import qt

    with pytest.raises(TypeError, match="does not support kwargs"):
        qt.QLabel(text="x")
    with pytest.raises(TypeError, match="does not support kwargs"):
        panel.ui.applyButton.setText(text="x")


def test_python_subclasses_of_qt_classes(slicer_host):
    """On their instances PythonQt would take misspelt properties without a word."""
    import qt

    with pytest.raises(NotImplementedError, match="no Python subclasses of Qt classes"):

        class Marked(qt.QLabel):
            pass


def test_slots_and_signals_cannot_be_overwritten(panel):
    with pytest.raises(AttributeError, match="Slot 'setText'"):
        panel.ui.applyButton.setText = "x"
    with pytest.raises(AttributeError, match="Signal 'clicked'"):
        panel.ui.applyButton.clicked = print
    with pytest.raises(AttributeError, match="not writable"):
        panel.ui.offsetSpinBox.cleanText = "x"


@pytest.mark.parametrize("value", [3, None, pathlib.Path("a"), np.str_, 1.5])
def test_only_strings_are_text(panel, value):
    with pytest.raises(TypeError):
        panel.ui.applyButton.setText(value)
    with pytest.raises(AttributeError):
        panel.ui.applyButton.text = value


@pytest.mark.parametrize("value", [np.float64(1.5), np.float32(1), np.int64(1), "1", None])
def test_numpy_scalars_are_no_numbers(panel, value):
    with pytest.raises(AttributeError):
        panel.ui.angleSlider.value = value
    with pytest.raises(TypeError):
        panel.ui.offsetSpinBox.setValue(value)


def test_floats_are_not_floored(panel):
    with pytest.raises(TypeError):
        panel.ui.offsetSpinBox.setDecimals(2.7)
    with pytest.raises(TypeError):
        panel.ui.applyButton.setEnabled(np.bool_(True))


def test_ints_are_taken_for_floats_and_enums(slicer_host):
    import qt

    spinBox, label = qt.QDoubleSpinBox(), qt.QLabel("x")
    spinBox.value = 3
    label.setAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    assert (spinBox.value, label.alignment, type(label.alignment)) == (3.0, 130, int)
    label.alignment = qt.Qt.AlignLeft
    label.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
    assert (label.alignment, label.sizePolicy.horizontalPolicy()) == (1, 7)


def test_no_implicit_conversion_of_value_classes(slicer_host):
    import qt

    with pytest.raises(TypeError):
        qt.QPushButton("x").setIcon(qt.QPixmap(3, 3))
    qt.QPushButton("x").setIcon(qt.QIcon(qt.QPixmap(3, 3)))


def test_ctk_widgets_have_no_plain_setters(panel):
    with pytest.raises(AttributeError, match="no attribute named 'setMinimum'"):
        panel.ui.angleSlider.setMinimum(0)
    panel.ui.angleSlider.setValue(2.0)  # a slot
    assert panel.ui.angleSlider.value == 2.0


def test_out_parameters(panel):
    with pytest.raises(NotImplementedError, match="tuple"):
        panel.ui.formLayout.getContentsMargins()


def test_names_that_the_host_lacks(slicer_host):
    import ctk
    import qt

    for name in ("QTreeWidget", "QWizard", "QTextBrowser"):
        with pytest.raises(NotImplementedError, match=name):
            getattr(qt, name)
    with pytest.raises(NotImplementedError, match="QMessageBox"):
        qt.QMessageBox()
    with pytest.raises(NotImplementedError):
        ctk.ctkMatrixWidget  # noqa: B018
    assert not hasattr(qt, "QRegExp")  # gone with Qt 6


def test_find_children_of_qt(panel):
    import qt
    import slicer

    with pytest.raises(NotImplementedError, match="slicer.util.findChildren"):
        panel.parent.findChildren(qt.QWidget)
    assert slicer.util.findChild(panel.parent, "applyButton") == panel.ui.applyButton


def test_name_attribute(panel):
    assert panel.ui.applyButton.name == panel.ui.applyButton.objectName == "applyButton"


# Slots


def test_surplus_arguments_are_dropped(panel):
    got = {}
    button = panel.ui.applyButton
    button.connect("clicked(bool)", lambda: got.setdefault("none", ()))
    button.connect("clicked(bool)", lambda checked=None: got.setdefault("default", checked))
    button.connect("clicked(bool)", functools.partial(lambda *arguments: got.setdefault("partial", arguments)))
    button.connect("clicked()", lambda *arguments: got.setdefault("other signal", arguments))
    button.click()
    assert got == {"none": (), "default": False, "partial": (False,), "other signal": ()}


def test_disconnect_needs_the_same_callable(panel):
    def slot():
        pass

    panel.ui.applyButton.connect("clicked()", slot)
    with pytest.raises(RuntimeError, match="new lambda"):
        panel.ui.applyButton.disconnect("clicked()", lambda: None)
    with pytest.raises(RuntimeError, match="already"):
        panel.ui.applyButton.connect("clicked()", slot)
    assert panel.ui.applyButton.disconnect("clicked()", slot)


def test_exception_in_a_slot_fails_the_test(slicer_host, panel):
    panel.ui.angleSlider.value = 85.0
    panel.ui.applyButton.click()
    with pytest.raises(AssertionError, match="choose one up to 80 degrees"):
        slicer_host.processEvents()


def test_exception_in_an_observer_fails_the_test(slicer_host):
    import slicer

    def observer(caller, event):
        raise ValueError("in an observer")

    slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, observer)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    with pytest.raises(AssertionError, match="in an observer"):
        slicer_host.check()


def test_qt_in_another_thread(slicer_host, panel):
    def work():
        panel.ui.resultLabel.text = "from a thread"

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with pytest.raises(AssertionError, match="not the main thread"):
        slicer_host.check()


def test_deleted_objects(slicer_host):
    import qt

    label = qt.QLabel("x")
    label.delete()
    assert not label
    with pytest.raises(ValueError, match="destroyed QLabel"):
        label.text  # noqa: B018
