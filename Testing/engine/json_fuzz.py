"""Damaged JSON files: any JSON at all, and valid files in which a few values were changed, taken away or added."""

import copy
import json

from hypothesis import strategies as st

NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(),
    st.sampled_from([0, -1, 1e-320, 1e300, -1e300, 10**400, float("nan"), float("inf"), float("-inf"), 2**63, 0.5]),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)


def places(value, here=()):
    """The path of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*here, key)
        yield from places(item, (*here, key))


@st.composite
def damaged(draw, valid):
    """The text of a file: `valid` with one to three values replaced, removed, or joined by a new key."""
    data = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        paths = list(places(data))
        if not paths:
            break
        *parents, key = draw(st.sampled_from(paths))
        target = data
        for parent in parents:
            target = target[parent]
        change = draw(st.sampled_from(["replace", "scale", "remove", "add"]))
        if change == "remove":
            del target[key]
        elif change == "add" and isinstance(target, dict):
            target[draw(st.text(max_size=4))] = draw(VALUES)
        elif change == "scale" and type(target[key]) in (int, float) and abs(target[key]) < 1e300:
            target[key] = float(target[key]) * draw(st.floats())
        else:
            target[key] = draw(VALUES)
    return json.dumps(data)


def files_like(*valid):
    """Texts of files: damaged copies of the valid ones, arbitrary JSON, and things that are no JSON."""
    broken = st.sampled_from(["", "{", "NaN", '"text"', "null", "[]", "{}", "\x00"])
    deep = st.just(100_000).map(lambda depth: "[" * depth)
    long = st.just(5000).map(lambda digits: '{"a": 1' + "0" * digits + "}")
    return st.one_of(*(damaged(v) for v in valid), VALUES.map(json.dumps), broken, deep, long)
