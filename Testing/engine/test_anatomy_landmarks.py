"""Landmark files of every kind, in RAS."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.anatomy.landmarks import Landmark, read_landmarks
from DeepDRRSlicerLib.errors import InputError


def markups(system="LPS", **changes):
    points = [
        {"label": "apex", "position": [1, 2.5, 3], "positionStatus": "defined"},
        {"label": "", "position": [4, 5, 6]},
        {"label": "unset", "position": None, "positionStatus": "undefined"},
        {"label": "hover", "position": [0, 0, 0], "positionStatus": "preview"},
    ]
    return {"markups": [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": points} | changes]}


def read(tmp_path, content, name="p.mrk.json"):
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_landmarks(tmp_path / name)


def test_markups(tmp_path):
    assert read(tmp_path, markups()) == [Landmark("apex", (-1, -2.5, 3)), Landmark("point 2", (-4, -5, 6))]
    assert read(tmp_path, markups("RAS")) == [Landmark("apex", (1, 2.5, 3)), Landmark("point 2", (4, 5, 6))]
    line = {"type": "Line", "coordinateSystem": "LPS", "controlPoints": []}
    both = {"markups": [line, *markups()["markups"], *markups("RAS")["markups"]]}
    assert len(read(tmp_path, both)) == 4


def test_plain_json(tmp_path):
    points = {"Apex ü": [1, 2, 3.5], "markups": [0, 0, -1]}
    assert read(tmp_path, points, "p.json") == [Landmark("Apex ü", (1, 2, 3.5)), Landmark("markups", (0, 0, -1))]
    assert read(tmp_path, {}, "p.json") == []


@pytest.mark.parametrize(
    ("system", "sign"), [("RAS", 1), ("LPS", -1), ("0", 1), ("1", -1)], ids=lambda value: str(value)
)
def test_fcsv(tmp_path, system, sign):
    text = f"""# Markups fiducial file version = 4.10
# CoordinateSystem = {system}
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
vtkMRMLMarkupsFiducialNode_0,10.5,-20,30,0,0,0,1,1,1,0,"tip, left",,vtkMRMLScalarVolumeNode1

id_1,1,2,3,0,0,0,1,1,1,0,,,
"""
    expected = [Landmark("tip, left", (sign * 10.5, sign * -20, 30)), Landmark("point 2", (sign * 1, sign * 2, 3))]
    assert read(tmp_path, text, "p.fcsv") == expected
    assert read(tmp_path, text.replace("\n", "\r\n"), "p.fcsv") == expected


def test_fcsv_without_header_is_ras(tmp_path):
    assert read(tmp_path, "a,1,2,3,0,0,0,1,1,1,0,name\n", "p.fcsv") == [Landmark("name", (1, 2, 3))]


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("p.mrk.json", markups("IJK"), "neither RAS nor LPS"),
        ("p.mrk.json", markups(coordinateUnits="um"), "not mm"),
        ("p.mrk.json", markups(type="Plane"), "other markups"),
        ("p.mrk.json", {"markups": [{"type": "Fiducial"}]}, "lacks 'controlPoints'"),
        ("p.mrk.json", markups(controlPoints=[{"label": "a"}]), "lacks 'position'"),
        ("p.mrk.json", markups(controlPoints=[{"label": "a", "position": [1, 2]}]), "three numbers"),
        ("p.json", {"a": [1, 2, "3"]}, "three numbers"),
        ("p.json", {"a": [1, 2, True]}, "three numbers"),
        ("p.json", '{"a": [1, 2, NaN]}', "not finite"),
        ("p.json", f'{{"a": [1, 2, 1{"0" * 400}]}}', "list of landmarks"),
        ("p.json", "[1, 2]", "no names"),
        ("p.json", "[" * 100_000, "nested"),
        ("p.json", "hello", "list of landmarks"),
        ("p.fcsv", "# CoordinateSystem = 2\na,1,2,3", "IJK is neither"),
        ("p.fcsv", "a,1,2", "columns"),
        ("p.fcsv", "a,1,x,3", "list of landmarks"),
        ("p.fcsv", "# columns = id,a,b\na,1,2,3", "list of landmarks"),
    ],
)
def test_files_that_hold_no_landmarks(tmp_path, name, content, cause):
    with pytest.raises(InputError, match=cause) as caught:
        read(tmp_path, content, name)
    assert "\n" not in str(caught.value)


def test_paths_that_hold_no_landmarks(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_landmarks(tmp_path / "absent.json")
    with pytest.raises(InputError, match="list of landmarks"):
        read_landmarks(tmp_path)
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="list of landmarks"):
        read_landmarks(tmp_path / "b.json")


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["LPS", "Fiducial"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["markups", "type", "controlPoints", "position", "label", "coordinateSystem", "positionStatus"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=JSON_VALUES)
@example(content={"markups": [{"type": "Fiducial", "controlPoints": [[]]}]})
@example(content={"markups": [{"type": "Fiducial", "controlPoints": 3}]})
@example(
    content={"markups": [{"type": "Fiducial", "coordinateSystem": [], "controlPoints": [{"position": [1, 2, 3]}]}]}
)
def test_any_json_gives_landmarks_or_a_sentence(tmp_path, content):
    try:
        read(tmp_path, content)
    except InputError as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.text(alphabet='#=,ab1x.\n"-LPSRAS \0', max_size=80) | st.text(max_size=40))
def test_any_fcsv_gives_landmarks_or_a_sentence(tmp_path, content):
    try:
        read(tmp_path, content, "p.fcsv")
    except UnicodeEncodeError:
        pass  # a lone surrogate cannot be written
    except InputError as error:
        assert "\n" not in str(error)
