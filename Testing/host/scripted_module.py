"""slicer.ScriptedLoadableModule of the test host: base classes of a module's module, widget, logic and test."""

import os
import unittest

import slicer


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        super().__init__()  # so that a mixin after this class is initialised, too
        if parent is None:
            raise NotImplementedError("the test host always gives a module widget its parent")
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, filename):
        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", filename)

    def setup(self):
        """The developer section is off."""

    def cleanup(self):
        """Called before the module is unloaded or reloaded."""


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self):
        """The module's parameter node, made when there is none; closing the scene wipes its ModuleName attribute."""
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
            node = slicer.mrmlScene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """runTest() runs, as Slicer's Reload and Test, every method whose name contains "test"."""

    def runTest(self):
        for name in [n for n in dir(self) if "test" in n and callable(getattr(self, n))]:
            self.setUp()
            getattr(self, name)()
            self.tearDown()
