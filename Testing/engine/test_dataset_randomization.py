"""Pictures: every step against its closed form, and looks drawn as the job says."""

import numpy as np
import pytest
from dataset_jobs import job_data

from DeepDRRSlicerLib.dataset.distributions import generator
from DeepDRRSlicerLib.dataset.job import parse_job
from DeepDRRSlicerLib.dataset.overlays import KINDS, draw_overlays, written
from DeepDRRSlicerLib.dataset.randomization import Look, blurred, draw_look, draw_picture, opening
from DeepDRRSlicerLib.dataset.sampling import Draw
from DeepDRRSlicerLib.simulation.radiograph import Radiograph

PLAIN = dict(
    curve="log", blur=0.0, low=0.0, high=4.0, contrast=1.0, gamma=1.0, inverted=False, shutter=None, overlays=0
)
FULL = 65535


def radiograph(signal, open_field, exposed=None):
    signal = np.asarray(signal, np.float32)
    exposed = np.ones(signal.shape, np.float32) if exposed is None else np.asarray(exposed, np.float32)
    flat = np.broadcast_to(np.float32(open_field), signal.shape)
    return Radiograph(signal, None, flat, exposed, np.zeros((1, *signal.shape)), ("water",), None, None, "", {})


def picture(transmission, seed=0, **changes):
    taken = radiograph(np.asarray(transmission) * 200, 200)
    return draw_picture(taken, Look(**PLAIN | changes), generator(seed, 0, "overlays"))


@pytest.fixture
def wedge():
    """Transmission of -ln from 0 to 5."""
    return np.exp(-np.linspace(0, 5, 60).reshape(6, 10))


def test_window_of_the_log(wedge):
    image, settings = picture(wedge)
    expected = np.clip(np.linspace(0, 5, 60).reshape(6, 10) / 4, 0, 1) * FULL
    assert image.dtype == np.uint16
    np.testing.assert_allclose(image, expected, atol=1.5)
    assert (settings["black"], settings["white"], settings["inverted"]) == (0, 4, False)


def test_each_step(wedge):
    grey = np.clip(np.linspace(0, 5, 60).reshape(6, 10) / 4, 0, 1)
    for changes, expected in (
        ({"inverted": True}, 1 - grey),
        ({"gamma": 2.0}, grey**2),
        ({"contrast": 0.5}, 0.25 + grey / 2),
        ({"contrast": 3.0}, np.clip(3 * grey - 1, 0, 1)),
        ({"contrast": 0.5, "gamma": 0.5, "inverted": True}, 1 - np.sqrt(0.25 + grey / 2)),
    ):
        np.testing.assert_allclose(picture(wedge, **changes)[0], expected * FULL, atol=3, err_msg=str(changes))
    np.testing.assert_allclose(picture(wedge, curve="linear", high=1.0)[0], wedge * FULL, atol=1.5)


def test_no_step_follows_the_picture(wedge):
    """Metal in one corner does not change the anatomy in the others."""
    with_metal = wedge.copy()
    with_metal[0, 0] = 1e-9
    a, b = picture(wedge, blur=0.0)[0], picture(with_metal, blur=0.0)[0]
    assert (a != b).sum() == 1 and b[0, 0] == FULL


def test_closed_shutters_negative_signal_and_no_signal_are_no_fault():
    """What no radiation could reach is black, whatever the look; what it did not get through is white."""
    taken = radiograph([[-5.0, 0, 0, 2, 1]], [[10.0, 10, 0, 2, 10]], [[1, 1, 1, 1, 0.2]])
    assert draw_picture(taken, Look(**PLAIN), generator(0, 0, "x"))[0].tolist() == [[FULL, FULL, 0, 0, 0]]
    inverted = draw_picture(taken, Look(**PLAIN | {"inverted": True}), generator(0, 0, "x"))[0]
    assert inverted.tolist() == [[0, 0, 0, FULL, 0]]


@pytest.mark.parametrize("sigma", [0.5, 1.3, 3.0])
def test_blur_is_a_gaussian_that_keeps_the_sum(sigma):
    image = np.zeros((61, 61), np.float32)
    image[30, 30] = 1
    spot = blurred(image, sigma)
    r2 = (np.arange(61) - 30) ** 2
    expected = np.exp(-(r2[:, None] + r2) / (2 * sigma**2))
    np.testing.assert_allclose(spot, expected / expected.sum(), atol=2e-4 * spot.max())
    assert spot.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(blurred(np.full((9, 7), 0.3, np.float32), sigma), 0.3, atol=1e-6)


