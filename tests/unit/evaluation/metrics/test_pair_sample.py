"""Pairs that are drawn instead of all: each with the same chance, the same in all systems, and the right mean."""

import random
from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from helpers.planted_voices import conversion

from facevc_cli.evaluation import bootstrap
from facevc_cli.evaluation.bootstrap import Terms, estimate_difference, estimate_figure
from facevc_cli.evaluation.evaluation import measure
from facevc_cli.evaluation.metrics import leakage, pair_sample, pairs, people, voice_control
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.gender import PitchGenderJudge
from facevc_cli.evaluation.metrics.pair_sample import METRIC_NAMES, describe_samples, make_key, sample_pairs
from facevc_cli.evaluation.metrics.voices import HeardVoice

DIM = 6
# sources x targets x images; the last target has three images, and one row has no source's id
ROWS = [
    *(conversion(s, t, f"{t}{f}") for s in "stu" for t in "abcd" for f in ("12" if t != "d" else "123")),
    conversion("", "a", "a1"),
]


def speak(rows):
    rng = np.random.default_rng(3)
    found = {}
    for row in rows:
        vector = rng.normal(size=DIM).astype(np.float32) + 1
        found[row.converted] = HeardVoice(vector / np.linalg.norm(vector), 100.0, 4.6)
    return found


VOICES = speak(ROWS)
ALL = {
    "same target": lambda sample: pairs.pair_same_target(ROWS, VOICES, sample),
    "different targets": lambda sample: pairs.pair_different_targets(ROWS, VOICES, sample),
    "same image": lambda sample: voice_control.measure_ssc(ROWS, VOICES, sample),
    "ring of sources": lambda sample: voice_control.measure_ssd(ROWS, VOICES, sample),
}


def list_keys(found):
    if isinstance(found, Terms):
        return [tuple(sorted(make_key(found.rows[i]) for i in owners)) for owners in found.owners]
    return [tuple(sorted((make_key(a), make_key(b)))) for _, a, b in found]


@pytest.mark.parametrize("kind", list(ALL))
def test_few_pairs_are_all_taken_and_counted(kind):
    sample = sample_pairs(ROWS, 0)[kind]
    assert sample.keys is None
    found = ALL[kind](sample)
    assert sample.total == len(found) == len(ALL[kind](None))
    # 3 sources: 3 targets of 2 images and 1 of 3; by hand: 3 * (1 + 1 + 1 + 3), 3 * (36 - 6), 9 * 3, 3 * (81 - 21)
    assert sample.total == {"same target": 18, "different targets": 90, "same image": 27, "ring of sources": 180}[kind]


@pytest.mark.parametrize("kind", list(ALL))
def test_drawn_pairs_have_equal_chances_and_the_right_values(kind):
    most = 17
    counts: Counter = Counter()
    values: dict = {}
    for seed in range(400):
        sample = sample_pairs(ROWS, seed, most)[kind]
        assert len(sample.keys) == most
        found = ALL[kind](sample)
        keys = list_keys(found)
        counts.update(keys)
        values |= dict(zip(keys, found.values if isinstance(found, Terms) else [v for v, _, _ in found], strict=True))
    whole = ALL[kind](None)
    expected = dict(
        zip(list_keys(whole), whole.values if isinstance(whole, Terms) else [v for v, _, _ in whole], strict=True)
    )
    assert values.keys() == expected.keys()
    assert all(values[key] == pytest.approx(expected[key], abs=1e-6) for key in expected)
    mean = 400 * most / len(expected)
    assert max(abs(count - mean) for count in counts.values()) < 5 * np.sqrt(mean)


def test_the_same_seed_draws_the_same_and_systems_share_the_pairs():
    assert sample_pairs(ROWS, 1, 9) == sample_pairs(list(reversed(ROWS)), 1, 9)
    assert sample_pairs(ROWS, 1, 9) != sample_pairs(ROWS, 2, 9)
    sample = sample_pairs(ROWS, 1, 9)["different targets"]
    part = [row for row in ROWS if row.source_id != "s"]  # a system that failed on one source
    shared = [pair for pair in sample.keys if all(key[0] != "s" for key in pair)]
    assert len(pairs.pair_different_targets(part, VOICES, sample)) == len(shared) < 9


