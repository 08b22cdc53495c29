"""Finds the weights of a mixture that raise a score, near those it began from."""

from collections.abc import Callable

import numpy as np

MOST_STEPS = 40
LEAST_GAIN = 1e-4
FIRST_RATE, LEAST_RATE = 0.5, 1e-3
DIFFERENCE = 1e-3  # of the finite differences
SMALLEST = 1e-4  # of a weight at the start, because a weight of 0 could never grow
Score = Callable[[np.ndarray], np.ndarray]  # weights (k, n) -> scores (k,)


def climb(score: Score, start: np.ndarray, tie: float) -> list[np.ndarray]:
    """Raises `score` less `tie` times the squared distance from the start. Returns the weights of each step.

    start: (n,), sums to 1; the first of the result. All weights stay from 0 to 1 and sum to 1: each step multiplies
    them by the exponential of their slopes (exponentiated gradient), and is taken only if it gains something. A steep
    score makes no longer steps.
    """
    start = np.maximum(np.asarray(start, np.float64), SMALLEST)
    start /= start.sum()

    def value(weights: np.ndarray) -> np.ndarray:
        return np.asarray(score(weights), np.float64) - tie * ((weights - start) ** 2).sum(1)

    path, best = [start], float(value(start[None])[0])
    rate = FIRST_RATE
    while len(path) <= MOST_STEPS and rate > LEAST_RATE:
        here = path[-1]
        moved = here + DIFFERENCE * (np.eye(len(here)) - here)  # a little towards each corner
        slopes = (value(moved) - best) / DIFFERENCE
        tried = here * np.exp(rate * (slopes - slopes.max()) / max(1.0, float(np.ptp(slopes))))
        tried /= tried.sum()
        found = float(value(tried[None])[0])
        if found > best + LEAST_GAIN:
            path.append(tried)
            best, rate = found, rate * 1.5
        else:
            rate /= 3
    return path
