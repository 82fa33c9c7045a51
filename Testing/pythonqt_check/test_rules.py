"""Each rule finds the mistake it is for, and leaves correct code alone."""

# ruff: noqa: E501 (pieces of code are not wrapped)

import ast
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pythonqt_check.check import check_files, check_tree, shipped_files
from pythonqt_check.facts import kind_of, only_version, properties, signals, table
from pythonqt_check.interface import Interface
from pythonqt_check.rules import interfaces
from pythonqt_check.rules.signals import normalised

WIDGETS = {
    "applyButton": "QPushButton",
    "leftSlider": "ctkSliderWidget",
    "rightSlider": "ctkSliderWidget",
    "selector": "qMRMLNodeComboBox",
    "combo": "QComboBox",
    "line": "QLineEdit",
    "table": "QTableWidget",
    "number": "QSpinBox",
}


def findings(code, own_names=frozenset()):
    """(rule, line, sentence) of a piece of code whose panel has the widgets above."""
    tree = ast.parse(textwrap.dedent(code))
    return [(f.rule, f.line, f.sentence) for f in check_tree(Path("x.py"), tree, Interface(WIDGETS), own_names)]


# (rule, what is wrong, a word of the sentence)
WRONG = [
    ("import", "from PySide6 import QtWidgets", "PySide6"),
    ("import", "import imp", "importlib"),
    ("import", "import qt\nx = qt.QtCore.QTimer", "flat"),
    ("import", "import qt\nf = qt.QPushButon", "QPushButon"),
    ("import", "import ctk\nf = ctk.ctkSlidder", "ctkSlidder"),
    ("import", "import slicer\nf = slicer.qMRMLNodeCombo", "qMRMLNodeCombo"),
    ("import", "import qt\nd = qt.QDesktopWidget()", "screens()"),
    ("import", "from qt import QRegExp", "QRegularExpression"),
    ("member", "def f(ui):\n    return ui.applyButton.text()", "text is a property of QPushButton"),
    ("member", "def f(ui):\n    return ui.leftSlider.value()", "value is a property"),
    ("member", "import qt\ndef f():\n    t = qt.QTimer(None)\n    return t.active()", "active is a property"),
    ("member", "class A:\n    def __init__(self, ui):\n        self._b = ui.line\n    def f(self):\n"
               "        return self._b.text()", "QLineEdit"),
    ("member", "def f(ui):\n    for w in (ui.applyButton, ui.line):\n        w.enabled()", "enabled"),
    ("member", 'def f(ui, side):\n    return getattr(ui, f"{side}Slider").value()', "value"),
    ("member", 'class A:\n    def __init__(self, ui):\n        self._s = {s: getattr(ui, f"{s}Slider") for s in "ab"}\n'
               "    def f(self):\n        return [s.maximum() for s in self._s.values()]", "maximum"),
    ("member", "import qt\ndef f(someone):\n    return someone.currentText()", "currentText"),
    ("member", "def f(ui):\n    ui.applyButton.foo = 3", "no property foo"),
    ("member", "def f(ui):\n    ui.applyButton.click = 3", "slot"),
    ("member", "def f(ui):\n    ui.applyButton.clicked = 3", "signal"),
    ("member", "def f(ui):\n    ui.leftSlider.setMinimum(1.0)", "use its property minimum"),
    ("member", "def f(ui):\n    ui.leftSlider.spinBox()", "ctkSliderWidget has no spinBox"),
    ("member", "def f(ui):\n    ui.combo.curentIndex", "no curentIndex"),
    ("member", "def f(ui):\n    ui.nosuchButton.click()", "no .ui file"),
    ("member", "def f(ui):\n    ui.table.horizontalHeader().setResizeMode(1)", "QHeaderView"),
    ("signal", 'def f(ui, g):\n    ui.applyButton.connect("nosuch()", g)', "no signal"),
    ("signal", 'def f(ui, g):\n    ui.combo.connect("currentIndexChanged(QString)", g)', "Only Qt 5"),
    ("signal", 'import qt\ndef f(g):\n    b = qt.QCheckBox(None)\n    b.connect("checkStateChanged(Qt::CheckState)", g)',
     "Only Qt 6"),
    ("signal", 'def f(ui, g):\n    ui.line.connect("textChanged(const QString&)", g)', '"textChanged(QString)"'),
    ("signal", 'def f(ui, g):\n    ui.selector.connect("currentNodeChanged(vtkMRMLNode *)", g)', "vtkMRMLNode*"),
    ("signal", 'def f(x, g):\n    x.connect("neverHeardOf(int)", g)', "No class"),
    ("signal", 'def f(ui, g):\n    ui.applyButton.connect("clicked", g)', "no signature"),
    ("signal", 'def f(ui):\n    ui.applyButton.disconnect("clicked(bool)", lambda: 1)', "lambda"),
    ("signal", "def f(ui, g):\n    ui.selector.currentNodeChanged.connect(g)", "2 overloads"),
    ("slot", "class A:\n    def __init__(self, ui):\n        ui.applyButton.connect('clicked(bool)', self.go)\n"
             "    def go(self, again=None):\n        pass", "as again"),
    ("slot", "def f(ui):\n    ui.applyButton.connect('clicked(bool)', lambda name='x': name)", "as name"),
    ("slot", "def f(ui):\n    ui.applyButton.connect('pressed()', lambda x: x)", "needs 1"),
    ("slot", "import functools\ndef f(ui, g):\n    ui.combo.connect('activated(int)', functools.partial(g, 1))", "partial"),
    ("argument", "import qt\nx = qt.QTimer(parent=None)", "parent"),
    ("argument", "def f(ui):\n    ui.combo.addItem(text='x')", "keywords"),
    ("argument", "import qt\nfrom pathlib import Path\ndef f(n):\n    return qt.QPixmap(Path(n) / 'a.png')", "Path"),
    ("argument", "from pathlib import Path\ndef f(ui):\n    ui.line.text = Path.home()", "str(...)"),
    ("argument", "import qt\ndef f(ui, fps):\n    t = qt.QTimer(ui.line)\n    t.setInterval(1000 / fps)", "fraction"),
    ("argument", "def f(ui, n):\n    ui.number.value = n / 2", "whole number"),
    ("argument", "import qt\ndef f():\n    a, b = qt.QFileDialog.getOpenFileName(None, 'x', '', '')", "one value"),
    ("instance", "import qt\ndef f(w):\n    return isinstance(w, qt.QWidget)", "derived"),
    ("instance", "import qt\ndef f(w):\n    return isinstance(w, (int, qt.QLabel))", "derived"),
    ("instance", "import qt\ndef f(w):\n    return w.findChildren(qt.QWidget)", "slicer.util"),
    ("ownership", "import qt\ndef f(g):\n    t = qt.QTimer()\n    t.connect('timeout()', g)\n    t.start(5)", "QTimer"),
    ("ownership", "import qt\ndef f():\n    qt.QShortcut()", "ends at once"),
    ("ownership", "def f(ui):\n    b = ui.applyButton\n    del b", "deleteLater"),
    ("subclass", "import ctk\nclass A(ctk.ctkSliderWidget):\n    pass", "derived"),
    ("subclass", "import qt\nclass A(qt.QObject):\n    def __init__(self):\n        self.x = 1", "must call"),
    ("subclass", "import qt\nclass A(qt.QObject):\n    def eventFilter(self, o, e):\n        print(e)", "every way"),
    ("subclass", "import qt\nclass A(qt.QObject):\n    def eventFilter(self, o, e):\n        return None", "bool"),
    ("subclass", "import qt\nclass A:\n    s = qt.Signal()", "qt.Signal"),
    ("value", "import qt\nx = qt.Qt.AlignLef", "AlignLef"),
    ("value", "import qt\nx = qt.QSizePolicy.Expandin", "Expandin"),
    ("value", "import qt\nx = qt.QComboBox.AdjustToMinimumContentsLength", "only Qt 5"),
    ("value", "import qt\nx = qt.QWidget.windowTitle", "of an object"),
    ("thread", "import slicer, threading\ndef g():\n    slicer.mrmlScene.Clear()\ndef f():\n"
               "    threading.Thread(target=g).start()", "slicer"),
    ("thread", "class A:\n    def f(self):\n        self.pool.submit(self._work)\n    def _work(self):\n"
               "        return self._ui.line.text", "_ui"),
    ("thread", "import slicer\ndef on(caller, event):\n    slicer.app.processEvents()", "event loop"),
    ("observer", "def f(node, g):\n    node.AddObserver(5, g)", "tag"),
    ("observer", "class A:\n    def f(self, node):\n        self.addObserver(node, 5, lambda c, e: 1)", "method"),
    ("observer", "class A:\n    def f(self, node):\n        self.addObserver(node, 5, self.on)\n    def on(self, caller):\n"
                 "        pass", "(caller, event)"),
    ("translation", "from slicer.i18n import tr as _\ndef f(x):\n    return _(f'a {x}')", "f-string"),
    ("translation", "from slicer.i18n import tr as _\ndef f(x):\n    return _('a {}'.format(x))", "put the values in"),
    ("translation", "from slicer.i18n import tr as _\ndef f(p):\n    _, x = p\n    return _('a')", "translator"),
    ("translation", "from slicer.i18n import tr as _\nfor _ in range(3):\n    pass", "translator"),
    ("translation", "def f(ui):\n    ui.applyButton.setText('Apply now')", "through _()"),
    ("translation", "import slicer\ndef f():\n    slicer.util.errorDisplay('The file is broken.')", "through _()"),
    ("module", "class XTest(ScriptedLoadableModuleTest):\n    def latestOne(self):\n        pass", "latestOne"),
    ("module", "import slicer\nSCENE = slicer.mrmlScene", "loaded"),
    ("module", "import slicer\nslicer.util.pip_install('x')", "installed"),
]  # fmt: skip

