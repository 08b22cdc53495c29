"""evaluation/bootstrap.py: intervals that cover the truth, and differences by hand."""

import numpy as np
import pytest
from helpers.planted_voices import conversion

from facevc_cli.evaluation.bootstrap import Terms, estimate_difference, estimate_figure


def test_bootstrap_interval_covers_the_truth():
    """Identities with their own mean, several terms each: naive intervals over terms would cover far less."""
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        means = rng.normal(0.0, 1.0, 24)
        terms = Terms.of(
            [
                (mean + rng.normal(0, 0.2), conversion("s", str(i), "f"))
                for i, mean in enumerate(means)
                for _ in range(6)
            ]
        )
        found = estimate_figure(terms, seed=trial, draws=400)
        covered += found.low <= 0.0 <= found.high
    assert 0.88 <= covered / 200 <= 0.98


def test_bootstrap_over_pairs_covers_the_truth():
    """Pairs of identities share a person's effect: the truth of (a_i + a_j) / 2 is 0."""
    rng = np.random.default_rng(2)
    rows = [conversion("s", str(i), "f") for i in range(20)]
    covered = 0
    for trial in range(150):
        effect = rng.normal(0, 1, 20)
        terms = Terms.of([((effect[i] + effect[j]) / 2, rows[i], rows[j]) for i in range(20) for j in range(i)])
        found = estimate_figure(terms, seed=trial, draws=400)
        covered += found.low <= 0.0 <= found.high
    assert 0.87 <= covered / 150 <= 0.99


def test_difference_by_hand():
    rows = [conversion(s, t, f"{t}1") for s in "su" for t in "abc"]
    ours = Terms.of([(float(i), row) for i, row in enumerate(rows)])
    same = estimate_difference(ours, Terms.of([(i - 0.5, row) for i, row in enumerate(rows)]), draws=200)
    assert same.n == 6 and [same.value, same.low, same.high] == pytest.approx(
        [0.5] * 3
    )  # a steady lead has no spread, however much the faces differ
    part = estimate_difference(
        ours, Terms.of([(10.0, rows[1]), (20.0, rows[3]), (7.0, conversion("s", "z", "z1"))]), draws=200
    )
    assert (part.value, part.n) == ((1 + 3) / 2 - 15, 2)
    assert (
        estimate_difference(ours, Terms.of([(1.0, conversion("elsewhere", "a", "a1"))])) is None
        and estimate_difference(ours, Terms.of([])) is None
    )


def test_difference_weighs_terms_and_knows_pairs_in_either_order():
    a, b, c = (conversion("s", t, f"{t}1") for t in "abc")
    found = estimate_difference(Terms.of([(1.0, a), (0.0, b)], [3, 1]), Terms.of([(0.0, b), (0.0, a)], [1, 3]))
    assert found.value == 0.75
    pairwise = estimate_difference(
        Terms.of([(1.0, a, b), (0.5, a, c), (0.9, b, c)]), Terms.of([(0.2, b, a), (0.1, c, a), (0.5, c, b)])
    )
    assert (
        pairwise.n == 3
        and pairwise.value == pytest.approx((0.8 + 0.4 + 0.4) / 3)
        and 0.4 <= pairwise.low <= pairwise.high <= 0.8 + 1e-9
    )


def test_difference_falls_back_on_targets_where_faces_have_other_names():
    ours = Terms.of(
        [
            (0.0, conversion("s", "a", "a1.jpg")),
            (1.0, conversion("s", "a", "a2.jpg")),
            (3.0, conversion("s", "b", "b1.jpg")),
        ]
    )
    theirs = Terms.of([(0.0, conversion("s", "a", "x")), (1.0, conversion("s", "b", "y"))])
    found = estimate_difference(ours, theirs)
    assert (found.value, found.n) == (
        (0.5 * 2 + 3) / 3 - 0.5,
        2,
    )  # the two terms of one target are one of double weight


def test_paired_interval_is_narrower_than_the_figures_and_covers_the_truth():
    """Faces differ far more than systems do: what they share drops out of the difference, whose truth is 0.2."""
    rng = np.random.default_rng(5)
    rows, covered = [conversion("s", str(i), "f") for i in range(24)], 0
    for trial in range(200):
        face = rng.normal(0, 1, 24)
        ours, theirs = (
            Terms.of([(f + lead + rng.normal(0, 0.1), r) for f, r in zip(face, rows, strict=True)])
            for lead in (0.2, 0.0)
        )
        found, alone = estimate_difference(ours, theirs, trial, 400), estimate_figure(ours, trial, 400)
        covered += found.low <= 0.2 <= found.high
        assert found.high - found.low < (alone.high - alone.low) / 3
    assert 0.88 <= covered / 200 <= 0.98


def test_no_interval_where_none_can_be_and_no_figure_without_terms():
    one = estimate_figure(Terms.of([(1.0, conversion("s", "a", "1")), (0.0, conversion("s", "a", "2"))]))
    assert (one.value, one.n, one.low, one.high) == (0.5, 2, None, None)
    across = estimate_figure(Terms.of([(1.0, conversion("s", "a", "1"), conversion("s", "b", "2"))]))
    assert across.low is None
    assert estimate_figure(Terms.of([])) is None
    same = estimate_figure(Terms.of([(0.5, conversion("s", t, "1")) for t in "abc"]), seed=4)
    assert (same.low, same.high) == (0.5, 0.5)
