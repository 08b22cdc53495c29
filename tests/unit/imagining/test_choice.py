"""imagining/choice.py: which faces a mixture begins from."""

import numpy as np
import pytest

from facevc_cli.imagining.choice import choose_best, draw_starts, keep_side
from facevc_cli.imagining.face_set import FaceSet


def make_faces(places) -> FaceSet:
    """Faces on a line: the first number of their descriptors is their place, and so is dlib's distance."""
    descriptors = np.zeros((len(places), 162), np.float32)
    descriptors[:, 0] = places
    return FaceSet(descriptors, np.zeros(len(places)), np.full(len(places), 30.0))


def test_fewer_faces_than_parts_are_enough():
    start = choose_best(np.array([0.0]))
    assert start.numbers.tolist() == [0] and start.weights.tolist() == [1.0]


def test_the_nearest_three_are_weighted_by_the_roots_of_their_chances():
    start = choose_best(np.log(np.array([0.1, 4.0, 1.0, 9.0])))
    assert start.numbers.tolist() == [3, 1, 2]
    assert start.weights == pytest.approx([3 / 6, 2 / 6, 1 / 6])


def test_the_nearest_three_are_of_different_groups():
    scores = np.arange(5.0)[::-1]
    assert choose_best(scores, ("a", "a", "b", "b", "c")).numbers.tolist() == [0, 2, 4]
    assert choose_best(scores, ("a", "a", "b", "b", "b")).numbers.tolist() == [0, 2, 1]  # there are only two


def test_all_groups_are_drawn_as_often():
    """Nine faces of one group and one of another: without levelling the one would lead in a tenth of the draws."""
    faces = make_faces(np.arange(10.0) * 100)
    faces = FaceSet(faces.descriptors, faces.registers, faces.ages, ("a",) * 9 + ("b",))
    leads = [draw_starts(np.zeros(10), faces, 2, np.random.default_rng(seed))[1].numbers[0] == 9 for seed in range(200)]
    assert 0.4 < np.mean(leads) < 0.65


def test_a_mixture_has_one_register_unless_the_voice_is_in_the_middle():
    faces = FaceSet(np.zeros((4, 162), np.float32), np.array([1.0, 0.0, 0.9, 0.1]), np.full(4, 30.0))
    scores = np.array([0.0, 5.0, 1.0, 4.0])
    assert choose_best(keep_side(scores, faces, 0.7)).numbers.tolist() == [2, 0]
    assert choose_best(keep_side(scores, faces, 0.2)).numbers.tolist() == [1, 3]
    assert choose_best(keep_side(scores, faces, 0.45)).numbers.tolist() == [1, 3, 2]
    men = faces.select(np.array([1, 3]))
    assert np.isfinite(keep_side(scores[:2], men, 0.9)).all()  # there is no other face
    starts = draw_starts(keep_side(scores, faces, 0.7), faces, 5, np.random.default_rng(0))
    assert all(set(start.numbers) <= {0, 2} for start in starts)


def test_samples_begin_with_the_best_and_look_different():
    faces = make_faces([0.0, 0.01, 0.02, 5.0, 5.01, 5.02])
    starts = draw_starts(np.zeros(6), faces, 2, np.random.default_rng(0))
    assert starts[0].numbers[0] == 0
    assert starts[1].numbers[0] >= 3  # the other group, because all of the first look like what was drawn
    assert set(starts[1].numbers) == {3, 4, 5}  # companions look like the leading one
    assert starts[1].weights == pytest.approx([0.6, 0.2, 0.2])


def test_a_face_that_leads_twice_gets_other_companions():
    faces = make_faces([0.0, *np.linspace(5.0, 5.2, 12)])
    starts = [draw_starts(np.zeros(13), faces, 2, np.random.default_rng(seed))[1] for seed in range(40)]
    alike = [set(start.numbers[1:].tolist()) for start in starts if start.numbers[0] == starts[0].numbers[0]]
    assert len(alike) > 1 and any(one != alike[0] for one in alike)


def test_faces_that_do_not_fit_are_never_drawn():
    faces = make_faces(np.arange(20.0))
    scores = np.where(np.arange(20) < 10, 0.0, -10.0)
    starts = draw_starts(scores, faces, 15, np.random.default_rng(1))  # more than fit: some are drawn again
    assert len(starts) == 15 and all(start.numbers[0] < 10 for start in starts)
    assert len({start.numbers[0] for start in starts[:10]}) == 10


def test_a_seed_gives_the_same_and_more_samples_keep_the_first():
    faces = make_faces(np.arange(30.0))
    few, many = (draw_starts(np.zeros(30), faces, n, np.random.default_rng(3)) for n in (3, 8))
    assert [s.numbers.tolist() for s in few] == [s.numbers.tolist() for s in many[:3]]
