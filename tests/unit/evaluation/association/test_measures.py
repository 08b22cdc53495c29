"""evaluation/association: trials, figures and controls, with numbers worked out by hand."""

import numpy as np
import pytest

from facevc_cli.evaluation.association import systems
from facevc_cli.evaluation.association.lists import AssociationList, Person, Trial
from facevc_cli.evaluation.association.measures import (
    average,
    compute_auc,
    compute_average_precision,
    compute_eer,
    judge_choices,
    measure_protocol,
    measure_verification,
)
from facevc_cli.evaluation.association.protocols import (
    TO_FACE,
    TO_VOICE,
    Matching,
    Retrieval,
    Verification,
    make_protocols,
    number_files,
)
from facevc_cli.evaluation.association.systems import (
    EqualLabelsScorer,
    PlacesScorer,
    make_gender_control,
    shuffle_people,
)


class Given:
    """Scores from a table: (faces, voices)."""

    def __init__(self, *rows):
        self.table = np.array(rows, dtype=float)

    def score(self, faces, voices):
        return self.table[faces, voices]


def weights(*values):
    return np.array(values, dtype=float)


# errors of verification


def test_auc_counts_a_tie_half():
    """Same: .9, .5. Different: .5, .1. Pairs of both: .9 wins twice, .5 wins once and ties once: 3.5 of 4."""
    assert compute_auc(weights(0, 1, 1), weights(1, 1, 0)) == 3.5 / 4
    assert compute_auc(weights(2), weights(5)) == 0.5
    assert np.isnan(compute_auc(weights(0, 0), weights(1, 1)))


def test_eer_by_hand():
    """Same at .4 and .8, different at .2 and .6: between .4 and .6 one of two of each kind is wrong."""
    assert compute_eer(weights(0, 1, 0, 1), weights(1, 0, 1, 0)) == 0.5
    assert compute_eer(weights(0, 0, 1), weights(1, 1, 0)) == 0.0
    assert compute_eer(weights(1), weights(1)) == 0.5  # one score for all
    # of 4 and 2: after the second score 1/4 are rejected and 1/2 accepted, after the third 3/4 and 0
    assert compute_eer(weights(1, 0, 2, 1), weights(0, 1, 1, 0)) == pytest.approx(0.25 + 0.25 * 0.5)


def test_verification_figures():
    pairs = Verification(
        np.array([0, 1, 0, 1]),
        np.array([0, 1, 1, 0]),
        np.array([True, True, False, False]),
        np.array([[0, 0], [1, 1], [0, 1], [1, 0]]),
    )
    found = measure_verification(pairs, Given((0.9, 0.5), (0.1, 0.5)))
    assert found["AUC"].value == 3.5 / 4 and found["AUC"].n == 4
    assert found["AUC"].low is None  # pairs need three people
    assert (
        measure_verification(
            Verification(*(x[:2] for x in (pairs.faces, pairs.voices, pairs.same, pairs.people))), Given((0, 0), (0, 0))
        )
        == {}
    )


def test_the_interval_of_a_perfect_system_is_narrow_and_draws_are_over_people():
    size = 6
    face, voice = (grid.ravel() for grid in np.meshgrid(np.arange(size), np.arange(size)))
    pairs = Verification(face, voice, face == voice, np.column_stack([face, voice]))
    found = measure_verification(pairs, Given(*np.eye(size)), draws=50)
    assert (found["AUC"].value, found["AUC"].low, found["AUC"].high) == (1.0, 1.0, 1.0)
    assert (found["EER"].value, found["EER"].high) == (0.0, 0.0)


def test_many_scores_are_told_apart_in_the_value_and_nearly_in_the_interval():
    """2,500 scores, a perfect order: the value is exact, the interval as near as its levels allow."""
    size = 50
    face, voice = (grid.ravel() for grid in np.meshgrid(np.arange(size), np.arange(size)))
    pairs = Verification(face, voice, face == voice, np.column_stack([face, voice]))
    scores = np.arange(size * size, dtype=float).reshape(size, size) / size**2 + 2 * np.eye(size)
    found = measure_verification(pairs, Given(*scores), draws=20)["AUC"]
    assert found.value == 1.0 and 0.999 < found.low <= found.high <= 1.0


