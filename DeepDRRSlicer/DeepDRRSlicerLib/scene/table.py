"""The patient table in the scene: a transform for each of its frames under the C-arm's root, and a model per part."""

from DeepDRRSlicerLib.geometry.table import TABLE_FRAMES, table_frames
from DeepDRRSlicerLib.scene.carm import setMatrix
from DeepDRRSlicerLib.scene.nodes import ensureNode, findNode, nodesByRole, nodesWithRole, removeFolder, removeNode
from DeepDRRSlicerLib.scene.part_models import buildParts, colorParts, removeOthers

_FRAME = "table.frame."
_PART = "table.part."


class TableModel:
    """Scene representation of a device's table; of none where it has none. Keeps no nodes, like CArm."""

    def __init__(self, device):
        self._device = device
        self._parts = device.table.parts if device.table is not None else ()

    def build(self, root):
        """Make what is missing under the root transform, and take away what is of another table."""
        frames = TABLE_FRAMES if self._device.table is not None else ()
        carriers = removeOthers(_FRAME, {_FRAME + name for name in frames})
        carriers = {role.removeprefix(_FRAME): node for role, node in carriers.items()}
        for name in frames:
            if name not in carriers:
                carriers[name] = ensureNode(_FRAME + name, "vtkMRMLLinearTransformNode", f"Table {name}")
            carriers[name].SetAndObserveTransformNodeID(root.GetID())
        buildParts(_PART, self._parts, carriers, self._device.folder)

    def setValues(self, values):
        """Bring the table to the values of its axes (geometry/table.py)."""
        if self._device.table is None:
            return
        nodes = nodesByRole(_FRAME)
        for name, frame in table_frames(self._device.table, values, self._device.isocenter_height).items():
            setMatrix(nodes[_FRAME + name], frame)

    def frameNode(self, name):
        """The transform of one of TABLE_FRAMES, or None."""
        return findNode(_FRAME + name, "vtkMRMLLinearTransformNode")

    def partNode(self, name):
        """The model of a part, or None."""
        return findNode(_PART + name, "vtkMRMLModelNode")

    def showTouched(self, touched):
        """Draw the table in red, or in its own colours."""
        colorParts(_PART, self._parts, {part.name for part in self._parts} if touched else set())


def removeTable():
    """Remove every node of a table from the scene."""
    for node in nodesWithRole(_PART) + nodesWithRole(_FRAME):
        removeNode(node)
    removeFolder()