RIGHT = [
    "import qt, ctk, slicer\nfrom slicer.i18n import tr as _\nqt.QUiLoader",
    "def f(ui):\n    return ui.applyButton.text, ui.applyButton.isChecked(), ui.leftSlider.value, ui.combo.count",
    "def f(ui):\n    ui.applyButton.setText(ui.combo.itemText(0))\n    ui.leftSlider.minimum = 0.0",
    "def f(ui):\n    ui.leftSlider.setValue(3.0)\n    ui.leftSlider.setEnabled(True)\n    ui.combo.setCurrentIndex(1)",
    "def f(ui):\n    return ui.table.item(0, 1).text(), ui.table.currentRow()",
    "def f(ui):\n    return ui.applyButton.parent(), ui.applyButton.layout(), ui.selector.currentNode()",
    "def f(ui):\n    ui.applyButton.name, ui.applyButton.className(), ui.applyButton.inherits('QWidget')",
    "import qt\ndef f(item, node, path):\n    return item.text(), node.name(), path.exists(), 'a'.title(), {}.values()",
    "import qt\nclass A:\n    def enabled(self):\n        return 1\ndef f(a):\n    return a.enabled()",
    "import qt\ndef f(ui, x):\n    w = ui.line if x else x\n    return w.text()",
    'def f(ui, g):\n    ui.applyButton.connect("clicked(bool)", g)\n    ui.selector.connect("currentNodeChanged(vtkMRMLNode*)", g)',
    'import slicer\ndef f(g):\n    slicer.app.connect("startupCompleted()", g)',
    "def f(ui, g):\n    ui.applyButton.clicked.connect(g)",
    "def f(ui):\n    ui.applyButton.connect('clicked(bool)', lambda: 1)\n"
    "    ui.applyButton.connect('pressed()', lambda name='x': name)",
    "class A:\n    def __init__(self, ui):\n        ui.combo.connect('activated(int)', self.go)\n    def go(self, index):\n        pass",
    "import qt\nfrom pathlib import Path\ndef f(n):\n    return qt.QPixmap(str(Path(n) / 'a.png'))",
    "import qt\ndef f(fps, ui):\n    t = qt.QTimer(ui.line)\n    t.setInterval(round(1000 / fps))\n    ui.leftSlider.value = fps / 2",
    "import qt\ndef f():\n    name = qt.QFileDialog.getOpenFileName(None, 'x', '', '')\n    return name",
    "import qt\ndef f(w):\n    return w.isWidgetType() and w.inherits('QLabel') and type(w) == qt.QLabel",
    "import slicer\ndef f(w):\n    return slicer.util.findChildren(w)",
    "import qt\nclass A:\n    def __init__(self):\n        self._t = t = qt.QTimer()\n        t.start(5)",
    "import qt\ndef f(ui):\n    t = qt.QTimer(ui.line)\n    t.start(5)",
    "import qt\ndef f(g):\n    qt.QTimer.singleShot(0, g)",
    "import qt\ndef f(found):\n    t = qt.QShortcut()\n    found.append(t)",
    "import qt\nclass A(qt.QObject):\n    def __init__(self):\n        qt.QObject.__init__(self)\n        self.x = 1\n"
    "    def eventFilter(self, o, e):\n        if e.type() == qt.QEvent.KeyPress:\n            return True\n        return False",
    "import qt\nx = qt.Qt.AlignLeft | qt.Qt.AlignVCenter, qt.Qt.AlignmentFlag, qt.QSizePolicy.Expanding, qt.QMessageBox.Yes",
    "import numpy as np, threading\ndef g():\n    return np.zeros(3)\ndef f():\n    threading.Thread(target=g).start()",
    "class A:\n    def f(self, node):\n        self._tag = node.AddObserver(5, self.on)\n        self.addObserver(node, 6, self.on)\n"
    "    def on(self, caller, event):\n        pass",
    "import vtk\ndef f(errors):\n    reader = vtk.vtkSTLReader()\n    reader.AddObserver('ErrorEvent', lambda *_: errors.append(1))",
    "from slicer.i18n import tr as _\ndef f(x):\n    return _('a {x}').format(x=x), [1 for _ in range(3)]",
    "def f(pairs):\n    _, x = pairs\n    return x",
    "def f(ui, x):\n    ui.line.setText(f'{x} mm')\n    ui.line.setText('–')",
    "class XTest(ScriptedLoadableModuleTest):\n    def test_x(self):\n        pass\n    def _helper(self):\n        pass",
]


