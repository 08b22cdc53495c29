"""The metrics against values worked out by hand."""

import json
from math import log, sqrt

import numpy as np
import pytest
from helpers.planted_voices import conversion

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation import threshold
from facevc_cli.evaluation.bootstrap import estimate_figure
from facevc_cli.evaluation.figures import estimate_figures, measure_terms, slice_by_gender
from facevc_cli.evaluation.metrics import (
    consistency,
    f0_deviation,
    gender,
    intelligibility,
    leakage,
    matching,
    pairs,
    people,
)
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.intelligibility import Transcript, measure_edit_distance, normalise
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.manifest.contract import parse_gender


def voice(angle_degrees: float, f0_hz: float = 100.0) -> HeardVoice:
    """A unit vector in the plane: the cosine of two is that of the angle between them."""
    angle = np.deg2rad(angle_degrees)
    return HeardVoice(np.array([np.cos(angle), np.sin(angle)], np.float32), f0_hz, log(f0_hz))


@pytest.fixture
def square():
    """One source, two targets of two images each; the angles make every cosine known."""
    rows = [conversion("s", t, t + f) for t in "ab" for f in "12"]
    angles = {"s-a-a1": 0, "s-a-a2": 60, "s-b-b1": 90, "s-b-b2": 90}
    return rows, {name: voice(angle) for name, angle in angles.items()} | {"s": voice(30)}


def test_pairs_by_hand(square):
    rows, voices = square
    same, different = pairs.pair_same_target(rows, voices), pairs.pair_different_targets(rows, voices)
    assert sorted(value for value, *_ in same) == pytest.approx([0.5, 1.0])
    assert sorted(value for value, *_ in different) == pytest.approx([0, 0, sqrt(3) / 2, sqrt(3) / 2], abs=1e-6)
    assert estimate_figure(pairs.measure_sho(same)).value == pytest.approx(0.75)
    assert estimate_figure(pairs.measure_shr(same, 0.7)).value == 0.5
    assert estimate_figure(pairs.measure_sdo(different)).value == pytest.approx(sqrt(3) / 4)
    assert estimate_figure(pairs.measure_sdr(different, 0.7)).value == 0.5
    assert estimate_figure(pairs.measure_sdr(different, 0.7)).n == 4


def test_theta_itself_counts_as_the_same_speaker():
    a, b = conversion("s", "a", "1"), conversion("s", "b", "2")
    assert pairs.measure_shr([(0.7, a, a)], 0.7).values.tolist() == [1.0]
    assert pairs.measure_sdr([(0.7, a, b)], 0.7).values.tolist() == [0.0]


def test_pairs_never_cross_sources_nor_repeat_an_image():
    rows = [
        conversion("s1", "a", "1"),
        conversion("s2", "a", "2"),
        conversion("s1", "a", "1"),
        conversion("", "a", "3"),
    ]
    voices = {row.converted: voice(0) for row in rows}
    assert pairs.pair_same_target(rows, voices) == []
    assert pairs.pair_different_targets(rows, voices) == []


def test_consistency_control_matching_and_leakage_by_hand():
    rows = [
        conversion("s", "a", "1", gender="male", references=("ra",)),
        conversion("s", "b", "2", gender="male", references=("rb",)),
    ]
    voices = {"s": voice(0), "s-a-1": voice(0), "s-b-2": voice(0), "ra": voice(60), "rb": voice(90)}
    real = people.find_real_voices(rows, voices)
    others = people.draw_control_people(rows, real)
    assert others == {"a": ["b"], "b": ["a"]}
    assert consistency.measure_consistency(rows, voices, real).values == pytest.approx([0.5, 0.0], abs=1e-6)
    assert consistency.measure_control(rows, voices, real, others).values == pytest.approx([0.0, 0.5], abs=1e-6)
    assert matching.measure_matching(rows, voices, real, others).values.tolist() == [1.0, 0.0]
    assert leakage.measure_leakage(rows, voices).values == pytest.approx([1.0, 1.0])


