"""families/xfavot/terms.py: each term by hand. What each moves in a training: test_training.py."""

import math

import pytest
import torch
from torch.nn import functional as F

from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.families.xfavot.roles import AUDIO_TERMS, BOTH_TERMS, JOINT_TERMS, SERVES, Corpus, Head, find_corpus
from facevc_cli.families.xfavot.terms import (
    AdversarialTerm,
    ContentTerm,
    CycleTerm,
    DiversityTerm,
    GenderTerm,
    LevelMeter,
    LevelTerm,
    Made,
    MatchTerm,
    PitchTerm,
    SourceTerm,
    StyleTerm,
    compute_domain_loss,
    compute_judge_loss,
    compute_pitch_loss,
    compute_smoothness,
)


def make(**changed):
    """Two conversions of log-mels of two bands and three frames."""
    zeros, domains = torch.zeros(2, 1, 2, 3), torch.zeros(2, dtype=torch.long)
    given = {
        **dict.fromkeys(("real", "fake", "other", "cycled"), zeros),
        **dict.fromkeys(("style", "restyled", "guessed"), torch.zeros(2, 2)),
        **dict.fromkeys(("source", "target", "gender"), domains),
    }
    return Made(**{**given, **changed})


def test_distances_by_hand():
    ones = torch.ones(2, 1, 2, 3)
    assert float(CycleTerm().compute(make(cycled=2 * ones))) == 2
    assert float(StyleTerm().compute(make(restyled=torch.tensor([[1.0, 0], [0, 3]])))) == 1
    assert float(DiversityTerm().compute(make(other=3 * ones))) == -3


def test_the_discriminator_is_asked_for_the_target_s_domain():
    logits = torch.tensor([[5.0, -5.0, 0.0], [5.0, -5.0, 0.0]])
    found = AdversarialTerm(lambda x: logits).compute(make(target=torch.tensor([1, 2])))
    assert float(found) == pytest.approx((math.log(1 + math.exp(5)) + math.log(2)) / 2)


def test_content_is_a_cosine():
    heard = {0: torch.tensor([[[1.0, 0], [1, 0]]]), 1: torch.tensor([[[0.0, 2], [5, 0]]])}  # a right angle, and none
    term = ContentTerm(lambda x: heard[int(x[0, 0, 0, 0])])
    assert float(term.compute(make(fake=torch.ones(2, 1, 2, 3)))) == pytest.approx(0.5)


def test_pitch_is_compared_where_the_source_is_voiced_and_without_its_height():
    source = torch.tensor([[0.1, 0.0, -0.1], [0.0, 0.0, 0.0]])
    read = torch.tensor([[5.1, 9.0, 4.9], [1.0, 2.0, 3.0]])  # the same movement, an octave and more away
    term = PitchTerm(lambda x: (read, read))
    assert float(term.compute(make(log_f0=source))) == pytest.approx(0, abs=1e-6)
    read[0, 0] = 5.5  # mean 5.2: 0.3 and -0.3 instead of 0.1 and -0.1
    assert float(term.compute(make(log_f0=source))) == pytest.approx(0.2, abs=1e-6)
    assert float(term.compute(make(log_f0=torch.zeros(2, 3)))) == 0  # nothing is voiced


def test_levels_within_the_tolerance_are_free():
    """Two equal bands of magnitude e ** v have the norm e ** v * sqrt(2)."""
    meter = LevelMeter(torch.tensor([1.0, 1.0]), torch.tensor([2.0, 2.0]), "ln")
    found = meter(torch.full((1, 1, 2, 3), 0.5))
    assert found.shape == (1, 3) and float(found[0, 0]) == pytest.approx(2 + math.log(2) / 2)
    logged = LevelMeter(torch.zeros(2), torch.ones(2), "log10")(torch.full((1, 1, 2, 3), 1.0))
    assert float(logged[0, 0]) == pytest.approx(math.log(10) + math.log(2) / 2)
    term = LevelTerm(LevelMeter(torch.zeros(2), torch.ones(2), "ln"), 0.5)
    assert float(term.compute(make(fake=torch.full((2, 1, 2, 3), 0.4)))) == 0
    assert float(term.compute(make(fake=torch.full((2, 1, 2, 3), -0.8)))) == pytest.approx(0.3)


def test_a_domain_competes_with_its_own_kind_alone():
    logits = torch.tensor([[1.0, 1.0, 50.0, 50.0], [50.0, 50.0, 2.0, 2.0]])
    assert float(compute_domain_loss(logits, torch.tensor([0, 3]))) == pytest.approx(math.log(2))
    term = SourceTerm(lambda x: logits)
    assert float(term.compute(make(target=torch.tensor([1, 2])))) == pytest.approx(math.log(2))


