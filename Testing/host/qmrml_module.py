"""Stand-ins for the qMRML and qSlicer widget classes of the ``slicer`` namespace; their scene and nodes are real."""

import pathlib
import sys

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import pythonqt, qt_module
from .pythonqt import invokable, stored


class qMRMLWidget(QtWidgets.QWidget):
    """Passes its scene to children only through mrmlSceneChanged, as in Slicer."""

    mrmlSceneChanged = QtCore.Signal(object)
    cppSignals = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged(PyObject)"}
    scene = None

    @invokable
    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None):
        if scene is not self.scene:
            self.scene = scene
            self.mrmlSceneChanged.emit(scene)

    mrmlScene = invokable(lambda self: self.scene)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A node selector; empty and disabled without a scene. Its menu (create, delete) exists as slots only.

    Which node comes next when the current one is removed is left to a real QComboBox, as in Slicer.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentNodeValid = QtCore.Signal(bool)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeAddedByUser = QtCore.Signal(object)
    cppSignals = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged(PyObject)",
        "currentNodeChanged(bool)": "currentNodeValid(bool)",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser(PyObject)",
    }

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self.scene, self._tags, self._requestedID = None, [], ""
        self.comboBox = QtWidgets.QComboBox()
        self.comboBox.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.comboBox.setPlaceholderText("Select a node")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.comboBox)
        self.comboBox.currentIndexChanged.connect(self._onIndexChanged)
        self.setEnabled(False)

    def _accepts(self, node):
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        return any(node.IsA(t) if self.showChildNodeTypes else node.GetClassName() == t for t in self.nodeTypes)

    def _update(self, *_):
        """Make the items follow the scene, leaving the choice of the current one to the combo box."""
        if self.scene is None:
            return
        nodes = filter(self._accepts, (self.scene.GetNthNode(i) for i in range(self.scene.GetNumberOfNodes())))
        names = {"": self.noneDisplay} if self.noneEnabled else {}
        names |= {node.GetID(): node.GetName() or "" for node in nodes}
        wasEmpty = self.comboBox.count() == 0
        for index in reversed(range(self.comboBox.count())):
            if self.comboBox.itemData(index) not in names:
                self.comboBox.removeItem(index)
        for index, (nodeID, name) in enumerate(names.items()):
            if self.comboBox.itemData(index) != nodeID:
                self.comboBox.insertItem(index, name, nodeID)
            self.comboBox.setItemText(index, name)
        if wasEmpty and names:
            self.comboBox.setCurrentIndex(0)  # the first node selects itself, unless None stands before it

    def paintEvent(self, event):
        self._update()  # names may have changed
        super().paintEvent(event)

    def _onIndexChanged(self, *_):
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self.currentNodeValid.emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node else "")

    @invokable
    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None):
        if scene is self.scene:
            return
        while self._tags:
            self.scene.RemoveObserver(self._tags.pop())
        self.comboBox.clear()
        self.scene = scene
        self.setEnabled(scene is not None)
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
            self._tags = tags = [scene.AddObserver(event, self._update) for event in events]
            self.destroyed.connect(lambda: [scene.RemoveObserver(tag) for tag in tags])
            self._update()
            if self._requestedID:
                self.setCurrentNodeID(self._requestedID)

    @invokable
    def currentNode(self):
        nodeID = self.comboBox.currentData()
        return self.scene.GetNodeByID(nodeID) if self.scene is not None and nodeID else None

    @invokable
    def setCurrentNodeID(self, nodeID: str):
        if self.scene is None:
            self._requestedID = nodeID  # selected when the scene comes
        else:
            none = 0 if self.noneEnabled else -1
            self.comboBox.setCurrentIndex(self.comboBox.findData(nodeID) if nodeID else none)

    @invokable
    def setCurrentNode(self, node: slicer.vtkMRMLNode | None):
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    @invokable
    def addNode(self, nodeType: str = ""):
        node = self.scene.CreateNodeByClass(nodeType or self.nodeTypes[0])
        node.UnRegister(None)
        node.SetName(self.scene.GetUniqueNameByString(self.baseName or node.GetDefaultNodeNamePrefix()))
        node = self.scene.AddNode(node)
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    mrmlScene = invokable(lambda self: self.scene)
    nodeCount = invokable(lambda self: self.comboBox.count() - int(self.noneEnabled))
    removeCurrentNode = invokable(lambda self: self.scene.RemoveNode(self.currentNode()))
    nodeTypes = stored("QStringList", "nodeTypes", [], then="_update")
    showChildNodeTypes = stored(bool, "showChildNodeTypes", True, then="_update")
    showHidden = stored(bool, "showHidden", False, then="_update")
    noneEnabled = stored(bool, "noneEnabled", False, then="_update")
    noneDisplay = stored(str, "noneDisplay", "None", then="_update")
    baseName = stored(str, "baseName", "")
    addEnabled = stored(bool, "addEnabled", True)
    removeEnabled = stored(bool, "removeEnabled", True)
    renameEnabled = stored(bool, "renameEnabled", False)
    editEnabled = stored(bool, "editEnabled", False)
    currentNodeID = QtCore.Property(str, lambda self: self.comboBox.currentData() or "", setCurrentNodeID)


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """What ``parent`` is for the Python class of a module's panel; makes and drives that class."""

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self.entered, self.python = False, None
        QtWidgets.QVBoxLayout(self)

    def start(self, moduleName):
        self.setObjectName(moduleName + "Widget")
        self.reload()
        self.setMRMLScene(slicer.mrmlScene)

    @invokable
    def reload(self):
        """Make the Python object anew; like Slicer, without entering it."""
        name = self.objectName()
        self.python = getattr(sys.modules[name.removesuffix("Widget")], name)(pythonqt.wrap(self))
        setattr(slicer.modules, name, self.python)
        self.python.setup()

    def setEntered(self, entered):
        if entered != self.entered:
            self.entered = entered
            getattr(self.python, "enter" if entered else "exit", lambda: None)()

    @invokable
    def self(self):
        return self.python

    isEntered = QtCore.Property(bool, lambda self: self.entered)


