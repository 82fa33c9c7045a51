"""slicer.ScriptedLoadableModule of the test host: base classes of a module's module, widget, logic and test."""

import importlib
import logging
import os
import unittest

import slicer

__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleWidget",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
]


class ScriptedLoadableModule:
    def __init__(self, parent):
        import qt

        self.parent = parent
        self.moduleName = type(self).__name__
        for extension in (".svg", ".png"):
            icon = self.resourcePath(f"Icons/{self.moduleName}{extension}")
            if os.path.isfile(icon):
                parent.icon = qt.QIcon(icon)
                break

    def resourcePath(self, filename):
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def runTest(self, msec=100):
        module = importlib.import_module(self.__module__)
        test = getattr(module, self.moduleName + "Test")()
        test.messageDelay = msec
        test.runTest()


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        super().__init__()  # so that a mixin after this class is initialised, too
        if parent is None:
            raise NotImplementedError("the test host always gives a module widget its parent")
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, filename):
        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", filename)

    def setup(self):
        """The developer section is off."""

    def cleanup(self):
        """Called before the module is unloaded or reloaded."""

    def onReload(self):
        slicer.util.reloadScriptedModule(self.moduleName)


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        """The module's parameter node, made when there is none; closing the scene wipes its ModuleName attribute."""
        if not self.isSingletonParameterNode:
            raise NotImplementedError("the test host has singleton parameter nodes only")
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.AddNode(self.createParameterNode())
        if node.GetAttribute("ModuleName") != self.moduleName:
            node.SetAttribute("ModuleName", self.moduleName)
        return node

    def createParameterNode(self):
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """runTest() runs, as Slicer's Reload and Test, every method whose name contains "test"."""

    def __init__(self, methodName="runTest"):
        super().__init__(methodName)
        self.messageDelay = 50

    def delayDisplay(self, message, requestedDelay=None, msec=None):
        slicer.util.delayDisplay(message, self.messageDelay)

    def runTest(self):
        names = [n for n in dir(self) if "test" in n and callable(getattr(self, n))]
        for name in names:
            self.setUp()
            logging.info("Running %s", name)
            getattr(self, name)()
            self.tearDown()
