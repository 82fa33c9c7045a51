"""Which material a segment stands for, where it lies on the CT's grid, and what is said about wrong maps."""

import json

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.label_map import (
    amounts,
    classes_by_name,
    labelled_by_class,
    labelled_by_hu,
    labelled_by_segments,
)
from DeepDRRSlicerLib.anatomy.segment_materials import (
    automatic_material,
    checked_material_map,
    chosen_material,
    materials_of,
    read_material_map,
)
from DeepDRRSlicerLib.anatomy.segment_words import CODES, RULES
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.substances import CLASSES, METAL, decompose_labelled, substance
from DeepDRRSlicerLib.anatomy.volume import Volume, transform_points
from DeepDRRSlicerLib.errors import InputError
from phantoms import restored, storage_orders

BONES = """sacrum vertebrae_S1 skull sternum {humerus,scapula,clavicula,femur,hip}_{left,right} vertebrae_L{1-5}
    vertebrae_T{1-12} vertebrae_C{1-7} rib_{left,right}_{1-12}"""
SOFT = """spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right adrenal_gland_left
    esophagus trachea thyroid_gland small_bowel duodenum colon urinary_bladder prostate kidney_cyst_left
    kidney_cyst_right spinal_cord brain gluteus_maximus_left
    gluteus_medius_right gluteus_minimus_left autochthon_left autochthon_right iliopsoas_left
    iliopsoas_right"""
VESSELS = """heart aorta pulmonary_vein brachiocephalic_trunk subclavian_artery_right subclavian_artery_left
    common_carotid_artery_right common_carotid_artery_left brachiocephalic_vein_left brachiocephalic_vein_right
    atrial_appendage_left superior_vena_cava inferior_vena_cava portal_vein_and_splenic_vein iliac_artery_left
    iliac_artery_right iliac_vena_left iliac_vena_right pulmonary_artery heart_myocardium heart_atrium_left
    heart_ventricle_left"""


def spelled(text):
    """a_{b,c}_{1-3} as a_b_1, a_b_2, ..."""
    found = text.split()
    while any("{" in name for name in found):
        longer = []
        for name in found:
            head, brace, rest = name.partition("{")
            inside, _, tail = rest.partition("}")
            low, dash, high = inside.partition("-")
            options = [str(n) for n in range(int(low), int(high) + 1)] if dash else inside.split(",")
            longer += [head + option + tail for option in options] if brace else [name]
        found = longer
    return found


def segment(name="", terminology="", array=None, matrix=None, identifier=""):
    array = np.ones((1, 1, 1), np.uint8) if array is None else array
    return Segment(name, Volume(array, np.eye(4) if matrix is None else matrix), (1, 0, 0), identifier, terminology)


def entry(category, kind, modifier="^^"):
    return f"Segmentation category and type - DICOM master list~{category}~{kind}~{modifier}~Anatomic codes~^^~^^"


