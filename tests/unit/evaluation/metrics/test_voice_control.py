"""UniSpeaker's figures against values worked out by hand: voices are angles in a plane."""

from math import cos, log, radians

import numpy as np
import pytest
from helpers.planted_voices import conversion

from facevc_cli.evaluation.bootstrap import estimate_figure
from facevc_cli.evaluation.figures import measure_terms
from facevc_cli.evaluation.metrics import voice_control
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.gender import PitchGenderJudge
from facevc_cli.evaluation.metrics.voices import HeardVoice

DEGREES = {"s1-a-a1": 0, "s2-a-a1": 60, "s1-b-b1": 90, "s2-b-b1": 90, "real": 30}


def voice(degrees: float) -> HeardVoice:
    angle = radians(degrees)
    return HeardVoice(np.array([cos(angle), np.sin(angle)], np.float32), 100.0, log(100.0))


@pytest.fixture
def grid():
    """Two sources to one image of each of two people."""
    rows = [conversion(s, t, t + "1", references=("real",) if t == "a" else ()) for s in ("s1", "s2") for t in "ab"]
    return rows, {name: voice(degrees) for name, degrees in DEGREES.items()}


def test_one_source_gives_neither(grid):
    rows, voices = grid
    alone = [row for row in rows if row.source_id == "s1"]
    assert len(voice_control.measure_ssc(alone, voices)) == len(voice_control.measure_ssd(alone, voices)) == 0


def test_a_source_without_an_id_and_a_second_row_of_one_do_not_count(grid):
    rows, voices = grid
    more = [*rows, conversion("s1", "a", "a1"), conversion("", "a", "a1")]
    voices |= {"-a-a1": voice(0)}
    assert len(voice_control.measure_ssc(more, voices)) == 2


def test_ssc_by_hand(grid):
    terms = voice_control.measure_ssc(*grid)
    assert sorted(terms.values) == pytest.approx([cos(radians(60)), 1.0])  # a: 0 and 60 degrees; b: 90 and 90
    assert estimate_figure(terms).value == pytest.approx(0.75)


def test_ssc_does_not_compare_two_images():
    rows = [conversion("s1", "a", "a1"), conversion("s2", "a", "a2")]
    assert len(voice_control.measure_ssc(rows, {row.converted: voice(0) for row in rows})) == 0


def test_ssd_by_hand(grid):
    terms = voice_control.measure_ssd(*grid)
    # s1-a (0) with s2-b (90), s1-b (90) with s2-a (60)
    assert sorted(terms.values) == pytest.approx([0, cos(radians(30))], abs=1e-6)
    assert all(terms.rows[a].source_id != terms.rows[b].source_id for a, b in terms.owners)


def test_in_a_ring_of_three_each_source_meets_the_next():
    rows = [conversion(s, t, t) for s in ("s3", "s1", "s2") for t in "ab"]
    terms = voice_control.measure_ssd(rows, {row.converted: voice(0) for row in rows})
    met = {(terms.rows[a].source_id, terms.rows[b].source_id) for a, b in terms.owners}
    assert met == {("s1", "s2"), ("s2", "s3"), ("s3", "s1")} and len(terms) == 6


def test_sst_and_every_judge_of_its_own(grid):
    rows, voices = grid
    other = {name: voice(0) for name in voices}  # a judge to whom all voices are one
    evidence = Evidence(voices, None, PitchGenderJudge(), everyone=rows, independent={"campplus": other})
    found = {name: estimate_figure(terms).value for name, terms in measure_terms(rows, evidence).items()}
    assert found["SST"] == found["consistency"] == pytest.approx(cos(radians(30)))  # 0 and 60 degrees against 30
    assert found["campplus SST"] == found["campplus SSC"] == found["campplus SSD"] == pytest.approx(1.0)
