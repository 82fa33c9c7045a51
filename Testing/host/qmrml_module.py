"""Stand-ins for the qMRML and qSlicer classes of the ``slicer`` namespace; their scene and nodes are real."""

import pathlib
import sys

import slicer
from PySide6 import QtCore, QtWidgets

from . import layout, pythonqt, qt_module
from .pythonqt import invokable, stored


class qMRMLWidget(QtWidgets.QWidget):
    """Passes its scene to children only through mrmlSceneChanged, as in Slicer."""

    mrmlSceneChanged = QtCore.Signal(object)
    pointer = "vtkMRMLScene*"
    scene = None

    @invokable
    def setMRMLScene(self, scene: slicer.vtkMRMLScene):
        if self.scene is None:  # one host has one scene
            self.scene = scene
            self.mrmlSceneChanged.emit(scene)

    mrmlScene = invokable(lambda self: self.scene)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A node selector; empty and disabled without a scene. Its menu (create, delete) is left out.

    Which node comes next when the current one is removed is left to a real QComboBox, as in Slicer.
    """

    currentNodeChanged = QtCore.Signal(object)
    pointer = "vtkMRMLNode*"

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self.scene = None
        self.comboBox = QtWidgets.QComboBox()
        self.comboBox.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.comboBox.setPlaceholderText("Select a node")
        QtWidgets.QVBoxLayout(self).addWidget(self.comboBox)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.comboBox.currentIndexChanged.connect(lambda index: self.currentNodeChanged.emit(self.currentNode()))
        self.setEnabled(False)

    def _accepts(self, node):
        if node.GetHideFromEditors():
            return False
        return any(node.IsA(t) if self.showChildNodeTypes else node.GetClassName() == t for t in self.nodeTypes)

    def _candidates(self):
        """Nodes in the scene's order; of the one class, if there is but one, which VTK finds faster than Python."""
        if len(self.nodeTypes) == 1:
            found = self.scene.GetNodesByClass(self.nodeTypes[0])
            found.UnRegister(None)
            return list(found)
        return [self.scene.GetNthNode(i) for i in range(self.scene.GetNumberOfNodes())]

    def _update(self, *_):
        """Make the items follow the scene, leaving the choice of the current one to the combo box."""
        if self.scene is None:
            return
        nodes = filter(self._accepts, self._candidates())
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

    @invokable
    def setMRMLScene(self, scene: slicer.vtkMRMLScene):
        if self.scene is None:
            self.scene = scene
            self.setEnabled(True)
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
            tags = [scene.AddObserver(event, self._update) for event in events]
            self.destroyed.connect(lambda: [scene.RemoveObserver(tag) for tag in tags])
            self._update()

    @invokable
    def currentNode(self):
        nodeID = self.comboBox.currentData()
        return self.scene.GetNodeByID(nodeID) if self.scene is not None and nodeID else None

    @invokable
    def setCurrentNode(self, node: slicer.vtkMRMLNode | None):
        if self.scene is None and node is not None:
            raise NotImplementedError("the test host does not keep a node for a selector that has no scene yet")
        none = 0 if self.noneEnabled else -1
        self.comboBox.setCurrentIndex(none if node is None else self.comboBox.findData(node.GetID()))

    @invokable
    def addNode(self):
        node = self.scene.CreateNodeByClass(self.nodeTypes[0])
        node.UnRegister(None)
        node.SetName(self.scene.GetUniqueNameByString(node.GetDefaultNodeNamePrefix()))
        self.setCurrentNode(self.scene.AddNode(node))
        return node

    mrmlScene = invokable(lambda self: self.scene)
    nodeTypes = stored("QStringList", "nodeTypes", [], then="_update")
    showChildNodeTypes = stored(bool, "showChildNodeTypes", True, then="_update")
    noneEnabled = stored(bool, "noneEnabled", False, then="_update")
    noneDisplay = stored(str, "noneDisplay", "None", then="_update")
    addEnabled = stored(bool, "addEnabled", True)
    removeEnabled = stored(bool, "removeEnabled", True)
    currentNodeID = QtCore.Property(str, lambda self: self.comboBox.currentData() or "")


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """What ``parent`` is for the Python class of a module's panel; makes and drives that class."""

    def __init__(self, name):
        super().__init__()
        self.entered, self.python = False, None
        self.setObjectName(name)
        QtWidgets.QVBoxLayout(self)
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
            self.python.enter() if entered else self.python.exit()

    isEntered = QtCore.Property(bool, lambda self: self.entered)


class qSlicerScriptedLoadableModule(QtCore.QObject):
    """What ``parent`` is for the Python class of a module."""

    def __init__(self, path):
        super().__init__()
        self.file, self.widget = path, None
        self.setObjectName(pathlib.Path(path).stem)

    @invokable
    def widgetRepresentation(self):
        """The panel, made the first time; it is set up, but not entered."""
        if self.widget is None:
            self.widget = qSlicerScriptedLoadableModuleWidget(self.objectName() + "Widget")
        return self.widget

    path = QtCore.Property(str, lambda self: self.file)
    title = stored(str, "title", "")
    helpText = stored(str, "helpText", "")
    acknowledgementText = stored(str, "acknowledgementText", "")
    categories = stored("QStringList", "categories", [])
    dependencies = stored("QStringList", "dependencies", [])
    contributors = stored("QStringList", "contributors", [])


class qSlicerApplication(QtCore.QObject):
    """``slicer.app``, with --testing and without a main window."""

    startupCompleted = QtCore.Signal()

    def __init__(self, core):
        super().__init__()
        self.core = core
        self.filters = []  # that watch the whole application
        self.manager = layout.qSlicerLayoutManager(core.layoutLogic.GetLayoutNode())

    @invokable
    def installEventFilter(self, filterObject: QtCore.QObject):
        QtWidgets.QApplication.instance().installEventFilter(filterObject)
        self.filters.append(filterObject)

    @invokable
    def removeEventFilter(self, filterObject: QtCore.QObject):
        QtWidgets.QApplication.instance().removeEventFilter(filterObject)
        self.filters.remove(filterObject)

    layoutManager = invokable(lambda self: self.manager)
    applicationLogic = invokable(lambda self: self.core.applicationLogic)
    processEvents = invokable(lambda self: QtWidgets.QApplication.processEvents())
    testingEnabled = invokable(lambda self: True)
    topLevelWidgets = invokable(lambda self: [pythonqt.wrap(w) for w in QtWidgets.QApplication.topLevelWidgets()])
    applicationName = QtCore.Property(str, lambda self: "Slicer")


slicer.qMRMLNodeComboBox = pythonqt.wrapperClass(qMRMLNodeComboBox)
qt_module.widgetClasses |= {"qMRMLWidget": qMRMLWidget, "qMRMLNodeComboBox": qMRMLNodeComboBox}