@pytest.mark.parametrize(
    ("material", "names"),
    [("bone", spelled(BONES)), ("soft tissue", spelled(SOFT)), ("vessel", spelled(VESSELS)),
     ("lung", spelled("lung_{upper,lower}_lobe_{left,right} lung_middle_lobe_right lung_left")),
     ("threshold", ["costal_cartilages"]), ("adipose", ["subcutaneous_fat", "torso_fat"]), ("metal", ["hip_implant"]),
     ("unsegmented", ["body_trunc", "body_extremities", "body", "Skin"])],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_classes_of_totalsegmentator(material, names):
    for name in names:
        assert automatic_material(name) == material, name


def test_every_class_of_the_real_label_map(shared_data):
    lines = (shared_data / "chest_ct" / "structures.csv").read_text().splitlines()[1:]
    found = {line.split(",")[2]: automatic_material(line.split(",")[2]) for line in lines}
    assert len(found) == 118 and None not in found.values()
    bones = {name for name, material in found.items() if material == "bone"}
    numbers = {int(line.split(",")[3]) for line in lines if line.split(",")[2] in bones}
    # README of the set: bone is 25-50, 69-78, 91, 92-116; carpal is 117.
    assert numbers == {*range(25, 51), *range(69, 79), *range(91, 118)}


@pytest.mark.parametrize(
    ("name", "material"),
    [
        ("Left femoral artery", "vessel"), ("Femur (right)", "bone"), ("Hip prosthesis", "metal"), ("T12", "bone"),
        ("L4/L5 disc", "soft tissue"), ("Rib cage", "bone"), ("CoCr head", "CoCrMo"), ("Titanium plate", "titanium"),
        ("Pedicle screws", "metal"), ("BoneScrew_3", "metal"), ("Pelvic bones", "bone"),
        ("Renal pelvis", "soft tissue"), ("Bone cement", "bone cement"), ("K-wire", "metal"),
        ("left ventricle", "vessel"), ("Skeletal muscle", "soft tissue"),
        ("lateral ventricle", "soft tissue"), ("Fat", "adipose"), ("Calcifications", "threshold"), ("Air", "air"),
        ("PEEK cage", "PEEK"), ("Water", "water"), ("blood with 300 mgI/ml", "blood with 300 mgI/ml"),
        ("Segment_1", None), ("label 7", None), ("", None), ("ROI", None), ("Airbag", None),
    ],
)  # fmt: skip
def test_common_names(name, material):
    assert automatic_material(name) == material


@pytest.mark.parametrize(
    ("terminology", "name", "material"),
    [
        (entry("SCT^85756007^Tissue", "SCT^272673000^Bone"), "", "bone"),
        (entry("SCT^85756007^Tissue", "SCT^272673000^Knochen"), "Lung", "bone"),  # the code counts, in any language
        (entry("SCT^123037004^Anatomical Structure", "SCT^15825003^Aorta"), "", "vessel"),
        (entry("SCT^123037004^Anatomical Structure", "SCT^49668003^L5 vertebra"), "", "bone"),
        (entry("SCT^123037004^Anatomical Structure", "SCT^10200004^Liver", "SCT^24028007^Right"), "", "soft tissue"),
        (entry("SCT^260787004^Physical object", "SCT^40388003^Implant"), "Femur", "metal"),
        (entry("SCT^85756007^Tissue", "SCT^85756007^Tissue"), "Femur", "bone"),  # says nothing: the name does
        (entry("SCT^85756007^Tissue", "SCT^85756007^Tissue"), "Segment_1", None),
        ("damaged", "Rib", "bone"),
        ("~~", "Rib", "bone"),
    ],
)
def test_terminology_comes_before_the_name(terminology, name, material):
    assert automatic_material(name, terminology) == material


def test_all_materials_of_the_words_exist():
    for material in {*(material for material, _ in RULES), *CODES.values()} - {"unsegmented"}:
        assert substance(material).name.lower() == material.lower()


def test_by_hand_first_exact_then_the_first_pattern():
    chosen = {"screw*": "titanium", "*": "unsegmented", "Screw 2": "CoCrMo", "Segment_9": "PEEK"}
    assert chosen_material(segment("Screw 1"), chosen) == "titanium"
    assert chosen_material(segment("SCREW 2"), chosen) == "CoCrMo"
    assert chosen_material(segment("anything", identifier="Segment_9"), chosen) == "PEEK"
    assert chosen_material(segment("anything"), chosen) == "unsegmented"
    assert chosen_material(segment("anything"), {"rib": "bone"}) is None


def test_wrong_maps_and_segments(tmp_path):
    with pytest.raises(InputError, match="segments 'ROI', 'label 7'"):
        materials_of([segment("ROI"), segment("femur"), segment("label 7")], {})
    with pytest.raises(InputError, match="names 'scew', which is no segment; choose screw"):
        materials_of([segment("screw"), segment("femur")], {"scew": "titanium"})
    assert materials_of([segment("ROI")], {"roi": "unsegmented"}) == ["unsegmented"]
    with pytest.raises(InputError, match="for 'screw': .*choose titanium"):
        checked_material_map({"screw": "titan"})
    with pytest.raises(InputError, match="choose threshold or network"):
        checked_material_map({"unsegmented": "bone"})
    for content in ("[]", '{"a": 3}', "{", '"x"'):
        (tmp_path / "map.json").write_text(content)
        with pytest.raises(InputError, match="map.json"):
            read_material_map(tmp_path / "map.json")
    with pytest.raises(InputError, match="does not exist"):
        read_material_map(tmp_path / "nothing.json")
    (tmp_path / "map.json").write_text(json.dumps({"screw*": "titanium", "unsegmented": "threshold"}))
    assert read_material_map(tmp_path / "map.json") == {"screw*": "titanium", "unsegmented": "threshold"}


def water():
    matrix = np.array([[-2.0, 0, 0, 40], [0, -1.5, 0, 30], [0, 0, 3, -20], [0, 0, 0, 1]])
    return Volume(np.full((10, 12, 14), 40, np.int16), matrix)


def labelled(ct, segments, materials, by_hand=None, rest=None):
    rest = labelled_by_hu(ct, None) if rest is None else rest
    return labelled_by_segments(ct, rest, segments, materials, by_hand or [False] * len(segments))


def test_a_segmentation_on_another_grid_is_sampled_in_ras():
    """Permuted, flipped, finer, shifted and oblique grids: the label at each voxel is that of its centre."""
    ct = water()
    ball = transform_points(ct.ijk_to_ras, (6, 5, 4))
    fine = np.array([[0.4, -0.3, 0, 0], [0.3, 0.4, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 1.0]])
    fine[:3, 3] = ball - fine[:3, :3] @ (24, 24, 24)
    k, j, i = np.meshgrid(*(np.arange(49),) * 3, indexing="ij")
    inside = np.linalg.norm(transform_points(fine, np.stack([i, j, k], -1)) - ball, axis=-1) < 5
    centres = transform_points(
        ct.ijk_to_ras, np.stack(np.meshgrid(*map(np.arange, ct.array.shape), indexing="ij")[::-1], -1)
    )
    distance = np.linalg.norm(centres - ball, axis=-1)
    for permutation, flips in storage_orders()[::5]:
        array, matrix = restored(inside.view(np.uint8), fine, permutation, flips)
        found = labelled(ct, [segment(array=array, matrix=matrix)], ["bone"])
        bone = found.labels == [one.name for one in found.substances].index("bone")
        assert bone[distance < 4.6].all() and not bone[distance > 5.4].any()  # within half a voxel of the mask
        assert 10 < bone.sum() < 200


def test_the_same_grid_is_taken_as_it_is():
    ct = water()
    mask = np.random.default_rng(0).integers(0, 2, ct.array.shape).astype(np.uint8)
    found = labelled(ct, [segment(array=mask, matrix=ct.ijk_to_ras)], ["bone"])
    np.testing.assert_array_equal(found.labels == 2, mask == 1)


def test_the_later_of_two_segments_counts():
    ct = water()
    bone, screw = np.zeros(ct.array.shape, np.uint8), np.zeros(ct.array.shape, np.uint8)
    bone[2:8, 2:8, 2:8], screw[4:6, 4:6, 4:12] = 1, 1
    parts = [segment("bone", array=bone, matrix=ct.ijk_to_ras), segment("screw", array=screw, matrix=ct.ijk_to_ras)]
    for order, expected in (((0, 1), "titanium"), ((1, 0), "bone")):
        found = labelled(ct, [parts[n] for n in order], [("bone", "titanium")[n] for n in order])
        assert found.substances[found.labels[5, 5, 5]].name == expected
        assert found.substances[found.labels[5, 5, 10]].name == "titanium"
        assert found.substances[found.labels[0, 0, 0]].name == "threshold"


def test_metal_in_a_segmented_bone_stays_metal_unless_a_person_says_otherwise():
    ct = water()
    classes = np.full(ct.array.shape, CLASSES.index("soft tissue"), np.uint8)
    classes[5, 5, 5] = METAL
    femur = [segment("femur", array=np.ones(ct.array.shape, np.uint8), matrix=ct.ijk_to_ras)]
    rest = labelled_by_class(classes, None)
    names = [one.name for one in rest.substances]
    assert labelled(ct, femur, ["bone"], [False], rest).labels[5, 5, 5] == names.index("metal")
    assert labelled(ct, femur, ["bone"], [True], rest).labels[5, 5, 5] == names.index("bone")
    assert labelled(ct, femur, ["unsegmented"], [True], rest).labels[5, 5, 5] == names.index("metal")
    ct.array[5, 5, 5] = 3071  # what the HU model calls metal is metal in a bone, too
    found = decompose_labelled(ct, *vars(labelled(ct, femur, ["bone"])).values())
    assert "titanium" in found.materials


def test_contrast_in_vessels_becomes_iodine_and_not_bone():
    ct = water()
    ct.array[:, 4:8, 4:8] = 400
    vessel = np.zeros(ct.array.shape, np.uint8)
    vessel[:, 3:9, 3:9] = 1
    by_hu = decompose_labelled(ct, *vars(labelled_by_hu(ct, None)).values())
    found = decompose_labelled(
        ct, *vars(labelled(ct, [segment("aorta", array=vessel, matrix=ct.ijk_to_ras)], ["vessel"])).values()
    )
    mass = [
        {name: float(one.density[m].sum() * one.scale[m]) for m, name in enumerate(one.materials)}
        for one in (by_hu, found)
    ]
    assert "iodine" not in mass[0] and mass[1]["bone"] < 0.35 * mass[0]["bone"]  # soft tissue is traced with some
    # 10 x 4 x 4 voxels of (400 - 90) HU, at 25.8 HU for 1 mgI/ml
    assert mass[1]["iodine"] == pytest.approx(160 * 310 / 25.8e3, rel=0.01)


def test_segments_outside_the_ct():
    ct = water()
    far = np.diag([1.0, 1, 1, 1])
    far[:3, 3] = 1000
    with pytest.raises(InputError, match="No voxel of the segmentation lies in the CT"):
        labelled(ct, [segment("femur", matrix=far)], ["bone"])
    near = segment("femur", array=np.ones(ct.array.shape, np.uint8), matrix=ct.ijk_to_ras)
    found = labelled(ct, [segment("rib", matrix=far), near], ["bone", "bone"])
    assert (found.labels == 2).all()


def test_volume_and_mean_density_of_what_there_is():
    """A block of water with a block of bone of 1577 HU and one of titanium, by hand."""
    ct = water()
    ct.array[:2], ct.array[2:4] = -1000, 1577
    mask = np.zeros(ct.array.shape, np.uint8)
    mask[4] = 1
    found = labelled(ct, [segment("nail", array=mask, matrix=ct.ijk_to_ras)], ["titanium"])
    table = {one.name: one for one in amounts(found, ct)}
    plane = 12 * 14 * 9.0 / 1000  # ml
    assert set(table) == {"soft tissue", "bone", "titanium"}
    assert table["bone"].volume == pytest.approx(2 * plane) and table["bone"].density == pytest.approx(1.92)
    assert table["titanium"].volume == pytest.approx(plane) and table["titanium"].density == pytest.approx(4.54)
    assert table["soft tissue"].density == pytest.approx(1.045, abs=0.01)
    shown, names = classes_by_name(found, ct)
    assert [names[shown[k, 0, 0]] for k in (0, 2, 4, 5)] == ["air", "bone", "titanium", "soft tissue"]
