"""slicer.app.layoutManager() of the test host: slice and 3D views arranged as the layout node's XML says."""

import xml.etree.ElementTree as ElementTree

import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import invokable
from .views import OffscreenSliceView, OffscreenThreeDView

_BAR = 16  # pixels


class _View(QtWidgets.QWidget):
    """The last rendering of an off-screen view, which forceRender() makes, under a bar with its colour and label."""

    def __init__(self, name):
        super().__init__()
        self.view, self.image = self.offscreen(name), QtGui.QImage()
        self.setMinimumSize(60, 60)

    def resizeEvent(self, event):
        self.view.setSize((self.width(), self.height() - _BAR))

    def paintEvent(self, event):
        node, painter = self.view.view_node, QtGui.QPainter(self)
        painter.fillRect(0, 0, self.width(), _BAR, QtGui.QColor.fromRgbF(*node.GetLayoutColor()))
        painter.drawText(4, _BAR - 4, node.GetLayoutLabel() or "")
        painter.drawImage(self.rect().adjusted(0, _BAR, 0, 0), self.image)

    @invokable
    def forceRender(self):
        pixels = self.view.render()
        rows, columns, _ = pixels.shape
        kind = QtGui.QImage.Format.Format_RGB888
        self.image = QtGui.QImage(pixels.tobytes(), columns, rows, 3 * columns, kind).copy()
        self.update()

    renderWindow = invokable(lambda self: self.view.render_window)


class qMRMLSliceView(_View):
    offscreen = OffscreenSliceView


class qMRMLThreeDView(_View):
    offscreen = OffscreenThreeDView


class qMRMLSliceWidget(QtCore.QObject):
    sliceView = invokable(lambda self: self.parent())


class qMRMLThreeDWidget(QtCore.QObject):
    threeDView = invokable(lambda self: self.parent())


_VIEWS = {"vtkMRMLSliceNode": qMRMLSliceView, "vtkMRMLViewNode": qMRMLThreeDView}


class qSlicerLayoutManager(QtCore.QObject):
    def __init__(self, layoutNode):
        super().__init__()
        self.views, self._shown, self._node = {}, None, layoutNode  # views by class and name
        self.panel = QtWidgets.QWidget()
        QtWidgets.QVBoxLayout(self.panel).setContentsMargins(0, 0, 0, 0)
        self._tag = layoutNode.AddObserver(vtk.vtkCommand.ModifiedEvent, self._update)

    def _update(self, *_):
        description = self._node.GetCurrentLayoutDescription()
        if description == self._shown or not description:
            return
        self._shown = description
        old = self.panel.layout().takeAt(0)
        for view in self.views.values():
            view.setParent(None)  # views outlive layouts, as in Slicer
        if old:
            old.widget().deleteLater()
        box = self._build(ElementTree.fromstring(description))
        self.panel.layout().addWidget(box)
        box.show()

    def _build(self, element):
        if element.tag == "view":
            key = element.get("class"), element.get("singletontag")
            if key not in self.views:
                self.views[key] = _VIEWS[key[0]](key[1])
            return self.views[key]
        direction = {"horizontal": QtCore.Qt.Orientation.Horizontal, "vertical": QtCore.Qt.Orientation.Vertical}
        box = QtWidgets.QSplitter(direction[element.get("type", "horizontal")])
        for item in element.findall("item"):
            part = self._build(item[0])
            box.addWidget(part)
            part.show()
        box.setSizes([int(item.get("splitSize", 500)) for item in element.findall("item")])
        return box

    def close(self):
        self._node.RemoveObserver(self._tag)
        for view in self.views.values():
            view.view.close()
        self.views.clear()

    @invokable
    def sliceWidget(self, name: str):
        view = self.views.get(("vtkMRMLSliceNode", name))
        return view and qMRMLSliceWidget(view)

    @invokable
    def threeDWidget(self, index: int):
        views = [view for (kind, _), view in self.views.items() if kind == "vtkMRMLViewNode"]
        return qMRMLThreeDWidget(views[index]) if index < len(views) else None
