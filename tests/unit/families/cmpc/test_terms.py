"""families/cmpc/terms.py: each term alone moves what it should, and the bugs of the published code are not here."""

import math

import pytest
import torch
from torch.nn import functional as F

from facevc_cli.families.cmpc.prototypes import PrototypeBank
from facevc_cli.families.cmpc.terms import InstanceTerm, InstanceWeights, PlacedPairs, PrototypeTerm


def unit(*rows):
    return F.normalize(torch.tensor(rows, dtype=torch.float32), dim=-1)


def pairs(face, voice, person=None, face_item=None, voice_item=None):
    numbers = torch.arange(len(face))
    return PlacedPairs(
        face,
        voice,
        *(numbers if given is None else torch.tensor(given) for given in (person, face_item, voice_item)),
    )


def bank(places, *clusterings, temperature=0.5):
    """A bank with clusters made by hand: (label of each item, centres) per granularity."""
    made = PrototypeBank(places, [len(centres) for _, centres in clusterings], temperature)
    for i, (labels, centres) in enumerate(clusterings):
        own_labels, own_centres, _, filled = made.read(i)
        own_labels.copy_(torch.tensor(labels))
        own_centres.copy_(centres)
        filled.copy_(torch.bincount(torch.tensor(labels), minlength=len(centres)) > 0)
    made.clustered.fill_(True)
    return made


EAST, NORTH, WEST = unit([1, 0])[0], unit([0, 1])[0], unit([-1, 0])[0]


# the instance term


def test_instance_loss_by_hand():
    """Two pairs, cosines 1 and 0: ln(1 + e^-2) for each, at a temperature of 1/2."""
    found = InstanceTerm(0.5).compute(pairs(torch.stack([EAST, NORTH]), torch.stack([EAST, NORTH])))
    assert found.tolist() == pytest.approx([math.log(1 + math.exp(-2))] * 2, abs=1e-6)


def test_instance_term_alone_pulls_a_pair_together_and_pushes_others_apart():
    face = torch.stack([EAST, NORTH]).requires_grad_()
    InstanceTerm(0.5).compute(pairs(face, torch.stack([unit([1, 1])[0], WEST])))[0].backward()
    downhill = -face.grad[0]
    assert downhill @ unit([1, 1])[0] > 0 and downhill @ WEST < 0


def test_items_of_the_same_person_are_no_negatives():
    """The second pair is of the first one's person: neither its face nor its voice gets a gradient of the first."""
    face, voice = (torch.stack([EAST, NORTH, WEST]).requires_grad_() for _ in range(2))
    InstanceTerm(0.5).compute(pairs(face, voice, person=[0, 0, 1]))[0].backward()
    assert face.grad[1].abs().max() == 0 and voice.grad[1].abs().max() == 0
    assert face.grad[2].abs().max() > 0 and voice.grad[2].abs().max() > 0


# the prototype term


def test_prototype_loss_by_hand_is_the_mean_over_clusterings():
    """A face at the centre of its voice's cluster: ln(1 + e^-2) with two orthogonal centres, 0 with one cluster."""
    two, one = ([0, 1], torch.stack([EAST, NORTH])), ([0, 0], torch.stack([EAST]))
    places = torch.stack([EAST, NORTH])
    banks = bank(places, two, one), bank(places, two, one)
    found = PrototypeTerm(*banks).compute(pairs(places, places))
    assert found.tolist() == pytest.approx([math.log(1 + math.exp(-2)) / 2] * 2, abs=1e-6)
    same_twice = bank(places, two, two), bank(places, two, two)  # a mean does not depend on how many there are
    single = bank(places, two), bank(places, two)
    torch.testing.assert_close(
        PrototypeTerm(*same_twice).compute(pairs(places, places)), PrototypeTerm(*single).compute(pairs(places, places))
    )


def test_prototype_term_alone_moves_a_face_to_the_cluster_of_its_voice_and_no_other_item():
    face, voice = torch.stack([NORTH, EAST]).requires_grad_(), torch.stack([NORTH, WEST]).requires_grad_()
    centres = torch.stack([EAST, WEST])
    term = PrototypeTerm(bank(face.detach(), ([0, 1], centres)), bank(voice.detach(), ([0, 1], centres)))
    term.compute(pairs(face, voice))[0].backward()
    assert -face.grad[0] @ EAST > 0 and -face.grad[0] @ WEST < 0
    assert face.grad[1].abs().max() == 0 and voice.grad[1].abs().max() == 0


def test_the_positives_own_cluster_is_never_a_negative():
    """Other items of the cluster change nothing: a face at its voice's centre has the same loss beside them."""
    centres = torch.stack([EAST, NORTH])
    crowd = torch.stack([EAST, EAST, EAST, NORTH])
    crowded = bank(crowd, ([0, 0, 0, 1], centres))
    found = PrototypeTerm(crowded, crowded).compute(pairs(crowd, crowd))
    assert found[0].item() == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-6)


def test_a_cluster_without_items_does_not_count():
    places, centres = torch.stack([EAST, NORTH, NORTH]), torch.stack([EAST, NORTH, unit([1, 0.1])[0]])
    with_empty = bank(places, ([0, 1, 1], centres))
    without = bank(places, ([0, 1, 1], centres[:2]))
    torch.testing.assert_close(
        PrototypeTerm(with_empty, with_empty).compute(pairs(places, places)),
        PrototypeTerm(without, without).compute(pairs(places, places)),
    )


# instance weights


def test_weights_alone_make_pairs_that_fit_worse_than_their_clusters_count_less():
    """Differences +.5 and -.5 of mean 0 and deviation .5: cdf(1) and cdf(-1), divided by their mean of 1/2."""
    face = torch.stack([EAST, EAST])
    voice = torch.stack([EAST, unit([0.5, math.sqrt(0.75)])[0]])
    half = unit([0.5, math.sqrt(0.75)])[0]  # 60 degrees from EAST
    faces = bank(face, ([0, 1], torch.stack([half, voice[1]])))  # to the voices: cosines .5 and 1
    voices = bank(voice, ([0, 1], torch.stack([half, EAST])))  # to the faces: cosines .5 and 1
    found = InstanceWeights(faces, voices).compute(pairs(face.requires_grad_(), voice))
    cdf = 0.5 * (1 + math.erf(1 / math.sqrt(2)))
    assert found.tolist() == pytest.approx([2 * cdf, 2 * (1 - cdf)], abs=1e-5) and not found.requires_grad
    weaker = InstanceWeights(faces, voices, strength=0.5).compute(pairs(face, voice))
    assert weaker.tolist() == pytest.approx([0.5 + cdf, 1.5 - cdf], abs=1e-5)


def test_pairs_that_fit_alike_count_alike():
    places = torch.stack([EAST, NORTH])
    one = bank(places, ([0, 1], places))
    assert InstanceWeights(one, one).compute(pairs(places, places)).tolist() == [1.0, 1.0]
