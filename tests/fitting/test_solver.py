"""The solver against problems whose answers are known."""

from typing import NamedTuple

import torch

from hmrcli.fitting.solver import Quadratic, least_squares, levenberg_marquardt, robust_least_squares


class Point(NamedTuple):
    x: torch.Tensor


def moved(state: Point, step: torch.Tensor) -> Point:
    return Point(state.x + step)


def rosenbrock(state: Point) -> Quadratic:
    x, y = state.x.unbind(-1)
    residual = torch.stack([10 * (y - x**2), 1 - x], -1)
    row_x = torch.stack([-20 * x, torch.full_like(x, 10)], -1)
    row_y = torch.stack([torch.full_like(x, -1), torch.zeros_like(x)], -1)
    return least_squares(residual, torch.stack([row_x, row_y], -2))


def test_finds_the_minimum_of_rosenbrock() -> None:
    start = Point(torch.tensor([[-1.2, 1.0], [0.0, 0.0], [3.0, -2.0]], dtype=torch.float64))
    found, cost = levenberg_marquardt(start, rosenbrock, moved, iterations=200, tolerance=1e-12)
    torch.testing.assert_close(found.x, torch.ones_like(found.x), atol=1e-5, rtol=0)
    assert (cost < 1e-9).all()


def test_problems_of_a_batch_do_not_influence_each_other() -> None:
    starts = torch.tensor([[-1.2, 1.0], [2.0, 2.0], [-3.0, 4.0]], dtype=torch.float64)
    together, _ = levenberg_marquardt(Point(starts), rosenbrock, moved, iterations=8)
    for start, expected in zip(starts, together.x):
        alone, _ = levenberg_marquardt(Point(start[None]), rosenbrock, moved, iterations=8)
        torch.testing.assert_close(alone.x[0], expected, atol=1e-12, rtol=1e-12)


def test_never_returns_a_worse_state() -> None:
    def uphill(state: Point) -> Quadratic:  # a wrong gradient: every step must be refused
        cost = state.x.square().sum(-1)
        return Quadratic(cost, -2 * state.x, torch.eye(2, dtype=state.x.dtype).expand(len(cost), 2, 2))

    start = Point(torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    found, cost = levenberg_marquardt(start, uphill, moved, iterations=10)
    assert torch.equal(found.x, start.x) and cost.item() == 5


def test_a_robust_mean_ignores_outliers() -> None:
    samples = torch.tensor([[1.0], [1.1], [0.9], [1.0], [50.0]], dtype=torch.float64)

    def spread(state: Point) -> Quadratic:
        residual = (state.x - samples)[None]
        return robust_least_squares(
            residual, torch.ones(1, 5, 1, 1, dtype=torch.float64), torch.ones(1, 5, dtype=torch.float64), 1.0
        )

    found, _ = levenberg_marquardt(Point(torch.tensor([[2.0]], dtype=torch.float64)), spread, moved)
    assert abs(found.x.item() - 1.0) < 0.05


def test_robust_gradient_is_the_derivative_of_its_cost() -> None:
    generator = torch.Generator().manual_seed(0)
    jacobian = torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64)
    weight = torch.rand(2, 4, generator=generator, dtype=torch.float64)
    step = torch.randn(2, 5, generator=generator, dtype=torch.float64).requires_grad_()
    around = robust_least_squares((jacobian @ step[:, None, :, None])[..., 0], jacobian, weight, 0.7)
    (expected,) = torch.autograd.grad(around.cost.sum(), step)
    torch.testing.assert_close(around.gradient, expected)