def test_at_most_ten_references_and_ten_others_of_the_same_gender():
    rows = [
        conversion(
            "s", f"t{i:02}", "f", gender="female" if i % 2 else "male", references=tuple(f"r{i}-{k}" for k in range(14))
        )
        for i in range(40)
    ]
    voices = {name: voice(0) for row in rows for name in row.references}
    real = people.find_real_voices(rows, voices)
    assert {len(heard) for heard in real.values()} == {10}
    others = people.draw_control_people(rows, real, seed=3)
    assert {len(names) for names in others.values()} == {10}
    assert all(
        name != target and int(name[1:]) % 2 == int(target[1:]) % 2
        for target, names in others.items()
        for name in names
    )
    assert others == people.draw_control_people(rows, real, seed=3)


def test_f0_deviation_takes_the_mean_of_real_utterances_and_leaves_out_the_unvoiced():
    rows = [
        conversion("s", "a", "1", references=("r1", "r2", "r3")),
        conversion("s", "a", "2", references=("r1", "r2", "r3")),
    ]
    unvoiced = HeardVoice(np.array([1, 0], np.float32), float("nan"), log(150))
    voices = {"r1": voice(0, 100), "r2": voice(0, 140), "r3": unvoiced, "s-a-1": voice(0, 150), "s-a-2": unvoiced}
    terms = f0_deviation.measure_f0_deviation(rows, voices, people.find_real_voices(rows, voices))
    assert terms.values.tolist() == [30.0]


def test_gender_falls_when_the_labels_are_swapped():
    judge = gender.PitchGenderJudge()
    rows = [conversion("s", f"t{i}", "f", gender="female" if i < 3 else "male") for i in range(8)]
    voices = {row.converted: voice(0, 220 if i < 3 else 110) for i, row in enumerate(rows)}
    assert estimate_figure(gender.measure_gender(rows, voices, judge)).value == 1.0
    swapped = [conversion("s", r.target, "f", gender="male" if r.gender == "female" else "female") for r in rows]
    assert estimate_figure(gender.measure_gender(swapped, voices, judge)).value == 0.0
    assert len(gender.measure_gender([conversion("s", "t0", "f")], voices, judge)) == 0


def test_fitted_gender_judge_separates_what_is_separable():
    rng = np.random.default_rng(0)
    female = np.repeat([0.0, 1.0], 50)
    x = np.column_stack([rng.normal(size=(100, 3)), rng.normal(4.7, 0.05, 100) + 0.6 * female])
    judge = gender.fit(x, female, np.ones(100))
    heard = [judge.hear(HeardVoice(row[:3].astype(np.float32), 0, row[3])) == "female" for row in x]
    assert np.mean(np.array(heard) == (female > 0)) == 1.0


def test_packaged_gender_weights_hear_pitch_and_a_damaged_file_is_refused(tmp_path, monkeypatch):
    judge = gender.load_packaged_judge()
    assert isinstance(judge, gender.LinearGenderJudge) and judge.weight.shape == (257,)
    assert judge.weight[-1] > 0  # a higher voice is more often a woman's
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / gender.ASSET).write_bytes(b"not these")
    (assets / "voice_gender.json").write_text(json.dumps({"sha256": "0" * 64}))
    monkeypatch.setattr(gender, "files", lambda package: tmp_path)
    with pytest.raises(FaceVCError, match="sha256"):
        gender.load_packaged_judge()
    (assets / gender.ASSET).unlink()
    assert gender.load_packaged_judge() is None


def test_equal_error_by_hand():
    theta, eer = threshold.find_equal_error(np.array([0.6, 0.8, 0.9, 0.95]), np.array([0.1, 0.2, 0.3, 0.7]))
    assert eer == 0.25  # one of four each way
    assert 0.6 < theta <= 0.7 or 0.7 < theta < 0.8
    theta, eer = threshold.find_equal_error(np.array([0.8, 0.9]), np.array([0.1, 0.2]))
    assert (theta, eer) == (pytest.approx(0.5), 0.0)


