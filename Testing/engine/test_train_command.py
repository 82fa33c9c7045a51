"""`deepdrr-slicer train decomposition`: it learns, goes on where it ended, and refuses what it cannot use."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from learning_samples import one_thread  # noqa: F401

from DeepDRRSlicerLib.__main__ import main
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.training import curves
from DeepDRRSlicerLib.training.decomposition.feed import FIRST_CHECK, Feed, cut, mirrored
from DeepDRRSlicerLib.training.decomposition.settings import Settings, read_settings, settings_of

torch = pytest.importorskip("torch")

from DeepDRRSlicerLib.learning.device import Place  # noqa: E402
from DeepDRRSlicerLib.learning.weights import load_trained, read_tensors  # noqa: E402
from DeepDRRSlicerLib.training.decomposition import train as training  # noqa: E402
from DeepDRRSlicerLib.training.decomposition import trainer  # noqa: E402
from DeepDRRSlicerLib.training.decomposition.loss import loss_of  # noqa: E402

QUICK = Settings(
    patch=16, steps=6, batch=2, warm_up=2, workers=0, block=4, repeats=2, checks=2, check_every=3, cut=0.3,
    learning_rate=5e-3, network={"detail": 8, "widths": [8, 16], "blocks": 1},
)  # fmt: skip
EXACT = Place("cpu", False)


def ball(seed, number):
    """A ball of bone or contrast in muscle, in air."""
    rng = np.random.default_rng((seed, number))
    away = np.linalg.norm(np.indices((16, 16, 16)) - rng.uniform(5, 10, (3, 1, 1, 1)), axis=0)
    labels = np.select([away < 3, away < 7], [rng.choice([4, 5]), 3], 0).astype(np.uint8)
    hu = np.array([-1000, -800, -90, 50, 600, 300, 3000], np.float32)[labels]
    return hu + rng.normal(0, 10, hu.shape).astype(np.float32), labels, np.ones(hu.shape, np.float32)


def sampler(settings):
    return partial(ball, settings.seed)


def run(folder, settings=QUICK, **options):
    return training.train(sampler, settings, folder, 5, device="cpu", report=lambda line: None, **options)


def test_some_steps_on_one_batch_learn_it():
    state = trainer.new_state(replace(QUICK, steps=40), EXACT)
    with Feed(sampler(QUICK), QUICK) as feed:
        batch = feed.batch(0)
    losses = [trainer.train_step(state, batch) for _ in range(40)]
    assert losses[0] > 1.5 and losses[-1] < 0.5 * losses[0]


def test_pieces_add_up_to_the_same_numbers_as_one_run(tmp_path):
    assert run(tmp_path / "whole")

    def ended(settings):
        make = sampler(settings)

        def one(number):
            if 4 <= number < FIRST_CHECK and not (tmp_path / "ended").exists():  # of the fifth step
                (tmp_path / "ended").touch()
                raise KeyboardInterrupt
            return make(number)

        return one

    options = {"device": "cpu", "report": lambda line: None}
    assert not training.train(ended, QUICK, tmp_path / "pieces", 5, **options)
    step = read_tensors(tmp_path / "pieces" / trainer.CHECKPOINT)[1]["step"]
    assert 0 < step < QUICK.steps
    assert training.train(ended, QUICK, tmp_path / "pieces", 5, resume=True, **options)
    for name in (trainer.CHECKPOINT, "decomposition.safetensors"):
        first, second = ((tmp_path / part / name).read_bytes() for part in ("whole", "pieces"))
        assert first == second
    logs = [curves.entries(tmp_path / part) for part in ("whole", "pieces")]
    assert [e["dice"] for e in logs[0] if "dice" in e] == [e["dice"] for e in logs[1] if "dice" in e]


def test_another_seed_is_another_training(tmp_path):
    run(tmp_path / "a")
    run(tmp_path / "b")
    run(tmp_path / "c", replace(QUICK, seed=2))
    a, b, c = ((tmp_path / name / trainer.CHECKPOINT).read_bytes() for name in "abc")
    assert a == b and a != c


def test_what_a_training_leaves(tmp_path):
    run(tmp_path)
    trained = load_trained(tmp_path / "decomposition.safetensors")
    assert trained.spacing == 2.0 and trained.network.config.widths == (8, 16)
    tensors, header = read_tensors(tmp_path / trainer.CHECKPOINT)
    assert header["step"] == 6 and header["settings"]["network"]["detail"] == 8
    averaged = trained.network.state_dict()["head.weight"]
    assert torch.allclose(averaged, tensors["averaged.head.weight"], atol=1e-3)
    assert not torch.equal(tensors["averaged.head.weight"], tensors["network.head.weight"])
    checks = [entry for entry in curves.entries(tmp_path) if "dice" in entry]
    assert [entry["step"] for entry in checks] == [3, 6] and len(checks[0]["dice"]) == 7
    pytest.importorskip("matplotlib")
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")


def test_a_training_is_not_overwritten_and_not_mixed(tmp_path):
    run(tmp_path)
    with pytest.raises(InputError, match="holds a training already; add --resume"):
        run(tmp_path)
    with pytest.raises(InputError, match="other settings"):
        run(tmp_path, replace(QUICK, batch=1), resume=True)
    with pytest.raises(InputError, match="There is no file of weights"):
        run(tmp_path / "none", resume=True)
    assert run(tmp_path, replace(QUICK, steps=7), resume=True)  # how long it takes may change
    assert read_tensors(tmp_path / trainer.CHECKPOINT)[1]["step"] == 7


def test_a_training_may_begin_with_other_weights(tmp_path):
    run(tmp_path / "a")
    start = tmp_path / "a" / "decomposition.safetensors"
    state = trainer.new_state(QUICK, EXACT, read_tensors(start)[0])
    assert torch.equal(state.network.head.weight, load_trained(start).network.head.weight)
    assert run(tmp_path / "b", start=start)
    with pytest.raises(InputError, match="The network of the settings cannot be made"):
        run(tmp_path / "c", replace(QUICK, network={"detail": 16}), start=start)


FINE = replace(QUICK, part="refiner", network={}, cut=0.0)


def block(number):
    """What the refiner is given of a border between fat and muscle that the coarse answer misses, and the truth."""
    rng = np.random.default_rng((7, number))
    labels = np.where(np.indices((12, 12, 12))[2] < rng.integers(4, 9), 2, 3).astype(np.uint8)
    hu = np.array([0, 0, -60, 0], np.float32)[labels] + rng.normal(0, 40, labels.shape).astype(np.float32)
    even = np.full((7, 12, 12, 12), 1 / 7, np.float16)
    inner = (slice(4, -4),) * 3
    return even, hu, np.zeros(4, np.float32), labels[inner], np.ones((4, 4, 4), np.float32)


def refine(folder, settings=FINE, **options):
    return training.train(lambda _: block, settings, folder, 5, device="cpu", report=lambda line: None, **options)


def test_the_refiner_learns_and_the_network_stays_as_it_is(tmp_path):
    run(tmp_path / "network")
    start = tmp_path / "network" / "decomposition.safetensors"
    assert refine(tmp_path / "a", start=start)
    before, after = (load_trained(tmp_path / name / "decomposition.safetensors") for name in ("network", "a"))
    assert not torch.equal(after.refiner.head.weight, before.refiner.head.weight) and after.spacing == before.spacing
    for name, value in before.network.state_dict().items():
        assert torch.equal(value, after.network.state_dict()[name])
    state = trainer.new_state(replace(FINE, steps=60), EXACT)
    with Feed(block, FINE) as feed:
        losses = [trainer.train_step(state, feed.batch(step % 4)) for step in range(60)]
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])


def test_pieces_of_the_refiners_training_add_up(tmp_path):
    run(tmp_path / "network")
    start = tmp_path / "network" / "decomposition.safetensors"
    assert refine(tmp_path / "whole", start=start)

    def ended(number):
        if 4 <= number < FIRST_CHECK and not (tmp_path / "ended").exists():
            (tmp_path / "ended").touch()
            raise KeyboardInterrupt
        return block(number)

    options = {"device": "cpu", "report": lambda line: None}
    assert not training.train(lambda _: ended, FINE, tmp_path / "pieces", 5, start=start, **options)
    start.unlink()  # a training has its own copy
    assert training.train(lambda _: ended, FINE, tmp_path / "pieces", 5, resume=True, **options)
    for name in (trainer.CHECKPOINT, "decomposition.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "pieces" / name).read_bytes()


def test_the_refiner_needs_the_network_that_it_follows(tmp_path):
    with pytest.raises(InputError, match="give its weights with --start"):
        refine(tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_batch_depends_on_its_number_alone_with_and_without_workers():
    with Feed(sampler(QUICK), QUICK) as feed, Feed(sampler(QUICK), QUICK) as late:
        batches = [feed.batch(step) for step in range(6)]
        assert np.array_equal(late.batch(5).inputs[0], batches[5].inputs[0], equal_nan=True)
    with Feed(partial(ball, 1), replace(QUICK, workers=1)) as made_ahead:
        for step in (2, 5):
            batch = made_ahead.batch(step)
            assert np.array_equal(batch.inputs[0], batches[step].inputs[0], equal_nan=True)
            assert np.array_equal(batch.labels, batches[step].labels)
    assert not np.array_equal(batches[0].labels, batches[1].labels)


def test_each_sample_is_drawn_as_often_as_the_settings_say():
    drawn = []

    def note(number):
        drawn.append(number)
        return np.full((2, 2, 2), number, np.float32), np.zeros((2, 2, 2), np.uint8), np.ones((2, 2, 2), np.float32)

    settings = replace(QUICK, cut=0.0)
    with Feed(note, settings) as feed:
        values = [int(hu.flat[0]) for step in range(8) for hu in feed.batch(step).inputs[0]]
        feed.check()
    assert sorted(values) == sorted(2 * list(range(8)))
    assert [number for number in drawn if number < FIRST_CHECK] == list(dict.fromkeys(values))
    assert [number for number in drawn if number >= FIRST_CHECK] == [FIRST_CHECK, FIRST_CHECK + 1]


def test_each_draw_of_a_sample_is_mirrored_anew():
    cube = np.arange(8.0).reshape(2, 2, 2)
    settings = replace(QUICK, block=1, repeats=12, cut=0.0)
    with Feed(lambda number: (cube, cube.astype(np.uint8), cube), settings) as feed:
        ways = {hu.tobytes() for step in range(6) for hu in feed.batch(step).inputs[0]}
    assert len(ways) == 2


def test_mirroring_moves_all_arrays_alike_and_keeps_up_and_front():
    cube = np.arange(27.0).reshape(3, 3, 3)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(100):
        hu, labels, weight = mirrored(rng, (cube, cube + 1, cube + 2))
        assert np.array_equal(hu + 1, labels) and np.array_equal(hu + 2, weight)
        assert np.array_equal(hu.mean(2), cube.mean(2))
        seen.add(hu.tobytes())
    assert seen == {cube.tobytes(), cube[..., ::-1].tobytes()}


def test_cut_cubes_are_unknown_and_without_weight_outside_their_slab():
    sample = np.zeros((16, 16, 16), np.float32), np.full((16, 16, 16), 3, np.uint8), np.ones((16, 16, 16), np.float32)
    rng = np.random.default_rng(3)
    thick = []
    for _ in range(50):
        hu, _, weight = cut(rng, 1.0, sample)
        assert np.array_equal(np.isnan(hu), weight == 0)
        planes = (~np.isnan(hu)).all((1, 2))
        thick.append(planes.sum())
        assert np.ptp(np.flatnonzero(planes)) == planes.sum() - 1
    assert min(thick) <= 2 and max(thick) >= 10
    assert cut(rng, 0.0, sample) is sample


def test_the_loss_by_hand():
    """Two voxels of two classes, one of them not to be learnt."""
    logits = torch.tensor([[[0.0, 5.0], [float(np.log(3)), 0.0]]])  # first voxel: 1/4, 3/4
    labels = torch.tensor([[1, 1]])
    weight = torch.tensor([[1.0, 0.0]])
    found = loss_of(logits, labels, weight, torch.tensor([1.0, 2.0]))
    entropy = -np.log(0.75)  # 2 * -log(0.75) / 2
    dice = (2 * 0.75 + 1) / (0.75 + 1 + 1)
    assert found.item() == pytest.approx(entropy + 1 - dice, rel=1e-5)


def test_the_rate_rises_stays_and_falls():
    settings = Settings(steps=1000, warm_up=100, decay=0.4, learning_rate=1e-3)
    rates = [settings.learning_rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5) and np.allclose(rates[100:600], 1e-3)
    assert (np.diff(rates[:100]) > 0).all() and (np.diff(rates[601:]) < 0).all() and rates[-1] < 1e-7


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"stepps": 3}', "no field 'stepps'"),
        ('{"steps": "3"}', "'steps' of the settings cannot be '3'"),
        ('{"steps": -3}', "write a number above 0"),
        ('{"batch": true}', "cannot be True"),
        ('{"part": "all"}', "'part' of the settings cannot be 'all'"),
        ('{"steps": 2.5}', "cannot be 2.5"),
        ('{"learning_rate": NaN}', "cannot be nan"),
    ],
)
def test_wrong_settings_are_named(tmp_path, text, message):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_settings(path)


def test_settings_survive_json():
    assert settings_of(json.loads(json.dumps(QUICK.to_dict()))) == QUICK
    assert settings_of({}) == Settings()
    assert read_settings().data["held_out"]  # of the shipped weights


@pytest.mark.parametrize(
    "options, message",
    [
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--data", "nowhere"], "no folder 'nowhere'"),
        (["--config", "nowhere.json"], "cannot be read"),
        (["--resume", "--start", "a"], "leave out --start or --resume"),
        (["--seed", "-1"], "--seed must be 0 or more"),
        ([], "mix in real CTs; give their folder with --data"),
    ],
)
def test_wrong_options_end_in_one_sentence(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "decomposition", *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_the_command_trains_on_the_projects_own_bodies(tmp_path, capsys):
    settings = QUICK.to_dict() | {"steps": 2, "batch": 1, "checks": 1, "data": {"mix": {"synthetic": 1.0}}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    command = ["train", "decomposition", "--config", str(tmp_path / "settings.json"), "-o", str(tmp_path / "out")]
    assert main([*command, "--minutes", "3", "--device", "cpu"]) == 0
    assert "finished" in capsys.readouterr().out
    assert load_trained(tmp_path / "out" / "decomposition.safetensors").network.config.detail == 8


def test_the_command_trains_the_refiner_on_the_projects_own_bodies(tmp_path, capsys, monkeypatch):
    from DeepDRRSlicerLib.training.decomposition import own_grid

    monkeypatch.setattr(own_grid, "WINDOW_MM", 72.0)
    monkeypatch.setattr(own_grid, "BLOCK", (6, 8, 10))
    run(tmp_path / "network")
    settings = FINE.to_dict() | {"steps": 2, "checks": 1, "data": {"mix": {"synthetic": 1.0}}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    command = ["train", "decomposition", "--config", str(tmp_path / "settings.json"), "-o", str(tmp_path / "out")]
    start = ["--start", str(tmp_path / "network" / "decomposition.safetensors")]
    assert main([*command, *start, "--minutes", "3", "--device", "cpu"]) == 0
    assert "finished" in capsys.readouterr().out
    trained = load_trained(tmp_path / "out" / "decomposition.safetensors")
    assert trained.network.config.detail == 8 and trained.refiner.head.weight.any()
