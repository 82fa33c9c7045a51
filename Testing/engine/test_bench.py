"""The benchmark: what it measures is there and right; how fast it is, no test says."""

import argparse

import numpy as np
import pytest
from ray_march import line_integrals

from DeepDRRSlicerLib.anatomy.hu_model import decompose
from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.commands import bench
from DeepDRRSlicerLib.commands.benchmark import body, judge, peers
from DeepDRRSlicerLib.commands.benchmark.measure import Timing, allocated, timed
from DeepDRRSlicerLib.commands.benchmark.projection import oblique_view, with_channels
from DeepDRRSlicerLib.commands.benchmark.table import HEADER, Row, line
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.projection.projector import make_projector

TINY = (24, 64, 64)


@pytest.fixture(scope="module")
def ct():
    return body.thorax(TINY)


@pytest.fixture(scope="module")
def volume(ct):
    return decompose(ct)


def options(*arguments):
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    return parser.parse_args(["bench", *arguments])


def test_the_thorax_is_the_same_everywhere_and_a_body(ct, volume):
    np.testing.assert_array_equal(body.thorax(TINY).array, ct.array)
    np.testing.assert_allclose(ct.spacing * ct.size, np.multiply(body.SPACING, body.SHAPE[::-1]))
    assert ct.array.dtype == np.int16 and ct.array.min() >= -1024
    assert volume.materials == ("adipose", "water", "bone")
    shares = [((ct.array > low) & (ct.array < high)).mean() for low, high in [(-900, -750), (-150, 150), (300, 3000)]]
    assert 0.05 < shares[0] < 0.4 and 0.1 < shares[1] < 0.5 and 0.001 < shares[2] < 0.05


def test_the_judge_on_a_block_whose_thickness_is_known():
    """A block of 1.5 g/cm3 across the beam; one voxel beyond it the density falls to 0."""
    density = np.full((10, 8, 6, 1), 1.5)
    block = MaterialVolume.from_density(("water",), density, np.diag([4.0, 5.0, 3.0, 1.0]))
    centre = np.array([10.0, 17.5, 13.5])
    beam = CArmPose(0, 0, tuple(centre), 1000, 600, (3, 3), (0.5, 0.5)).beam()
    pixels = np.array([[1, 1], [0, 2]])
    # The beam runs along j: 7 steps of 5 mm between 8 layers, and half a step more on each side.
    oblique = np.linalg.norm(beam.pixel_to_ras(2, 0) - beam.source) / beam.sid
    expected = 1.5 * 4.0 * np.array([1.0, oblique])
    np.testing.assert_allclose(judge.area_densities(block, beam, pixels)[0], expected, rtol=1e-4)


def test_the_judge_and_the_ray_march_of_the_other_tests(volume):
    beam = oblique_view(volume, 32)
    pixels = judge.some_pixels(beam.size, 12)
    found = judge.area_densities(volume, beam, pixels)
    for channel, scale, density in zip(volume.density, volume.scale, found, strict=True):
        expected = line_integrals(channel, volume.ijk_to_ras, beam, pixels) * scale / 10
        np.testing.assert_allclose(density, expected, atol=2e-4 * found.max())


def test_rays_beside_the_volume_are_empty(volume):
    beam = CArmPose(0, 0, (0, 0, 2000.0), 1000, 600, (4, 4), (1, 1)).beam()
    np.testing.assert_array_equal(judge.area_densities(volume, beam, judge.some_pixels((4, 4), 5)), 0.0)


def test_the_error_is_that_of_the_image(volume):
    beam = oblique_view(volume, 24)
    pixels = judge.some_pixels(beam.size, 60)
    expected = judge.area_densities(volume, beam, pixels)
    image = make_projector(volume).project([beam])[0]
    assert judge.relative_rms(image, pixels, expected) < 5e-3  # voxels of 6 x 6 x 14 mm
    assert judge.relative_rms(np.roll(image, 1, axis=2), pixels, expected) > 0.02
    exact = np.zeros_like(image)
    exact[:, pixels[:, 0], pixels[:, 1]] = expected * 1.01
    assert judge.relative_rms(exact, pixels, expected) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_a_body_of_so_many_channels(volume, channels):
    other = with_channels(volume, channels)
    assert len(other.materials) == channels and other.size == volume.size
    if channels == 1:
        total = (volume.density * volume.scale[:, None, None, None]).sum(axis=0)
        np.testing.assert_allclose(other.density[0] * other.scale[0], total, atol=2 * other.scale[0])
    else:
        np.testing.assert_array_equal(other.density[-1], volume.density[(channels - 1) % 3])