def test_the_stated_error_is_that_of_the_mean():
    whole = np.array([value for value, _, _ in ALL["different targets"](None)])
    samples = [sample_pairs(ROWS, seed, 60) for seed in range(200)]
    means = [
        np.mean([value for value, _, _ in ALL["different targets"](found["different targets"])]) for found in samples
    ]
    notes = describe_samples(samples[0], lambda kind: float(whole.std()) if kind == "different targets" else None)
    assert len(notes) == 1
    assert notes[0].startswith(f"{METRIC_NAMES['different targets']} use 60 pairs drawn from 90.")
    error = float(notes[0].split("at most ")[1].split()[0])
    inside = np.mean(np.abs(np.array(means) - whole.mean()) <= error)
    assert 0.9 <= inside <= 0.99  # 95 % by definition


def test_figures_of_a_sample_come_with_a_note(monkeypatch):
    evidence = Evidence(VOICES, 0.5, PitchGenderJudge())
    assert measure(ROWS, evidence).notes == []
    whole = measure(ROWS, evidence).systems["ours"]
    monkeypatch.setattr(pair_sample, "MOST_PAIRS", 60)
    found = measure(ROWS, evidence)
    assert [note.partition(" use ")[0] for note in found.notes] == ["SDO and SDR", "SSD"]  # of 90 and 180 pairs
    figures = found.systems["ours"]
    assert (whole["SDO"].n, figures["SDO"].n, figures["SDR"].n) == (90, 60, 60)
    assert (figures["SHO"], figures["SSC"]) == (whole["SHO"], whole["SSC"])
    assert figures["SDO"].value == pytest.approx(whole["SDO"].value, abs=0.1)


def test_many_identities_have_the_same_figures_without_a_table_of_all(monkeypatch):
    rng = np.random.default_rng(0)
    rows = [conversion("s", f"p{i}", "f") for i in range(12)]
    paired = Terms.of([(rng.random(), rows[i], rows[j]) for i, j in rng.integers(12, size=(40, 2)) if i != j])
    alone = Terms.of([(rng.random(), row) for row in rows for _ in range(3)])
    other = paired.select(lambda row: row.target != "p3")

    def estimate():
        return [*(estimate_figure(t, 4, 300) for t in (paired, alone)), estimate_difference(paired, other, 4, 300)]

    before = estimate()
    monkeypatch.setattr(bootstrap, "MOST_DENSE", 3)
    monkeypatch.setattr(bootstrap, "CELLS_AT_ONCE", 100)
    for a, b in zip(before, estimate(), strict=True):
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))
        assert a.n == b.n


def test_controls_are_drawn_as_from_a_sorted_list_of_the_others():
    """The lists of earlier versions, written out, because figures must not change."""
    genders = {name: "fm"[i % 2] for i, name in enumerate("qwertyuiopasdfghjklzxcvbnm")}
    rows = [
        replace(
            conversion(f"s{name}", name, "f"),
            source=f"{name}.wav",
            source_speaker=f"v{i % 9}",
            gender=genders[name],
            source_gender=genders[name],
        )
        for i, name in enumerate(genders)
    ]
    real = {name: [] for name in genders}
    for seed in (0, 5):
        found = people.draw_control_people(rows, real, seed)
        for name, gender in genders.items():
            others = sorted(other for other in genders if genders[other] == gender and other != name)
            assert found[name] == random.Random(f"{seed} {name}".encode()).sample(others, 10)
        voices = {f"{name}.wav": None for name in genders}
        known = {row.source_id: row for row in rows}
        drawn = leakage.draw_control_sources(rows, voices, seed)
        for name, own in known.items():
            others = sorted(
                other
                for other, row in known.items()
                if row.source_gender == own.source_gender and row.speaker != own.speaker
            )
            expected = random.Random(f"{seed} {name}".encode()).sample(others, min(10, len(others)))
            assert drawn[name] == [known[other].source for other in expected]


@pytest.mark.parametrize("left_out", [[], [0], [4], [0, 1], [1, 3], [0, 4], [0, 1, 2, 3, 4]])
def test_a_sequence_without_some_places(left_out):
    found = people.Without("abcde", left_out)
    assert list(found) == [letter for i, letter in enumerate("abcde") if i not in left_out]
    assert len(found) == 5 - len(left_out)
    assert list(combinations(found, 2)) == list(combinations(list(found), 2))