def test_cosines_of_many_places_are_the_same_without_a_table(monkeypatch):
    places = PlacesScorer(np.eye(3)[[0, 1]], np.array([[0.6, 0.8, 0], [0, 1, 0]]))
    monkeypatch.setattr(systems, "MOST_COSINES", 0)
    large = PlacesScorer(places.faces, places.voices)
    rows = np.array([[0, 1], [1, 1]]), np.array([[0, 0], [1, 0]])
    assert places.score(*rows).tolist() == large.score(*rows).tolist() == [[0.6, 0.8], [1.0, 0.8]]


# choices


def test_choices_by_hand():
    matching = Matching(
        TO_FACE, np.array([0, 0, 0, 1]), np.array([[0, 1, 2], [1, 0, 2], [2, 0, 1], [2, 0, 1]]), np.array([0, 0, 0, 1])
    )
    scorer = Given((0.9, 0.3), (0.5, 0.3), (0.5, 0.3))
    # right alone; wrong; wrong; equal to two others
    assert judge_choices(matching, scorer).tolist() == [1, 0, 0, pytest.approx(1 / 3)]


def test_a_tie_between_two_is_half_right():
    matching = Matching(TO_VOICE, np.array([0]), np.array([[0, 1]]), np.array([0]))
    assert judge_choices(matching, Given((0.2, 0.2))).tolist() == [0.5]


def test_means_are_over_values_and_intervals_over_people():
    """One person with three right values, one with one wrong: the mean is .75, a draw gives 0, .75 or 1."""
    found = average(np.array([1.0, 1, 1, 0]), np.array([4, 4, 4, 9]))
    assert (found.value, found.n, found.low, found.high) == (0.75, 4, 0.0, 1.0)
    assert average(np.array([1.0]), np.array([0])).low is None


def test_average_precision_by_hand():
    """Scores .9 .8 .7 .6; relevant the 1st and the 3rd: (1 + 2/3) / 2. One relevant among two equal: rank 1.5."""
    retrieval = Retrieval(
        TO_FACE,
        np.array([0, 1]),
        [np.arange(4), np.array([0, 1])],
        [np.array([True, False, True, False]), np.array([True, False])],
        np.array([0, 1]),
    )
    found = compute_average_precision(retrieval, Given((0.9, 0.5), (0.8, 0.5), (0.7, 0), (0.6, 0)))
    assert found.tolist() == pytest.approx([(1 + 2 / 3) / 2, 1 / 1.5])


# protocols


@pytest.fixture
def four():
    """Two women of one age, two men of two ages; the first woman has two faces."""
    people = {
        "ann": Person("female", "20-39"),
        "bea": Person("female", "20-39"),
        "carl": Person("male", "20-39"),
        "dan": Person("male", "60+"),
    }
    faces = {"a1.jpg": "ann", "a2.jpg": "ann", "b.jpg": "bea", "c.jpg": "carl", "d.jpg": "dan"}
    return AssociationList(faces, {f"{name}.wav": name for name in people}, {}, people)


def test_groups_hold_the_wrong_candidates_of_the_probes_own_kind(four):
    files = number_files(four, lambda name: True)
    protocols = make_protocols(four, files)
    assert list(protocols) == ["all", "same gender", "same age", "same gender and age"]
    one = {name: [m for m in p.matchings if m.candidates.shape[1] == 2] for name, p in protocols.items()}
    # voices to faces: ann's two faces against three others each, then one face against four, four, four
    assert len(one["all"][0].probes) == 2 * 3 + 3 * 4
    # ann's against bea's; bea's against ann's two; the men against each other
    assert sorted(map(tuple, one["same gender"][0].candidates.tolist())) == [
        (0, 2),
        (1, 2),
        (2, 0),
        (2, 1),
        (3, 4),
        (4, 3),
    ]
    assert {files.people[i] for i in one["same age"][0].people} == {"ann", "bea", "carl"}  # dan is alone in his age
    assert {files.people[i] for i in one["same gender and age"][0].people} == {"ann", "bea"}
    pairs = protocols["same gender"].verification
    assert (int(pairs.same.sum()), int((~pairs.same).sum())) == (5, 1 + 2 + 1 + 1)