def test_timing_is_the_least_of_several_calls():
    calls = []
    timing, result = timed(lambda: calls.append(sum(range(1000))) or len(calls), at_least=4, seconds=0.0)
    assert len(calls) == result == 4 and 0 < timing.clock < 1e3 and 0 <= timing.cpu < 1e3


def test_memory_is_what_the_result_holds():
    (kept, _), megabytes = allocated(lambda: (np.ones(1_000_000), np.ones(3_000_000).sum()))
    assert kept.nbytes / 1e6 <= megabytes < kept.nbytes / 1e6 + 1


@pytest.mark.long
def test_rows_of_a_small_plan(ct, monkeypatch):
    def slow_peer(volume, beam, threads):
        projector = make_projector(volume, threads=threads)
        return lambda: [projector.project([beam])[0] for _ in range(3)][0]

    def missing(*_):
        raise ImportError("not installed")

    monkeypatch.setattr(peers, "PEERS", {"slow": slow_peer, "missing": missing})
    monkeypatch.setattr("DeepDRRSlicerLib.commands.benchmark.projection.PEERS", peers.PEERS)
    plan = bench.Plan((32, 16), (16, 24), (1, 3), True, (("missing", (1, 3), (16,)), ("slow", (3,), (24,))))
    rows = list(bench.rows_of(ct, plan, 3))

    names = [row.what for row in rows]
    assert names[:2] == ["start: compile or load kernels", "CT to first image"]
    for what in ("complete radiograph", "preview", "  projection", "  spectral stage", "  noise and detector"):
        assert [row.size for row in rows if row.what == what] == [32, 16]
    ours = [(row.channels, row.threads, row.size) for row in rows if row.what == "projection"]
    assert ours == [(n, t, s) for n in (1, 3) for t in (1, 2, 3) for s in (16, 24)]
    assert all(row.memory > 0 and 0 < row.error < 0.02 for row in rows if row.what == "projection")
    (other,) = [row for row in rows if row.what not in names[:7] and row.what != "projection"]
    assert (other.what, other.channels, other.size, other.threads) == ("slow", 3, 24, 3)
    assert other.ratio > 0 and other.error == rows[-2].error  # the same work by the same projector
    assert all(row.error < 2e-4 for row in rows if row.what == "  spectral stage")
    assert rows[1].memory > 2 * len(ct.array) / 1e6


def test_the_plans_cover_what_the_command_says():
    assert bench.QUICK.sizes == (512,) and bench.QUICK.channels == (1, 3) and not bench.QUICK.every_count
    assert bench.FULL.sizes == (256, 512, 1024, 2048) and bench.FULL.channels == (1, 2, 3, 4, 5)
    for plan in (bench.QUICK, bench.FULL):
        for name, channels, sizes in plan.peers:
            assert name in peers.PEERS and set(channels) <= set(plan.channels) and set(sizes) <= set(plan.sizes)


def test_a_row_as_text():
    row = Row("projection", Timing(40.0, 80.0), 3, 512, 2, 123.4, 1.5e-4, 21.0)
    text = line(row)
    assert text.split() == ["projection", "3", "512", "2", "40.0", "80.0", "25.0", "123", "1.5e-04", "21.0"]
    assert len(text) == len(HEADER)
    assert line(Row("start", Timing(1.0, 2.0))).split() == ["start", "1.0", "2.0", "1000.0"]


def test_the_command_prints_the_table(ct, monkeypatch, capsys):
    monkeypatch.setattr(bench, "QUICK", bench.Plan((16,), (16,), (1,), False, ()))
    monkeypatch.setattr(body, "thorax", lambda shape=TINY, small=body.thorax: small(TINY))
    chosen = options("--threads", "1")
    chosen.run(chosen)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Built-in thorax, 64 x 64 x 24 voxels") and lines[0].endswith("1 threads")
    start = lines.index(HEADER)
    assert [text[:34].strip() for text in lines[start + 1 :]] == [
        "start: compile or load kernels", "CT to first image", "complete radiograph", "projection", "spectral stage",
        "noise and detector", "preview", "projection",
    ]  # fmt: skip


def test_what_the_command_refuses(tmp_path):
    for chosen, complaint in [(options("--threads", "0"), "1 or more"), (options("--ct", str(tmp_path / "x")), "x")]:
        with pytest.raises(InputError, match=complaint):
            chosen.run(chosen)