def test_calibration_pairs_stay_inside_a_group_and_need_both_kinds():
    embeddings = np.stack([voice(angle).embedding for angle in (0, 10, 90, 100)])
    same, different = threshold.pair_cosines(embeddings, ["a", "a", "b", "b"])
    assert (len(same), len(different)) == (2, 4)
    same, different = threshold.pair_cosines(embeddings, ["a", "a", "b", "b"], ["x", "x", "x", "y"])
    assert (len(same), len(different)) == (1, 2)
    with pytest.raises(FaceVCError, match="two speakers"):
        threshold.calibrate(embeddings, ["a", "b", "c", "d"], "test")


def test_packaged_threshold_says_where_it_is_from():
    packaged = threshold.load_packaged_threshold()
    assert 0.6 < packaged.theta < 0.8 and packaged.eer < 0.1 and "speakers" in packaged.origin


def test_error_rates_by_hand():
    assert measure_edit_distance("kitten", "sitting") == 3
    assert measure_edit_distance("", "abc") == measure_edit_distance("abc", "") == 3
    assert (
        measure_edit_distance("abcd" * 40, "abd" * 40) == 40
        and measure_edit_distance("", "") == 0
        and measure_edit_distance("ab", "ba") == 2
    )
    assert normalise("Don’t — STOP, \tnow!") == "dont stop now"
    rows = [conversion("s", "a", "1", transcript="one two three four"), conversion("u", "b", "1", transcript="yes")]
    texts = {"s-a-1": Transcript("One, two three!", "en"), "u-b-1": Transcript("no", "en")}
    words = intelligibility.measure_errors(rows, texts, "word")
    assert estimate_figure(words).value == pytest.approx((1 + 1) / (4 + 1))
    assert estimate_figure(words).n == 2
    letters = intelligibility.measure_errors(rows[:1], texts, "character")
    assert estimate_figure(letters).value == pytest.approx(4 / 15)


def test_without_transcript_the_sources_text_is_the_reference():
    rows = [conversion("s", "a", "1")]
    texts = {"s": Transcript("a b", "en"), "s-a-1": Transcript("a c", "en")}
    assert estimate_figure(intelligibility.measure_errors(rows, texts, "word")).value == 0.5
    assert len(intelligibility.measure_errors(rows, {"s-a-1": Transcript("a", "en")}, "word")) == 0


def test_gender_pairs_split_the_figures():
    rows = [
        conversion(s, t, "f", source_gender=sg, gender=tg)
        for s, sg in (("s", "male"), ("u", "female"))
        for t, tg in (("a", "male"), ("b", "female"), ("c", "female"))
    ]
    voices = {row.converted: voice(i * 10, 220) for i, row in enumerate(rows)}
    terms = measure_terms(rows, Evidence(voices, 0.7, gender.PitchGenderJudge()))
    slices = slice_by_gender(terms)
    assert {name: part["GA"].value for name, part in slices.items()} == {"F>F": 1.0, "F>M": 0.0, "M>F": 1.0, "M>M": 0.0}
    assert estimate_figures(terms)["GA"].value == pytest.approx(4 / 6)
    assert estimate_figures(terms)["SDO"].n == 6 and slices["M>F"]["SDO"].n == 1 and "SDO" not in slices["M>M"]


def test_words_for_genders():
    assert [parse_gender(word) for word in ("F", " male ", "Woman", "", "other")] == [
        "female",
        "male",
        "female",
        "",
        "",
    ]


def test_results_of_speak_are_compared_with_numbers_in_words():
    spoken = conversion("s", "a", "1", transcript="It costs $5.", about={"text_sha256": "0"})
    told = conversion("s", "a", "1", transcript="It costs $5.")
    texts = {"s-a-1": Transcript("It costs five dollars", "en")}
    assert intelligibility.measure_errors([spoken], texts, "word").values.tolist() == [0.0]
    assert intelligibility.measure_errors([told], texts, "word").values.tolist() == [2 / 3]  # "5" is no "five"
    other = {"s-a-1": Transcript("It costs five dollars", "de")}
    assert intelligibility.measure_errors([spoken], other, "word").values.tolist() == [2 / 3]
