"""Muon against the singular value decomposition, and that it learns."""

import pytest

torch = pytest.importorskip("torch")

from DeepDRRSlicerLib.training.decomposition.muon import Muon, orthogonal  # noqa: E402


@pytest.mark.parametrize("shape", [(16, 216), (40, 8), (32, 32)])
def test_singular_values_become_about_one_and_singular_vectors_stay(shape):
    torch.manual_seed(1)
    left, values, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    spread = torch.linspace(0.05, 1, len(values))  # of the largest; the iteration's own promise ends near 0.01
    found = orthogonal(left @ torch.diag(spread) @ right)
    core = left.T @ found @ right.T
    assert torch.diag(core).min() > 0.6 and torch.diag(core).max() < 1.25
    assert (core - torch.diag(torch.diag(core))).abs().max() < 1e-3


def test_a_step_is_as_long_as_one_of_adam():
    """Root mean square 0.2 of the rate, whatever the gradient's scale; singular values of 0.7 to 1.2 leave +-30 %."""
    for scale in (1e-4, 1e3):
        torch.manual_seed(2)
        kernel = torch.nn.Parameter(torch.zeros(8, 4, 3, 3, 3))
        kernel.grad = scale * torch.randn_like(kernel)
        Muon([kernel], lr=0.01, weight_decay=0.0).step()
        assert kernel.detach().square().mean().sqrt() == pytest.approx(0.002, rel=0.3)


def test_weights_decay_by_rate_times_decay():
    kernel = torch.nn.Parameter(torch.full((2, 3), 5.0))
    kernel.grad = torch.zeros_like(kernel)
    Muon([kernel], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(kernel, torch.full((2, 3), 5.0 * 0.95))


def test_it_finds_the_least_squares_answer():
    torch.manual_seed(3)
    truth, x = torch.randn(6, 10), torch.randn(10, 200)
    weight = torch.nn.Parameter(torch.zeros(6, 10))
    optimizer = Muon([weight], lr=0.3, weight_decay=0.0)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 300)
        weight.grad = None
        (weight @ x - truth @ x).square().mean().backward()
        optimizer.step()
    assert (weight - truth).abs().max() < 0.02
