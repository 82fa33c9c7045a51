"""Off-screen slice and 3D views on Slicer's displayable managers; VTK picks EGL or OSMesa when there is no display."""

import os

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy


def _viewNode(className, layoutName):
    """The scene's view node of that layout name (the layout may have made it already), or a new one."""
    node = slicer.mrmlScene.GetSingletonNode(layoutName, className)
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass(className)
        node.UnRegister(None)
        node.SetName(layoutName)
        node.SetLayoutName(layoutName)
        node = slicer.mrmlScene.AddNode(node)
    return node


def _renderWindow():
    if os.environ.get("DISPLAY"):
        return vtk.vtkRenderWindow()
    # VTK tries X first and warns, then takes EGL or OSMesa.
    warnings = vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkObject.SetGlobalWarningDisplay(0)
    window = vtk.vtkRenderWindow()
    vtk.vtkObject.SetGlobalWarningDisplay(warnings)
    return window


class _OffscreenView:
    """Render window, interactor and displayable managers around one view node.

    The interactor has no event loop: a host that has mouse events feeds them into ``interactor``.
    """

    def __init__(self, size):
        self.render_window = _renderWindow()
        self.render_window.SetOffScreenRendering(1)
        self.render_window.SetShowWindow(False)
        self.render_window.SetMultiSamples(0)
        self.render_window.SetSize(int(size[0]), int(size[1]))
        self.renderer = vtk.vtkRenderer()
        self.render_window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.render_window)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self.group = slicer.vtkMRMLDisplayableManagerGroup()

    def _connect(self, factory, style):
        self.view_node.SetInteractionNode(self._applicationLogic.GetInteractionNode())
        self.group.Initialize(factory, self.renderer)
        self.style = style
        style.SetDisplayableManagers(self.group)
        style.SetInteractor(self.interactor)
        self.group.SetMRMLDisplayableNode(self.view_node)

    @property
    def size(self):
        """(width, height) in pixels."""
        return self.render_window.GetSize()

    def render(self):
        """The view as uint8 [row, column, 3], row 0 on top."""
        self.render_window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.render_window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.ShouldRerenderOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        rgb = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)
        return np.ascontiguousarray(rgb[::-1])

    def close(self):
        """Let go of the scene; the view cannot be used afterwards."""
        # The style keeps the managers alive; they stop observing the scene in their destructors, which need the
        # renderer.
        self.style.SetInteractor(None)
        self.style = None
        self.group = None
        self.render_window.Finalize()


class OffscreenSliceView(_OffscreenView):
    """A slice view such as "Red", or one of an own layout; its slice node is created when there is none.

    ``logic`` is registered with the application logic, so GetSliceLogicByLayoutName finds it as in the application.
    """

    def __init__(self, layout_name, size=(512, 512)):
        super().__init__(size)
        self._applicationLogic = slicer.app.applicationLogic()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(self._applicationLogic)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.view_node = _viewNode("vtkMRMLSliceNode", layout_name)
        self.logic.SetSliceNode(self.view_node)
        self._applicationLogic.GetSliceLogics().AddItem(self.logic)
        # The application draws slices with a lightbox class that slicer-core lacks: an image under all other actors.
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._imageActor = vtk.vtkActor2D()
        self._imageActor.SetMapper(self._mapper)
        self._imageActor.SetLayerNumber(0)
        self.renderer.AddViewProp(self._imageActor)
        self.renderer.SetBackground(0, 0, 0)
        style = slicer.vtkMRMLSliceViewInteractorStyle()
        style.SetSliceLogic(self.logic)
        self._connect(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), style)
        self.logic.SetDisplayableManagerGroup(self.group)
        self.setSize(size)

    def setSize(self, size):
        """Resize to (width, height) pixels, keeping the scale of the slice."""
        self.render_window.SetSize(int(size[0]), int(size[1]))
        self.logic.ResizeSliceNode(int(size[0]), int(size[1]))

    def render(self):
        self.logic.UpdatePipeline()
        connection = self.logic.GetImageDataConnection()
        self._mapper.SetInputConnection(connection)
        self._imageActor.SetVisibility(connection is not None)
        return super().render()

    def close(self):
        self._applicationLogic.GetSliceLogics().RemoveItem(self.logic)
        self._mapper.SetInputConnection(None)
        self.style.SetSliceLogic(None)
        self.logic.SetDisplayableManagerGroup(None)
        super().close()
        self.logic.SetSliceNode(None)
        self.logic.SetMRMLScene(None)


class OffscreenThreeDView(_OffscreenView):
    """A 3D view such as "1"; its view node is created when there is none."""

    def __init__(self, layout_name="1", size=(800, 600)):
        super().__init__(size)
        self._applicationLogic = slicer.app.applicationLogic()
        self.view_node = _viewNode("vtkMRMLViewNode", layout_name)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(self._applicationLogic)
        self.logic.SetName(layout_name)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self._applicationLogic.GetViewLogics().AddItem(self.logic)
        self.renderer.GradientBackgroundOn()
        self.renderer.UseFXAAOn()  # depth peeling draws nothing translucent in a multisampled off-screen window
        self._connect(
            slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), slicer.vtkMRMLThreeDViewInteractorStyle()
        )
        self.camera_node = slicer.modules.cameras.logic().GetViewActiveCameraNode(self.view_node)

    def setSize(self, size):
        """Resize to (width, height) pixels."""
        self.render_window.SetSize(int(size[0]), int(size[1]))

    def render(self):
        node = self.view_node
        self.renderer.SetUseDepthPeeling(bool(node.GetUseDepthPeeling()))
        self.renderer.SetUseDepthPeelingForVolumes(bool(node.GetUseDepthPeeling()))
        self.renderer.ResetCameraClippingRange()
        return super().render()

    def close(self):
        self._applicationLogic.GetViewLogics().RemoveItem(self.logic)
        super().close()
        self.logic.SetMRMLScene(None)