@pytest.mark.parametrize("rule, code, word", WRONG, ids=[f"{r}-{w}" for r, _, w in WRONG])
def test_a_mistake_is_found(rule, code, word):
    found = findings(code)
    assert [(r, word in sentence) for r, _, sentence in found] == [(rule, True)], found


@pytest.mark.parametrize("code", RIGHT)
def test_correct_code_passes(code):
    own = frozenset(node.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef))
    assert findings(code, own) == []


UI = """<ui><widget class="qMRMLWidget" name="panel">
<widget class="ctkSliderWidget" name="slider"><property name="SlicerParameterName" stdset="0"><string>kvp</string></property>
<property name="suffix"><string> kV</string></property></widget>
<widget class="qMRMLNodeComboBox" name="selector"/></widget>
<connections><connection><sender>panel</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>selector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>
"""


@pytest.mark.parametrize(
    "old, new, word",
    [
        ("", "", None),
        (">kvp<", ">kvq<", "no kvq"),
        ('class="ctkSliderWidget"', 'class="ctkSliderWidgt"', "no class"),
        ('class="ctkSliderWidget"', 'class="QGroupBox"', "connects no QGroupBox"),
        ('name="suffix"', 'name="sufix"', "no property sufix"),
        ("<receiver>selector", "<receiver>slector", "not there"),
        ("mrmlSceneChanged(vtkMRMLScene*)</signal>", "sceneChanged(vtkMRMLScene*)</signal>", "no signal"),
        ("<receiver>selector", "<receiver>panel", "never given the scene"),
    ],
)
def test_interface_files(tmp_path, old, new, word):
    path = tmp_path / "panel.ui"
    path.write_text(UI.replace(old, new) if old else UI)
    sentences = [sentence for _, _, sentence in interfaces.check(path, {"kvp"})]
    assert sentences == [] if word is None else any(word in sentence for sentence in sentences), sentences


