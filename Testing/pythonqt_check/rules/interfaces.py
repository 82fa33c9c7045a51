"""The .ui files: classes and properties that exist, scenes that are passed on, parameters that are declared."""

import ast
import re
import xml.etree.ElementTree as ElementTree

from ..facts import known, properties, signals, table
from .signals import normalised

RULE = "interface"
# Classes whose connection to a parameter Slicer knows; it looks for the exact class.
CONNECTORS = {
    "QCheckBox", "ctkCheckBox", "QPushButton", "ctkCheckablePushButton", "QSlider", "QSpinBox", "QDoubleSpinBox",
    "ctkSliderWidget", "qMRMLSliderWidget", "ctkDoubleSlider", "ctkDoubleSpinBox", "qMRMLSpinBox", "ctkRangeWidget",
    "ctkDoubleRangeSlider", "qMRMLRangeWidget", "QComboBox", "ctkComboBox", "QLineEdit", "QTextEdit", "QLabel",
    "ctkPathLineEdit", "ctkDirectoryButton", "qMRMLNodeComboBox", "qMRMLSubjectHierarchyTreeView",
    "qMRMLSubjectHierarchyComboBox", "ctkColorPickerButton",
}  # fmt: skip
_DESIGNER = {"buttonGroup", "margin", "orientation"}
_LAYOUTS = re.compile(r"(left|top|right|bottom)Margin$|(horizontal|vertical)Spacing$|spacing$|margin$|sizeConstraint$")


def check(path, parameters):
    """(line, rule, sentence) of one file; parameters: names in the parameter node, empty if it is not known."""
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    widgets = {e.get("name"): e for e in root.iter("widget")}
    for element in root.iter("widget"):
        line = _line(text, f'name="{element.get("name")}"')
        cls = element.get("class")
        if cls not in table():
            yield line, RULE, f"There is no class {cls}."
            continue
        for prop in element.findall("property"):
            yield from _property(line, element, prop, parameters)
    yield from _connections(text, root, widgets)


def _property(line, element, prop, parameters):
    cls, name, owner = element.get("class"), prop.get("name"), element.get("name")
    if name == "SlicerParameterName":
        parameter = "".join(prop.itertext()).strip()
        if parameters and parameter.split(".")[0] not in parameters:
            yield line, RULE, f"{owner}: the parameter node has no {parameter}."
        if cls not in CONNECTORS:
            yield line, RULE, f"{owner}: Slicer connects no {cls} to a parameter."
    elif prop.get("stdset") != "0" and known(cls) and name not in properties(cls) and name not in _DESIGNER:
        yield line, RULE, f"{owner}: {cls} has no property {name}."


def _connections(text, root, widgets):
    scene_of = set()
    for connection in root.iter("connection"):
        sender, signal, receiver = (connection.findtext(tag) for tag in ("sender", "signal", "receiver"))
        line = _line(text, f"<receiver>{receiver}</receiver>")
        if signal.startswith("mrmlSceneChanged("):
            scene_of.add(receiver)
        if sender not in widgets or receiver not in widgets:
            yield line, RULE, f"A connection from {sender} to {receiver}, one of which is not there."
        elif known(widgets[sender].get("class")) and normalised(signal) not in signals(widgets[sender].get("class")):
            yield line, RULE, f"{sender}: {widgets[sender].get('class')} has no signal {signal}."
    for name, element in widgets.items():
        cls = element.get("class", "")
        if cls.startswith("qMRML") and "setMRMLScene(vtkMRMLScene*)" in _slots(cls):
            if element is not root.find("widget") and name not in scene_of:
                yield _line(text, f'name="{name}"'), RULE, f"{name} is never given the scene: connect mrmlSceneChanged."


def _slots(cls):
    bases = [cls, *table().get(cls, {}).get("bases", [])]
    return {slot for base in bases for slot in table().get(base, {}).get("slots", ())}


def parameter_names(trees):
    """Names of the members of the classes, at the top of parsed files, that are parameter nodes."""
    found = set()
    for node in (node for tree in trees for node in tree.body):
        if isinstance(node, ast.ClassDef) and "parameterNodeWrapper" in map(ast.unparse, node.decorator_list):
            found |= {child.target.id for child in node.body if isinstance(child, ast.AnnAssign)}
    return found


def _line(text, part):
    position = text.find(part)
    return text.count("\n", 0, position) + 1 if position >= 0 else 1