def test_the_guess_of_the_gender():
    made = make(guessed=torch.tensor([[0.0, 0.0], [0.0, 1.0]]), gender=torch.tensor([1, 1]))
    assert float(GenderTerm().compute(made)) == pytest.approx((math.log(2) + math.log(1 + math.exp(-1))) / 2)


def test_match_is_infonce_without_the_same_person():
    image = torch.tensor([[1.0, 0], [0, 2.0], [3.0, 0]])
    audio = torch.tensor([[2.0, 0], [0, 1.0], [1.0, 0]])
    term = MatchTerm(0.5)
    found = term.compute(image, audio, torch.tensor([0, 1, 2]))
    logits = F.normalize(image, dim=1) @ F.normalize(audio, dim=1).T / 0.5
    numbers = torch.arange(3)
    assert float(found) == pytest.approx(
        float((F.cross_entropy(logits, numbers) + F.cross_entropy(logits.T, numbers)) / 2)
    )
    same = term.compute(image, audio, torch.tensor([0, 1, 0]))  # the third pair is the first person again
    own, other = math.exp(2), 1.0
    first, second = math.log((own + other) / own), math.log((own + 2 * other) / own)
    assert float(same) == pytest.approx((2 * first + second) / 3)
    assert float(term.compute(image[:1], audio[:1], torch.tensor([0]))) == 0


def test_what_judges_learn_by_hand():
    assert float(compute_judge_loss(torch.zeros(2), torch.zeros(2))) == pytest.approx(2 * math.log(2))
    inputs = torch.randn(2, 3, requires_grad=True)
    slope = torch.tensor([1.0, 2.0, 2.0])
    assert float(compute_smoothness(inputs @ slope, inputs).detach()) == pytest.approx(4.5)  # (1 + 4 + 4) / 2
    read, odds = torch.tensor([[5.0, 9.0]]), torch.tensor([[0.0, 0.0]])
    found = compute_pitch_loss((read, odds), torch.tensor([[5.5, 0.0]]), torch.tensor([[1.0, 0.0]]))
    assert float(found) == pytest.approx(0.5 + math.log(2))


def test_the_paper_s_table():
    everything = BOTH_TERMS | AUDIO_TERMS | JOINT_TERMS
    assert SERVES[Corpus.PAIRED].terms == everything and SERVES[Corpus.PAIRED].heads == {Head.GENDER, Head.SPEAKER}
    for corpus in (Corpus.IMAGES, Corpus.AUDIO):
        assert SERVES[corpus].heads == {Head.GENDER} and "match" not in SERVES[corpus].terms
    assert not SERVES[Corpus.IMAGES].terms & AUDIO_TERMS and SERVES[Corpus.AUDIO].terms >= AUDIO_TERMS
    assert [find_corpus(True, True), find_corpus(True, False), find_corpus(False, True)] == [
        Corpus.PAIRED,
        Corpus.AUDIO,
        Corpus.IMAGES,
    ]


# the listener


def test_log_mels_are_translated_between_definitions():
    """Noise and a buzz, each as both definitions hear it."""
    import numpy as np

    from facevc_cli.dsp.mel import compute_log_mel
    from facevc_cli.families.xfavot.content import MelTranslator

    own, other = MEL_DEFINITIONS["xfavot"], MEL_DEFINITIONS["hifigan"]
    rng = np.random.default_rng(0)

    def hear(definition):
        count = 2 * definition.rate  # the same density per Hz at both rates
        loud = 0.1 * np.sqrt(definition.rate / 24000) * (1 + np.sin(np.arange(count) / definition.rate * 9))
        wav = (rng.standard_normal(count) * loud).astype(np.float32)
        return torch.from_numpy(compute_log_mel(wav, definition)).T[None]

    given, wanted = hear(own), hear(other)
    given = given.requires_grad_(True)
    found = MelTranslator(own, other)(given)
    assert abs(found.shape[-1] - wanted.shape[-1]) <= 2
    frames = min(found.shape[-1], wanted.shape[-1])
    distance = found.detach()[0, 5:75, :frames] - wanted[0, 5:75, :frames]
    assert abs(float(distance.mean())) < 0.1 and float(distance.mean(0).abs().mean()) < 0.2
    found.sum().backward()
    assert float(given.grad.abs().sum()) > 0
