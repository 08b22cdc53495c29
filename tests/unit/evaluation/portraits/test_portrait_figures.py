"""evaluation/portraits: figures with numbers worked out by hand, and the tables that they come from."""

import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.association.lists import AssociationList, Person
from facevc_cli.evaluation.portraits.figures import (
    compute_frechet_distance,
    measure_looks,
    measure_round_trip,
    measure_variety,
    measure_voice_spread,
    shuffle_voices,
)
from facevc_cli.evaluation.portraits.table import DrawnPortrait, join_people, read_portraits
from facevc_cli.files.tables import write_table


def test_a_table_without_a_finished_picture_is_refused(tmp_path):
    with pytest.raises(FaceVCError, match="portrait"):
        read_portraits(tmp_path)
    write_table(tmp_path / "portraits.csv", [{"portrait": "a.png", "status": "failed", "voice": "a.wav", "key": "1"}])
    with pytest.raises(FaceVCError, match="expected rows of finished pictures"):
        read_portraits(tmp_path)


def test_rows_become_portraits(tmp_path):
    row = {"portrait": "a.png", "status": "done", "voice": "../v/a.wav", "key": "1", "fits_register": "1"}
    rows = [{**row, "looks_age": "44", "age": "40"}, {**row, "portrait": "b.png", "looks_age": "", "age": "40"}]
    write_table(tmp_path / "out/portraits.csv", rows)
    (tmp_path / "v").mkdir()
    (tmp_path / "v/a.wav").write_bytes(b"")
    first, second = read_portraits(tmp_path / "out")
    assert (first.fits_register, first.age_error_years, second.age_error_years) == (1.0, 4.0, None)
    assert first.owner == str((tmp_path / "v/a.wav").resolve())
    assert len(read_portraits(tmp_path / "out", limit=1)) == 1
    figures = measure_looks([first, second], np.array([0, 1]))
    assert (figures["seen as the register"].value, figures["age seen"].n) == (1.0, 1)


def test_portraits_take_the_person_of_their_voice(tmp_path):
    pairs = AssociationList(
        {"a.jpg": "ann", "b.jpg": "bob"},
        {"a.wav": "ann", "b.wav": "bob"},
        {name: tmp_path / name for name in ("a.jpg", "b.jpg", "a.wav", "b.wav")},
        {"ann": Person("female"), "bob": Person("male")},
    )
    drawn = [DrawnPortrait(tmp_path / f"{n}.png", tmp_path / "x" / ".." / f"{n}.wav") for n in ("a", "b", "c")]
    joined = join_people(drawn, pairs, tmp_path / "pairs.csv")
    assert joined.voices == {str(tmp_path / "a.png"): "ann", str(tmp_path / "b.png"): "bob"}
    assert set(joined.paths) == {"a.jpg", "b.jpg", *(one.name for one in drawn)}
    with pytest.raises(FaceVCError, match="found 1 people with one"):
        join_people(drawn[:1], pairs, tmp_path / "pairs.csv")


def test_a_round_trip_to_the_same_voice_is_perfect():
    voices = np.random.default_rng(0).random((6, 256)).astype(np.float32)
    figures = measure_round_trip(3 * voices, voices, np.arange(6))
    assert figures["register agrees"].value == 1 and figures["age difference"].value == pytest.approx(0, abs=1e-4)
    assert figures["cosine"].value == pytest.approx(1) and figures["cosine"].n == 6
    others = measure_round_trip(voices[::-1], voices, np.arange(6))
    assert others["cosine"].value < 0.9


def test_shuffled_voices_are_never_one_s_own():
    owners = np.array([0, 0, 1, 2, 2, 2])
    for seed in range(5):
        assert (owners[shuffle_voices(owners, seed)] != owners).all()


def test_distances_within_a_voice_and_between_voices():
    """Places 0, 1 of one voice and 4 of another: 1 within; 4 and 3 between."""
    descriptors = np.zeros((3, 128))
    descriptors[:, 0] = 0, 1, 4
    figures = measure_variety(descriptors, np.array([0, 0, 1]))
    assert (figures["distance, one voice"].value, figures["distance"].value) == (1.0, 3.5)
    assert figures["distance"].n == 2 and figures["distance"].low is None  # two voices give no interval
    assert "distance, one voice" not in measure_variety(descriptors, np.arange(3))


def test_each_voice_counts_once():
    voices = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    figure = measure_voice_spread(voices, np.array([0, 0, 1]))["cosine of voices"]
    assert figure.value == pytest.approx(np.sqrt(0.5)) and figure.n == 1
    assert measure_voice_spread(voices[:2], np.array([0, 0])) == {}


def test_frechet_distance_of_known_distributions():
    """Means 3 apart; deviations 1 and 2 in one number: 9 + (2 - 1)^2 = 10."""
    a, b = np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])
    assert compute_frechet_distance(a, b) == pytest.approx(10)
    several = np.random.default_rng(0).normal(size=(20, 4))
    assert compute_frechet_distance(several, several) == pytest.approx(0, abs=1e-6)
    assert compute_frechet_distance(several, several + np.array([1, 0, 0, 0])) == pytest.approx(1)
