"""Whatever a person types, the answer is work done or one sentence, never a traceback."""

import json

import pytest
from dataset_jobs import write_patient, write_tool
from fuzzing import counts, run_fuzz
from hypothesis import strategies as st

from DeepDRRSlicerLib import __main__ as program
from DeepDRRSlicerLib.errors import InputError

WORDS = ["", "0", "-1", "1e999", "nan", "inf", "-inf", "1e-320", "9" * 30, "..", "/", "\0", "ä", "\ud800", "a" * 5000,
         "--", "-", "none", "auto", "Al:3", "Al:nan", "Al:3,Al:3", "ct:titanium:", ":", "::", "1/2", "2/1", "3/0",
         "mobile_carm", "network", "threshold", "True", "null", "[]", "@x", "%s", "{}", "0x10", "1,5", "٣"]  # fmt: skip
NUMBERS = ["--primary-angle", "--secondary-angle", "--sid", "--sod", "--pitch", "--kvp", "--mas", "--seed", "--threads",
           "--histories", "--unsharp", "--edges", "--frame", "--workers", "--preview"]  # fmt: skip
FILES = ["--geometry", "--device", "--detector", "--grid", "--materials", "--material-map", "--segmentation",
         "--landmarks", "--tool", "--series", "--filtration", "--window", "--shard", "--scatter", "--mode",
         "--backend"]  # fmt: skip
FLAGS = ["--no-noise", "--keep-couch", "--heel", "--pincushion", "--invert", "--linear", "--mix"]


class Reached(InputError):
    """All options were taken: what follows is work."""


@pytest.fixture
def no_work(monkeypatch):
    """Ends where the work begins, which other tests do."""

    def stop(*arguments, **options):
        raise Reached("It would work.")

    for place in ("simulation.simulator.Simulator.simulate", "dataset.runner.run_job", "dataset.sample.preview",
                  "transport.montecarlo.simulate"):  # fmt: skip
        monkeypatch.setattr(f"DeepDRRSlicerLib.{place}", stop, raising=False)


@counts(60, 3000)
def test_any_options(tmp_path, capsys, no_work, count):
    patient = write_patient(tmp_path)
    ct, labels = str(tmp_path / patient["ct"]), str(tmp_path / patient["segmentation"])
    tool = f"{tmp_path / write_tool(tmp_path)}:titanium"
    (tmp_path / "job.json").write_text(json.dumps({"format": "DeepDRRSlicer job 1"}))
    values = st.sampled_from([*WORDS, ct, labels, tool, str(tmp_path), str(tmp_path / "job.json"), "0 0 0", "80", "5"])
    option = st.one_of(
        st.tuples(st.sampled_from([*NUMBERS, *FILES]), values),
        st.tuples(st.sampled_from(FLAGS)),
        st.tuples(st.just("--size"), values, values),
        st.tuples(st.just("--isocenter"), values, values, values),
        st.tuples(st.just("--collimation"), values, values, values, values),
        st.tuples(values),
    )
    begin = st.sampled_from([
        ["simulate", ct, "-o", str(tmp_path / "out"), "--materials", "threshold"], ["simulate", labels],
        ["export", str(tmp_path / "job.json"), "-o", str(tmp_path / "set")], ["dataset", "inspect", str(tmp_path)],
        ["dataset", "merge", str(tmp_path), "-o", str(tmp_path / "set")], ["info", "more"], ["dataset"], [],
    ])  # fmt: skip

    def run(first, options):
        arguments = [*first, *(word for words in options for word in words)]
        if any(word in ("-h", "--help", "--version") for word in arguments):
            return
        code = program.main(arguments)
        said = capsys.readouterr().err
        assert code in (0, 2) and "Traceback" not in said
        if code == 2:
            assert said.startswith("deepdrr-slicer: ") and said.count("\n") == 1

    run_fuzz(count, run, begin, st.lists(option, max_size=5))