def test_without_genders_there_is_only_the_group_all(four):
    plain = AssociationList(four.faces, four.voices, {}, {name: Person() for name in four.people})
    files = number_files(plain, lambda name: True)
    assert list(make_protocols(plain, files)) == ["all"] and make_gender_control(plain, files) is None


def test_a_file_that_cannot_be_used_is_in_no_trial(four):
    files = number_files(four, lambda name: name != "d.jpg")
    assert files.faces == ["a1.jpg", "a2.jpg", "b.jpg", "c.jpg"] and len(files.voices) == 4
    assert 3 not in make_protocols(four, files)["all"].matchings[0].probes  # dan's voice has no right face


def test_lists_of_trials(four):
    trials = [Trial("ann.wav", ("c.jpg", "a1.jpg", "d.jpg"), right=1), Trial("b.jpg", ("bea.wav", "dan.wav"))]
    listed = AssociationList(four.faces, four.voices, {}, four.people, trials)
    files = number_files(listed, lambda name: True)
    protocol = make_protocols(listed, files)["all"]
    assert [m.candidates.tolist() for m in protocol.matchings] == [[[0, 3, 4]], [[1, 3]]]
    found = measure_protocol(protocol, Given(*np.eye(5, 4)))
    assert list(found) == ["1:3 voice to face", "1:2 face to voice"] and found["1:3 voice to face"].value == 1.0
    verified = AssociationList(
        four.faces,
        four.voices,
        {},
        four.people,
        [Trial("ann.wav", ("a1.jpg",)), Trial("c.jpg", ("ann.wav",), same=False)],
    )
    pairs = make_protocols(verified, number_files(verified, lambda name: True))["all"].verification
    assert (pairs.faces.tolist(), pairs.voices.tolist(), pairs.same.tolist()) == ([0, 3], [0, 0], [True, False])


# controls


def test_gender_alone_by_hand(four):
    """All: same-gender scores tie. ann's first face against b, c, d: .5, 1, 1."""
    files = number_files(four, lambda name: True)
    control = make_gender_control(four, files)
    protocols = make_protocols(four, files)
    found = measure_protocol(protocols["all"], control)["1:2 voice to face"]
    # ann: 2 faces x (.5 + 1 + 1); bea: .5 + .5 + 1 + 1; carl: 1 + 1 + 1 + .5; dan: the same
    assert found.value == pytest.approx((5 + 3 + 3.5 + 3.5) / 18)
    within = measure_protocol(protocols["same gender"], control)
    assert within["AUC"].value == within["1:2 voice to face"].value == 0.5


def test_an_unknown_label_is_in_the_middle():
    labels = EqualLabelsScorer(np.array(["male", ""]), np.array(["male", "female"]))
    assert labels.score(np.array([0, 0, 1]), np.array([0, 1, 0])).tolist() == [1, 0, 0.5]


def test_shuffling_leaves_nobody_their_own_voice(four):
    files = number_files(four, lambda name: True)
    places = PlacesScorer(np.eye(4)[[0, 0, 1, 2, 3]], np.eye(4))
    shuffled = shuffle_people(places, files, seed=3)
    assert places.score(np.array([0, 2]), np.array([0, 1])).tolist() == [1, 1]
    assert shuffled.score(np.arange(1, 5), np.arange(4)).max() == 0
    assert sorted(map(tuple, shuffled.voices.tolist())) == sorted(map(tuple, np.eye(4).tolist()))
