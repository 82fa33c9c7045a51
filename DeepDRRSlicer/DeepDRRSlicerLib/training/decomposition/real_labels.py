"""Labels for real CTs that have none: by density, shape, and a few places that were read off their slices.

Where all of that is doubtful the weight is 0: a hole teaches nothing, a wrong label teaches nonsense. Arrays are
[S, A, R ascending]; places are voxels of them.
"""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.canvas import (
    ADIPOSE,
    AIR,
    BONE,
    CONTRAST,
    CONTRAST_HU,
    LUNG,
    METAL,
    SOFT,
)
from DeepDRRSlicerLib.training.decomposition.voxels import (
    blurred,
    closed,
    components,
    distance,
    divided,
    filled_planes,
    grown,
    opened,
)

SPLIT_HU = 190.0  # above it, bone and blood hardly touch in the CTA
WIRE_HU, STRUT_HU = 1900.0, 1000.0
SKULL_EDGE_HU = 250.0
BONE_EDGE_HU = 175.0  # where bone ends in TotalSegmentator's labels, on average
WINDPIPE_HU = -930.0  # and bronchi; the lungs have more
DISC_HU, SPONGY_HU = 85.0, 108.0  # less than the one is no bone inside a vertebra, more than the other is
# The CTA. Places (S, A): behind the one lies the spine, before the other the front wall of the chest.
SPINE_FRONT = ((0, 39), (14, 36), (35, 35), (60, 34), (94, 31), (119, 33), (135, 37), (144, 40), (152, 44), (163, 52))
WALL_BACK = ((0, 112), (40, 114), (70, 113), (88, 112), (104, 110), (120, 104), (132, 94), (140, 87), (144, 84))
# Boxes ((S, S), (A, A), (R, R)) in which all that is dense is bone, or blood, or cannot be told.
BONE_BOXES = (
    ((145, 164), (77, 100), (30, 68)),  # clavicles
    ((146, 164), (80, 100), (70, 101)),
    ((159, 164), (78, 100), (100, 120)),
    ((147, 154), (72, 86), (99, 120)),  # first ribs
    ((146, 153), (72, 84), (20, 40)),
)
BLOOD_BOXES = (
    ((0, 26), (42, 85), (25, 100)),  # of the abdomen
    ((0, 10), (16, 40), (92, 113)),  # a kidney
    ((0, 32), (20, 46), (2, 46)),  # the spleen
    ((145, 164), (57, 73), (58, 70)),  # arteries of the neck
    ((145, 164), (60, 73), (80, 97)),
    ((156, 164), (62, 74), (98, 120)),  # the injected vein
)
STENT_BOXES = (((86, 150), (20, 76), (38, 68)), ((110, 121), (76, 86), (74, 80)))
MEDIASTINUM = ((34, 136), (30, 104), (14, 108))
ABDOMEN = ((0, 34), (10, 112), (0, 120))
DOUBTFUL_BOXES = (
    ((146, 164), (101, 126), (0, 120)),  # cables on the skin
    ((154, 164), (53, 70), (0, 40)),  # rib or vessel
    ((153, 164), (72, 80), (94, 120)),  # streaks between vein, rib and clavicle
    ((0, 20), (82, 112), (0, 62)),  # bowel
)


def angiography_labels(hu):
    """Labels uint8 and weight float32 of the CTA with a stent: HU at 1.5 mm."""
    smooth, smoother = blurred(hu, 0.8), blurred(hu, 1.5)
    body, lungs = _body(smooth), _lungs(smooth)
    labels, weight = _tissues(smooth, lungs)
    labels[opened(smooth < WINDPIPE_HU, 4.0)] = AIR
    metal = (hu > WIRE_HU) & _before(WALL_BACK, hu.shape, behind=False) & _box(hu.shape, ((0, 150), (0, 126), (0, 120)))
    metal = body & (metal | (hu > STRUT_HU) & _boxes(STENT_BOXES, hu.shape))
    blood, bone, doubt = _cta_regions(hu, body, lungs)
    rim = (smooth > CONTRAST_HU) & body
    near_blood, near_bone = distance(blood), distance(bone)
    is_blood = rim & (near_blood < 3.2) & (near_blood <= near_bone)
    shell = (smooth > BONE_EDGE_HU) & body & (near_bone < 3.2) & ~is_blood
    column = _before(SPINE_FRONT, hu.shape, behind=True) & _box(hu.shape, ((0, 164), (0, 126), (52, 96)))
    marrow = filled_planes(closed(shell & ~column, 2.3), (0, 1, 2), 400)
    hollow = closed(shell & column, 8.0) & column  # vertebrae, the canal, and the discs
    is_bone = (shell | marrow | (hollow & (smoother > SPONGY_HU))) & ~is_blood & ~lungs & (smooth > -200)
    labels[is_blood], labels[is_bone] = CONTRAST, BONE
    weight[hollow & ~is_bone & (smoother > DISC_HU)] = 0
    weight[rim & ~is_blood & ~is_bone] = 0
    weight[doubt & (smooth > 100)] = 0
    weight[(abs(smooth - CONTRAST_HU) < 35) & ~is_bone] *= 0.3
    labels[metal] = METAL
    weight[grown(metal, 3) & (smooth > CONTRAST_HU)] *= 0.3
    return labels, weight


