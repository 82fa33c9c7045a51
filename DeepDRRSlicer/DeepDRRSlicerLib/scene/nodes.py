"""Finding own nodes again: each carries a role, which is saved with the scene, so that none is made twice."""

import slicer
import slicer.util
import vtk

ROLE = "DeepDRRSlicer.Role"
FOLDER_NAME = "C-arm"


_found = {}  # (role, class) -> ID of the node that had it last: where to look first


def findNode(role, className):
    """The node of this class with that role, or None."""
    node = slicer.mrmlScene.GetNodeByID(_found.get((role, className), ""))
    if node is not None and node.GetAttribute(ROLE) == role and node.IsA(className):
        return node
    for node in slicer.util.getNodesByClass(className):
        if node.GetAttribute(ROLE) == role:
            _found[role, className] = node.GetID()
            return node
    return None


def nodesWithRole(prefix):
    """All nodes whose role starts with the prefix."""
    nodes = slicer.util.getNodesByClass("vtkMRMLDisplayableNode")
    return [node for node in nodes if (node.GetAttribute(ROLE) or "").startswith(prefix)]


def nodesByRole(prefix):
    """{role: node} of all nodes whose role starts with the prefix: one look through the scene for many nodes."""
    return {node.GetAttribute(ROLE): node for node in nodesWithRole(prefix)}


def ensureNode(role, className, name):
    """The node with that role, made and put into the C-arm folder if there is none."""
    node = findNode(role, className)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass(className, name)
        node.SetAttribute(ROLE, role)
        _putInFolder(node)
    return node


def removeNode(node):
    """Remove a displayable node together with its display and storage nodes."""
    hierarchy = _hierarchy()
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.RemoveItem(item, False, False)  # the application would do it, a scene without application does not
    helpers = [node.GetNthDisplayNode(i) for i in range(node.GetNumberOfDisplayNodes())] + [node.GetStorageNode()]
    for helper in [helper for helper in helpers if helper is not None] + [node]:
        slicer.mrmlScene.RemoveNode(helper)


def removeFolder():
    """Remove the C-arm folder if nothing is left in it."""
    hierarchy = _hierarchy()
    folder = _findFolder(hierarchy)
    children = vtk.vtkIdList()
    if folder:
        hierarchy.GetItemChildren(folder, children)
        if children.GetNumberOfIds() == 0:
            hierarchy.RemoveItem(folder)


def _putInFolder(node):
    hierarchy = _hierarchy()
    folder = _findFolder(hierarchy)
    if not folder:
        folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), FOLDER_NAME)
        hierarchy.SetItemAttribute(folder, ROLE, "folder")
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, folder)
    else:  # the application makes an item for every node, a scene without application does not
        hierarchy.CreateItem(folder, node)


def _hierarchy():
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def _findFolder(hierarchy):
    children = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), children)
    for i in range(children.GetNumberOfIds()):
        if hierarchy.GetItemAttribute(children.GetId(i), ROLE) == "folder":
            return children.GetId(i)
    return 0
