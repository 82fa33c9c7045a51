"""slicer.app.layoutManager() of the test host: slice and 3D views arranged as the layout node's XML says."""

import xml.etree.ElementTree as ElementTree

import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import invokable
from .views import OffscreenSliceView, OffscreenThreeDView


class _View(QtWidgets.QWidget):
    """Shows the last rendering of an off-screen view; scheduleRender() marks it stale, forceRender() renders."""

    def __init__(self, view):
        super().__init__()
        self.view, self.image = view, QtGui.QImage()
        self.setMinimumSize(60, 60)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Expanding)

    def resizeEvent(self, event):
        self.view.setSize((self.width(), self.height()))

    def paintEvent(self, event):
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), QtCore.Qt.GlobalColor.black)
        painter.drawImage(self.rect(), self.image)

    @invokable
    def forceRender(self):
        pixels = self.view.render()
        rows, columns, _ = pixels.shape
        self.image = QtGui.QImage(
            pixels.tobytes(), columns, rows, 3 * columns, QtGui.QImage.Format.Format_RGB888
        ).copy()
        self.update()

    scheduleRender = invokable(lambda self: self.update())
    renderWindow = invokable(lambda self: self.view.render_window)
    interactor = invokable(lambda self: self.view.interactor)
    interactorStyle = invokable(lambda self: self.view.style)


class qMRMLSliceView(_View):
    mrmlSliceNode = invokable(lambda self: self.view.view_node)


class qMRMLThreeDView(_View):
    mrmlViewNode = invokable(lambda self: self.view.view_node)
    cameraNode = invokable(lambda self: self.view.camera_node)
    resetFocalPoint = invokable(lambda self: self.view.renderer.ResetCamera())
    resetCamera = invokable(lambda self: self.view.renderer.ResetCamera())


class _ViewWidget(QtWidgets.QWidget):
    """A view under a bar with its colour and label."""

    def __init__(self, view):
        super().__init__()
        self.shown, self.view = view, view.view
        node = self.view.view_node
        bar = QtWidgets.QLabel(f" {node.GetLayoutLabel() or ''}")
        color = QtGui.QColor.fromRgbF(*node.GetLayoutColor())
        bar.setStyleSheet(f"background: {color.name()}; color: black; font-weight: bold")
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(1, 1, 1, 1)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(view, 1)


class qMRMLSliceWidget(_ViewWidget):
    def __init__(self, name):
        super().__init__(qMRMLSliceView(OffscreenSliceView(name)))
        self.controller = qMRMLSliceControllerWidget(self)

    sliceView = invokable(lambda self: self.shown)
    sliceController = invokable(lambda self: self.controller)
    sliceLogic = invokable(lambda self: self.view.logic)
    mrmlSliceNode = invokable(lambda self: self.view.view_node)
    mrmlSliceCompositeNode = invokable(lambda self: self.view.logic.GetSliceCompositeNode())
    fitSliceToBackground = invokable(lambda self: self.view.logic.FitSliceToBackground())


class qMRMLSliceControllerWidget(QtCore.QObject):
    sliceLogic = invokable(lambda self: self.parent().view.logic)
    mrmlSliceNode = invokable(lambda self: self.parent().view.view_node)
    fitSliceToBackground = invokable(lambda self: self.parent().fitSliceToBackground())


class qMRMLThreeDWidget(_ViewWidget):
    def __init__(self, name):
        super().__init__(qMRMLThreeDView(OffscreenThreeDView(name)))

    threeDView = invokable(lambda self: self.shown)
    mrmlViewNode = invokable(lambda self: self.view.view_node)
    viewLogic = invokable(lambda self: self.view.logic)


_WIDGETS = {"vtkMRMLSliceNode": qMRMLSliceWidget, "vtkMRMLViewNode": qMRMLThreeDWidget}


class qSlicerLayoutManager(QtCore.QObject):
    layoutChanged = QtCore.Signal(int)

    def __init__(self, core):
        super().__init__()
        self._logic = core.layoutLogic
        self._applicationLogic = core.applicationLogic
        self._widgets, self._shown = {}, None
        self.panel = QtWidgets.QWidget()
        QtWidgets.QVBoxLayout(self.panel).setContentsMargins(0, 0, 0, 0)
        node = self._logic.GetLayoutNode()
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._update)

    def _update(self, *_):
        node = self._logic.GetLayoutNode()
        description = node.GetCurrentLayoutDescription() or ""
        if (node.GetViewArrangement(), description) == self._shown or not description:
            return
        self._shown = (node.GetViewArrangement(), description)
        old = self.panel.layout().takeAt(0)
        for widget in self._widgets.values():
            widget.setParent(None)  # views outlive layouts, as in Slicer
        if old:
            old.widget().deleteLater()
        box = self._build(ElementTree.fromstring(description))
        self.panel.layout().addWidget(box)
        box.show()
        self.layoutChanged.emit(node.GetViewArrangement())

    def _build(self, element):
        if element.tag == "view":
            return self._view(element.get("class"), element.get("singletontag"))
        horizontal = element.get("type", "horizontal") == "horizontal"
        box = QtWidgets.QSplitter(QtCore.Qt.Orientation.Horizontal if horizontal else QtCore.Qt.Orientation.Vertical)
        if element.get("type") == "tab":
            box = QtWidgets.QTabWidget()
        for item in element.findall("item"):
            child = self._build(item[0])
            box.addTab(child, item.get("name", "")) if isinstance(box, QtWidgets.QTabWidget) else box.addWidget(child)
            child.show()
        if isinstance(box, QtWidgets.QSplitter):
            box.setSizes([int(item.get("splitSize", 500)) for item in element.findall("item")])
        return box

    def _view(self, className, name):
        if className not in _WIDGETS:
            raise NotImplementedError(f"the test host shows no {className} in a layout")
        if (className, name) not in self._widgets:
            self._widgets[className, name] = _WIDGETS[className](name)
        return self._widgets[className, name]

    def _named(self, className):
        return {name: widget for (kind, name), widget in self._widgets.items() if kind == className}

    def shownViews(self):
        return [w.shown for w in self._widgets.values() if w.isVisible()]

    def close(self):
        self._logic.GetLayoutNode().RemoveObserver(self._tag)
        for widget in self._widgets.values():
            widget.view.close()
        self._widgets.clear()

    @invokable
    def setLayout(self, layout: int):
        self._logic.GetLayoutNode().SetViewArrangement(layout)

    @invokable
    def sliceWidget(self, name: str):
        return self._named("vtkMRMLSliceNode").get(name)

    @invokable
    def threeDWidget(self, which: int | str):
        views = self._named("vtkMRMLViewNode")
        return views.get(which) if isinstance(which, str) else dict(enumerate(views.values())).get(which)

    @invokable
    def resetThreeDViews(self):
        for widget in self._named("vtkMRMLViewNode").values():
            widget.shown.resetFocalPoint()

    @invokable
    def resetSliceViews(self):
        for widget in self._named("vtkMRMLSliceNode").values():
            widget.fitSliceToBackground()

    layoutLogic = invokable(lambda self: self._logic)
    sliceViewNames = invokable(lambda self: list(self._named("vtkMRMLSliceNode")))
    mrmlSliceLogics = invokable(lambda self: self._applicationLogic.GetSliceLogics())
    layout = QtCore.Property(int, lambda self: self._logic.GetLayoutNode().GetViewArrangement(), setLayout)
    threeDViewCount = QtCore.Property(int, lambda self: len(self._named("vtkMRMLViewNode")))
    tableViewCount = QtCore.Property(int, lambda self: 0)
    plotViewCount = QtCore.Property(int, lambda self: 0)
