"""The three terms of CMPC. Each is a `Term` that can be used alone.

- `InstanceTerm`: a face is nearer to its own voice than to other people's voices, and the other way round (InfoNCE).
- `PrototypeTerm`: a face is nearer to the cluster of its own voice than to other clusters of voices, and the other way.
- `InstanceWeights`: pairs that fit worse than their clusters count less in the instance term.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from facevc_cli.families.cmpc.prototypes import PrototypeBank


@dataclass(frozen=True)
class PlacedPairs:
    """B pairs of a face and a voice. Places are of unit length; items are rows of the memory banks."""

    face: Tensor  # (B, D)
    voice: Tensor  # (B, D)
    person: Tensor  # (B,) integers; equal ones are no negatives of each other
    face_item: Tensor  # (B,)
    voice_item: Tensor  # (B,)


class Term(Protocol):
    def compute(self, pairs: PlacedPairs) -> Tensor:
        """Returns a number for each pair: (B,)."""


class InstanceTerm:
    """InfoNCE in both directions. Other pairs of the same person are left out, because they are no negatives."""

    def __init__(self, temperature: float):
        self.temperature = temperature

    def compute(self, pairs: PlacedPairs) -> Tensor:
        """Returns the loss of each pair (B,): the mean of both directions."""
        logits = pairs.face @ pairs.voice.T / self.temperature
        same = pairs.person[:, None] == pairs.person[None]
        same.fill_diagonal_(False)
        logits = logits.masked_fill(same, -torch.inf)
        own = logits.diagonal()
        return (logits.logsumexp(1) + logits.logsumexp(0)) / 2 - own


class PrototypeTerm:
    """Cross-entropy over the prototypes of the other modality: the mean over the granularities.

    Every cluster counts once. So the positive's own cluster is never a negative.
    """

    def __init__(self, faces: PrototypeBank, voices: PrototypeBank):
        self.faces, self.voices = faces, voices

    def compute(self, pairs: PlacedPairs) -> Tensor:
        """Returns the loss of each pair (B,): the mean of both directions."""
        to_voices = _compare_with_prototypes(pairs.face, pairs.voice_item, self.voices)
        to_faces = _compare_with_prototypes(pairs.voice, pairs.face_item, self.faces)
        return (to_voices + to_faces) / 2


class InstanceWeights:
    """How much each pair counts: the Gaussian cdf of how much better the pair fits than its clusters do.

    strength: 0 gives 1 to every pair, 1 gives the full weights. The mean is 1, so that the weights do not change the
    learning rate. No gradient flows through them.
    """

    def __init__(self, faces: PrototypeBank, voices: PrototypeBank, strength: float = 1.0):
        self.faces, self.voices, self.strength = faces, voices, strength

    @torch.no_grad()
    def compute(self, pairs: PlacedPairs) -> Tensor:
        """Returns the weights (B,)."""
        instance = (pairs.face * pairs.voice).sum(-1)
        to_voices = _average_own_cosines(pairs.face, pairs.voice_item, self.voices)
        to_faces = _average_own_cosines(pairs.voice, pairs.face_item, self.faces)
        better = instance - (to_voices + to_faces) / 2
        deviation = better.std(unbiased=False)
        if not deviation > 1e-6:
            return torch.ones_like(better)
        found = torch.special.ndtr((better - better.mean()) / deviation)
        return 1 + self.strength * (found / found.mean() - 1)


def _compare_with_prototypes(places: Tensor, partners: Tensor, bank: PrototypeBank) -> Tensor:
    """places: (B, D). partners: (B,) their partners' items in the bank. Returns the mean loss of each (B,)."""
    losses = []
    for i in range(len(bank.counts)):
        labels, centres, temperatures, filled = bank.read(i)
        logits = (places @ centres.T / temperatures).masked_fill(~filled, -torch.inf)
        losses.append(F.cross_entropy(logits, labels[partners], reduction="none"))
    return torch.stack(losses).mean(0)


def _average_own_cosines(places: Tensor, partners: Tensor, bank: PrototypeBank) -> Tensor:
    """Returns the mean cosine of each place (B, D) with the prototypes of its partner's clusters: (B,)."""
    cosines = []
    for i in range(len(bank.counts)):
        labels, centres, _, _ = bank.read(i)
        cosines.append((places * centres[labels[partners]]).sum(-1))
    return torch.stack(cosines).mean(0)