class qSlicerScriptedLoadableModule(QtCore.QObject):
    """What ``parent`` is for the Python class of a module."""

    def __init__(self, path: str = ""):
        super().__init__()
        self.file, self.widget = path, None
        self.setObjectName(pathlib.Path(path).stem)

    @invokable
    def widgetRepresentation(self):
        """The panel, made the first time; it is set up, but not entered."""
        if self.widget is None:
            self.widget = qSlicerScriptedLoadableModuleWidget()
            self.widget.start(self.objectName())
        return self.widget

    path = QtCore.Property(str, lambda self: self.file)
    title = stored(str, "title", "")
    helpText = stored(str, "helpText", "")
    acknowledgementText = stored(str, "acknowledgementText", "")
    categories = stored("QStringList", "categories", [])
    dependencies = stored("QStringList", "dependencies", [])
    contributors = stored("QStringList", "contributors", [])
    associatedNodeTypes = stored("QStringList", "associatedNodeTypes", [])
    hidden = stored(bool, "hidden", False)
    icon = stored(QtGui.QIcon, "icon", QtGui.QIcon())


class qSlicerModuleManager(QtCore.QObject):
    @invokable
    def module(self, name: str):
        return getattr(slicer.modules, name.lower(), None)


def install():
    """Put the classes into the slicer namespace and into the .ui loader."""
    for cls in (qMRMLWidget, qMRMLNodeComboBox, qSlicerScriptedLoadableModuleWidget, qSlicerScriptedLoadableModule):
        setattr(slicer, cls.__name__, pythonqt.wrapperClass(cls))
    qt_module.QUiLoader.widgetClasses |= {"qMRMLWidget": qMRMLWidget, "qMRMLNodeComboBox": qMRMLNodeComboBox}
