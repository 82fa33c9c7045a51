"""The foot pedal as a node of the scene, which keys, mouse, other modules, scripts and tracked pedals press.

It is a text node: "1" is pressed, anything else is released. A text that arrives over OpenIGTLink is such a node, too.
"""

import vtk

from DeepDRRSlicerLib.scene.nodes import ensureNode, findNode

_PEDAL = "pedal"
_CLASS = "vtkMRMLTextNode"
_PRESSED = "1"


def pedalNode():
    """The scene's pedal, made released if there is none. It is not saved: a scene must not open with X-rays on."""
    node = ensureNode(_PEDAL, _CLASS, "C-arm pedal")
    node.SetSaveWithScene(False)
    return node


def isPressed():
    """Whether the pedal is held down."""
    node = findNode(_PEDAL, _CLASS)
    return node is not None and (node.GetText() or "").strip() == _PRESSED


def setPressed(pressed):
    """Press the pedal, or release it."""
    pedalNode().SetText(_PRESSED if pressed else "0")


class PedalWatch:
    """Calls onChange(pressed) when the scene's pedal is pressed or released, until it is closed."""

    def __init__(self, onChange):
        self._onChange = onChange
        self._pressed = isPressed()
        self.node = pedalNode()
        self._tag = self.node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onModified)

    def close(self):
        """Look no longer."""
        self.node.RemoveObserver(self._tag)

    def _onModified(self, caller, event):
        pressed = isPressed()
        if pressed != self._pressed:
            self._pressed = pressed
            self._onChange(pressed)