def test_openings_have_the_area_of_their_shape():
    """Of the image: width times height; pi/4 of it; the regular octagon's 2(sqrt(2) - 1)."""
    for shape, share in (("rectangle", 1), ("ellipse", np.pi / 4), ("octagon", 2 * (np.sqrt(2) - 1))):
        found = opening((400, 500), shape, 0.8, 0.6)
        assert found.mean() == pytest.approx(share * 0.48, rel=0.01)
        assert (found == found[::-1]).all() and (found == found[:, ::-1]).all()
    image, settings = picture(np.full((400, 500), 0.5), shutter=("ellipse", 0.8, 0.6), inverted=True)
    assert (image > 0).mean() == pytest.approx(np.pi / 4 * 0.48, rel=0.01)
    assert settings["shutter"] == {"shape": "ellipse", "width": 0.8, "height": 0.6}


def test_overlays_are_where_they_are_said_to_be():
    """Nothing outside the stated places changes, each kind comes, and any of them fits any picture."""
    kinds = set()
    for seed in range(60):
        before = np.full((96, 128), 0.4, np.float32)
        after = before.copy()
        drawn = draw_overlays(after, 1, generator(seed, 0, "overlays"))[0]
        kinds.add(drawn["kind"])
        changed = np.argwhere(after != before)
        assert len(changed) and (changed.min(axis=0) >= (drawn["row"], drawn["column"])).all()
        assert set(np.unique(after)) <= {np.float32(0.4), np.float32(drawn["grey"])}
        if drawn["kind"] in ("word", "number"):
            stamp = written(drawn["text"], drawn["scale"])
            part = after[drawn["row"] :, drawn["column"] :][: stamp.shape[0], : stamp.shape[1]]
            assert ((part != np.float32(0.4)) == stamp[: part.shape[0], : part.shape[1]]).all()
    assert kinds == set(KINDS)
    for size in ((1, 1), (3, 500), (8, 8)):
        draw_overlays(np.zeros(size, np.float32), 30, generator(1, 0, "overlays"))


def test_glyphs_are_all_different():
    from DeepDRRSlicerLib.dataset.overlays import _GLYPHS

    assert len(set(_GLYPHS.values())) == len(_GLYPHS)
    assert all(len(rows) == 5 and set(rows) <= set("01234567") for rows in _GLYPHS.values())
    assert written("L").astype(int).tolist() == [[1, 0, 0, 0]] * 4 + [[1, 1, 1, 0]]


def test_looks_are_drawn_as_the_job_says():
    job = parse_job(
        job_data(
            [{"name": "p", "ct": "p"}],
            picture={
                "centre": {"distribution": "uniform", "range": [3, 5]},
                "width": {"distribution": "uniform", "range": [4, 6]},
                "gamma": {"distribution": "choice", "values": [0.5, 2]},
                "inverted": 0.25,
                "shutter": {"probability": 0.5, "shapes": ["ellipse", "octagon"]},
                "overlays": {"probability": 0.75, "count": {"distribution": "uniform", "range": [1, 5]}},
            },
        )
    )
    looks = [draw_look(job.picture, Draw(job.seed, index)) for index in range(2000)]
    middle = np.array([(look.low + look.high) / 2 for look in looks])
    width = np.array([look.high - look.low for look in looks])
    assert middle.min() > 2.99 and middle.max() < 5.01 and middle.mean() == pytest.approx(4, abs=0.06)
    assert width.min() > 3.99 and width.max() < 6.01 and width.mean() == pytest.approx(5, abs=0.06)
    for found, expected in (
        (np.mean([look.inverted for look in looks]), 0.25),
        (np.mean([look.shutter is not None for look in looks]), 0.5),
        (np.mean([look.shutter[0] == "octagon" for look in looks if look.shutter]), 0.5),
        (np.mean([look.overlays > 0 for look in looks]), 0.75),
        (np.mean([look.gamma == 2 for look in looks]), 0.5),
    ):
        assert found == pytest.approx(expected, abs=0.06)
    assert {look.overlays for look in looks} == {0, 1, 2, 3, 4, 5}
    assert looks == [draw_look(job.picture, Draw(job.seed, index)) for index in range(2000)]
