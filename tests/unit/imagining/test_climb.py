"""imagining/climb.py on scores whose best weights are known."""

import numpy as np
import pytest

from facevc_cli.imagining.climb import MOST_STEPS, climb


def distance_to(goal):
    return lambda weights: -((weights - np.array(goal)) ** 2).sum(1)


def test_a_flat_score_stays_at_its_start():
    path = climb(lambda weights: np.zeros(len(weights)), np.array([0.5, 0.3, 0.2]), 1.0)
    assert len(path) == 1 and path[0] == pytest.approx([0.5, 0.3, 0.2])


def test_it_reaches_the_best_weights():
    path = climb(lambda weights: 100 * distance_to((0.2, 0.7, 0.1))(weights), np.array([0.6, 0.2, 0.2]), 0.0)
    assert path[-1] == pytest.approx([0.2, 0.7, 0.1], abs=0.02)
    assert path[0] == pytest.approx([0.6, 0.2, 0.2]) and 1 < len(path) <= MOST_STEPS + 1


def test_every_step_is_a_mixture_and_gains():
    score = distance_to((0.0, 0.0, 1.0))
    path = climb(score, np.array([0.6, 0.4, 0.0]), 0.0)  # a weight of 0 can grow
    values = [float(score(weights[None])[0]) for weights in path]
    assert values == sorted(values) and path[-1][2] > 0.9
    assert all(weights.min() >= 0 and weights.sum() == pytest.approx(1) for weights in path)


def test_the_tie_holds_it_half_way():
    """-(w - 1)^2 - (w - 0)^2, both on the line between two corners, is largest half way."""
    path = climb(distance_to((0.0, 1.0)), np.array([0.999, 0.001]), 1.0)
    assert path[-1] == pytest.approx([0.5, 0.5], abs=0.03)