def _cta_regions(hu, body, lungs):
    """Where blood with contrast agent is, where dense bone, and where neither is sure."""
    dense = (blurred(hu, 1.0) > SPLIT_HU) & body
    shape = hu.shape
    spine = _before(SPINE_FRONT, shape, behind=True) & _box(shape, ((0, 164), (0, 126), (69, 84)))
    wall = _before(WALL_BACK, shape, behind=False) & _box(shape, ((0, 144), (0, 126), (0, 120)))
    ribs = _box(shape, ((34, 164), (0, 15), (0, 120))) | _box(shape, ((0, 34), (0, 9), (0, 120)))
    bone_place = spine | wall | ribs | _boxes(BONE_BOXES, shape)
    blood_place = _boxes(BLOOD_BOXES, shape)
    thick = opened(dense, 3.5)
    pieces = components(thick & ~bone_place)
    heart = pieces == 1
    within = closed(lungs, 9.0) & dense
    seeds = np.zeros(shape, np.uint8)
    seeds[heart | (blood_place & dense) | (within & (distance(lungs) > 0))] = 1
    seeds[bone_place & dense] = 2
    found = divided(dense, seeds)
    rest = dense & (found == 0)  # pieces without a seed
    doubt = _boxes(DOUBTFUL_BOXES, shape) | (rest & _box(shape, ABDOMEN))
    blood = (found == 1) | (rest & _box(shape, MEDIASTINUM))
    bone = dense & ~blood  # ribs and shoulder blades among the rest
    return blood & ~doubt, bone & ~doubt, doubt


def head_labels(hu, spacing):
    """Labels uint8 and weight float32 of the head CT: HU, and mm along S, A, R."""
    smooth = blurred(hu, 0.8, spacing)
    body = _body(smooth, spacing)
    labels, weight = _tissues(smooth, np.zeros(hu.shape, bool))
    shell = (smooth > SKULL_EDGE_HU) & body
    pieces = components(shell)
    shell &= (pieces > 0) & (np.bincount(pieces.ravel())[pieces] >= 60)
    hollow = filled_planes(shell, (0, 1, 2), 150)
    is_bone = shell | (hollow & (smooth > -150)) | (closed(shell, 3.0, spacing) & (smooth > 90))
    labels[is_bone] = BONE
    weight[closed(shell, 5.0, spacing) & ~is_bone & (smooth > 90)] = 0
    weight[(smooth > 120) & body & ~is_bone] = 0
    weight[(abs(smooth - SKULL_EDGE_HU) < 40) & (grown(shell, 1.0, spacing) & ~is_bone)] = 0.3
    return labels, weight


def _body(smooth, spacing=1.5):
    """The patient without what lies beside him and without the air in him."""
    solid = components(opened(smooth > -300, 3.0, spacing)) == 1
    return grown(solid, 3.0, spacing) & (smooth > -400)


def _lungs(smooth):
    """Large pieces of air that do not reach the front of the CT."""
    pieces = components(smooth < -500, 20000)
    return (pieces > 0) & ~np.isin(pieces, np.unique(pieces[:, -1]))


def _tissues(smooth, lungs):
    """Labels and weights of all that is not dense."""
    labels = np.full(smooth.shape, AIR, np.uint8)
    labels[smooth > -500] = ADIPOSE
    labels[smooth > -30] = SOFT
    if lungs.any():
        labels[closed(lungs, 4.0) & (smooth < -300)] = LUNG
    weight = np.ones(smooth.shape, np.float32)
    weight[(smooth < -250) & (smooth > -850) & ~lungs] = 0.3
    weight[(abs(smooth + 30) < 20)] *= 0.5
    return labels, weight


def _before(places, shape, behind: bool):
    """All voxels that lie before a surface, given by places (S, A), or behind it."""
    front = np.interp(np.arange(shape[0]), *np.transpose(places))[:, None, None]
    along = np.arange(shape[1])[None, :, None]
    return np.broadcast_to(along < front if behind else along > front, shape)


def _boxes(boxes, shape):
    result = np.zeros(shape, bool)
    for box in boxes:
        result |= _box(shape, box)
    return result


def _box(shape, box):
    result = np.zeros(shape, bool)
    result[tuple(slice(*ends) for ends in box)] = True
    return result
