"""What the fuzz tests share: how many examples they try, and files that are damaged in their bytes."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FULL = 1000
NUMBERS = [b"0", b"-1", b"nan", b"inf", b"1e300", b"-1e-300", b"65535", b"4294967296", b"99999999999999999999", b""]


def counts(normal, full=FULL):
    """Few examples, always the same ones, in every run; many, others each time, in the long one."""
    return pytest.mark.parametrize("count", [normal, pytest.param(full, marks=pytest.mark.long)])


def run_fuzz(count, test, *strategies):
    """Calls the test with so many examples of the strategies."""
    quiet = settings(
        max_examples=count, deadline=None, derandomize=count < FULL, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    quiet(given(st.tuples(*strategies))(lambda values: test(*values)))()


@st.composite
def damaged_bytes(draw, content, first=0, last=None):
    """Content with one to six changes between two places: bytes, pieces taken out or put in twice, numbers, the end."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        end = min(len(data), last or len(data))
        if end <= first + 1:
            break
        at = draw(st.integers(first, end - 1))
        change = draw(st.sampled_from(["byte", "byte", "byte", "number", "out", "twice", "cut"]))
        size = draw(st.integers(1, 24))
        if change == "byte":
            data[at] = draw(st.integers(0, 255))
        elif change == "number":
            data[at : at + 1] = draw(st.sampled_from(NUMBERS))
        elif change == "out":
            del data[at : at + size]
        elif change == "twice":
            data[at:at] = data[at : at + size]
        else:
            del data[at:]
    return bytes(data)
