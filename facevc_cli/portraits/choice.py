"""Chooses the composites that fit a face, or a register and an age.

The likeness of two faces is that of their descriptors without what register and age explain of them. So a face keeps
its kind when its register or age is changed.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from facevc_cli.faces.reading import DLIB_DIM, read_age, read_register
from facevc_cli.portraits.composites import CompositeSet

NEAREST = 16  # composites of each register in a choice
AGE_UNIT_YEARS = 9.0  # as unlike as LIKENESS_UNIT in the rest of the descriptor
LIKENESS_UNIT = 0.2
MOST_TILT = 0.5  # per year, of the weights towards an age
ROUNDS = 30


@dataclass(frozen=True, eq=False)
class Kind:
    """What a choice aims at. register: from 0 (a man) to 1 (a woman). age_years. likeness: (128,), of `Likeness`."""

    register: float
    age_years: float
    likeness: np.ndarray


class Likeness:
    """Splits descriptors into register, age and the rest, as the composites teach it."""

    def __init__(self, composites: CompositeSet):
        self._known = np.stack([np.ones(len(composites)), composites.registers, composites.ages / 10], 1)
        identity = composites.descriptors[:, :DLIB_DIM]
        self._explained = np.linalg.lstsq(self._known, identity, rcond=None)[0]
        self.of_composites = identity - self._known @ self._explained
        read = read_age(composites.descriptors)
        # the ages that `fused` reads are nearer to the middle than those that people wrote down
        varies = len(composites) > 2 and float(np.ptp(read)) > 1
        self._age_line = np.polyfit(read, composites.ages, 1) if varies else np.array([1.0, 0.0])
        self._ages = (float(composites.ages.min()), float(composites.ages.max()))

    def describe(self, descriptor: np.ndarray) -> Kind:
        """A face's descriptor (162,) of `fused` -> its kind."""
        register = float(read_register(descriptor))
        age = float(np.clip(np.polyval(self._age_line, float(read_age(descriptor))), *self._ages))
        known = np.array([1.0, register, age / 10])
        return Kind(register, age, descriptor[:DLIB_DIM] - known @ self._explained)


@lru_cache(maxsize=2)
def find_likeness(composites: CompositeSet) -> Likeness:
    """Returns the likeness of a set of composites, computed once."""
    return Likeness(composites)


def choose_weights(composites: CompositeSet, kind: Kind) -> np.ndarray:
    """Returns weights (n,) of composites that are like `kind`; the women among them weigh `register` together.

    Their mean age is the asked one, as far as the composites reach.
    """
    apart = ((find_likeness(composites).of_composites - kind.likeness) ** 2).sum(1) / LIKENESS_UNIT**2
    apart += ((composites.ages - kind.age_years) / AGE_UNIT_YEARS) ** 2
    weights = np.zeros(len(composites))
    women = composites.registers > 0.5
    for chosen, share in ((women, kind.register), (~women, 1 - kind.register)):
        if share <= 0 or not chosen.any():
            continue
        near = np.flatnonzero(chosen)[np.argsort(apart[chosen], kind="stable")[:NEAREST]]
        start = np.exp(-0.5 * (apart[near] - apart[near].min()))
        weights[near] = share * _tilt(start, composites.ages[near].astype(np.float64), kind.age_years)
    return weights / weights.sum()


def _tilt(weights: np.ndarray, ages: np.ndarray, wanted: float) -> np.ndarray:
    """Multiplies weights by exp(b age), so that their mean age is the wanted one. The sum becomes 1."""
    low, high = -MOST_TILT, MOST_TILT
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        tilted = weights * np.exp(middle * (ages - ages.mean()))
        tilted /= tilted.sum()
        if float(tilted @ ages) < wanted:
            low = middle
        else:
            high = middle
    return tilted
