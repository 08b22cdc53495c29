"""The choice of composites: the register and the age that are asked for come out, and the likeness stays."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.composites import make_composites

from facevc_cli.faces.reading import pack
from facevc_cli.portraits.choice import Kind, choose_weights, find_likeness


@pytest.fixture(scope="module")
def many():
    """Forty composites: two kinds of faces, each as men and women of 20 to 65 years."""
    rng = np.random.default_rng(1)
    kinds = rng.normal(0, 0.05, (2, 128))
    descriptors, registers, ages, groups = [], [], [], []
    for i in range(40):
        woman, age, kind = i % 2, 20.0 + 5 * (i // 4), i // 2 % 2
        identity = kinds[kind] + 0.02 * woman + 0.001 * age
        descriptors.append(pack(identity, np.zeros(32), 4.0 if woman else -4.0, 0.5 * age + 20))
        registers.append(woman)
        ages.append(age)
        groups.append(f"kind {kind}")
    base = make_composites(40)
    return replace(
        base,
        descriptors=np.stack(descriptors),
        registers=np.array(registers, np.float32),
        ages=np.array(ages, np.float32),
        groups=tuple(groups),
    )


@pytest.mark.parametrize("register", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("age", [25.0, 45.0, 60.0])
def test_register_and_age_come_out(many, register, age):
    weights = choose_weights(many, Kind(register, age, find_likeness(many).of_composites[5]))
    assert weights.sum() == pytest.approx(1) and weights.min() >= 0
    assert weights @ many.registers == pytest.approx(register, abs=1e-6)
    assert weights @ many.ages == pytest.approx(age, abs=2.5)


def test_an_age_beyond_all_composites_takes_the_oldest(many):
    weights = choose_weights(many, Kind(0.0, 120.0, find_likeness(many).of_composites[0]))
    assert weights @ many.ages > 58


def test_faces_of_the_same_kind_are_preferred(many):
    likeness = find_likeness(many).of_composites
    weights = choose_weights(many, Kind(1.0, 40.0, likeness[0]))
    of_kind = np.array([group == many.groups[0] for group in many.groups])
    assert weights[of_kind].sum() > 0.95


def test_a_composite_is_described_as_itself(many):
    """`fused` reads ages nearer to the middle; the composites' own ages undo that."""
    kind = find_likeness(many).describe(many.descriptors[13])
    assert kind.register == pytest.approx(float(many.registers[13]), abs=0.02)
    assert kind.age_years == pytest.approx(float(many.ages[13]), abs=1)
    assert kind.likeness == pytest.approx(find_likeness(many).of_composites[13], abs=0.01)


def test_the_likeness_of_a_face_does_not_hold_its_register(many):
    """A man and a woman of one kind and age are alike."""
    likeness = find_likeness(many).of_composites
    men, women = likeness[0], likeness[1]
    assert np.linalg.norm(men - women) < 0.1 * np.linalg.norm(likeness[0] - likeness[2])