def test_the_facts_are_those_observed_in_slicer():
    """What was seen in the application itself: text and size are properties, parent and click are not."""
    assert [kind_of("QPushButton", n) for n in ("text", "size", "parent", "setText", "clicked")] == [
        "property", "property", "method", "method", "signal",
    ]  # fmt: skip
    assert kind_of("QSize", "width") == "method" and kind_of("QWidget", "width") == "property"
    assert kind_of("QLayout", "count") == "method" and kind_of("QTabWidget", "count") == "property"
    assert properties("ctkSliderWidget")["value"] == "double" and kind_of("ctkSliderWidget", "setMinimum") is None
    assert "currentNodeChanged(vtkMRMLNode*)" in signals("qMRMLNodeComboBox")
    assert kind_of("qMRMLNodeComboBox", "currentNodeID") == "property"
    assert only_version("QButtonGroup", "buttonClicked(int)") == 5
    assert table()["QRegExp"]["only"] == 5


def test_facts_agree_with_the_installed_qt():
    """The table was not edited by hand: every property and signal of the panel's Qt classes is one of Qt 6, too."""
    code = """
import json, sys
from PySide6 import QtWidgets
for name in sys.argv[1:]:
    meta = getattr(QtWidgets, name).staticMetaObject
    members = [meta.property(i).name() for i in range(meta.propertyCount())]
    methods = [bytes(meta.method(i).methodSignature()).decode() for i in range(meta.methodCount())]
    print(json.dumps([name, members, methods]))
"""
    classes = ("QPushButton", "QLabel", "QComboBox", "QTableWidget", "QLineEdit", "QSpinBox", "QProgressBar")
    # In a process of its own: PySide loses the meta-object of a type now and then when many have been used.
    told = subprocess.run([sys.executable, "-c", code, *classes], capture_output=True, text=True, check=True).stdout
    for name, members, methods in map(json.loads, told.splitlines()):
        assert set(properties(name)) <= set(members)
        assert signals(name) <= set(methods)
    assert len(told.splitlines()) == len(classes)


def test_signatures_are_normalised_as_qt_does():
    from PySide6.QtCore import QMetaObject

    for signature in ("f( const QString & )", "f(int, double )", "f(vtkMRMLNode *)", "f()", "f(QList<int>)"):
        assert normalised(signature) == bytes(QMetaObject.normalizedSignature(signature)).decode()


def test_what_ships_is_clean():
    assert [str(finding) for finding in check_files(shipped_files())] == []


def test_the_command_prints_where_and_exits_with_1(tmp_path, capsys):
    from pythonqt_check.__main__ import main

    good, bad, broken = (tmp_path / f"{name}.py" for name in ("good", "bad", "broken"))
    good.write_text("import qt\n")
    bad.write_text("import qt\n\nb = qt.QLabel('a')\nprint(b.text())\n")
    broken.write_text("def\n")
    assert main([str(good)]) == 0 and capsys.readouterr().out == ""
    assert main([str(bad)]) == 1
    assert re.search(r"bad\.py:4: b\.text\(\): text is a property of QLabel", capsys.readouterr().out)
    assert main([str(broken)]) == 2
