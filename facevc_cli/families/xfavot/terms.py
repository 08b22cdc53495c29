"""The terms of the training's losses. Each is a `Term` that can be used alone.

Terms of the generators take what a step made in one modality; a judge that they ask must be frozen meanwhile.

| term | what it asks of a conversion |
| --- | --- |
| `AdversarialTerm` | the discriminator takes it for real, in the target's domain |
| `StyleTerm` | its style is the one that was asked for |
| `DiversityTerm` | another style makes another result |
| `CycleTerm` | in the source's own style it becomes the source again |
| `ContentTerm` | a listener hears the same content |
| `PitchTerm` | its pitch moves as the source's |
| `LevelTerm` | each frame is as loud as the source's |
| `SourceTerm` | the classifier of sources hears the target, and no longer the source |
| `MatchTerm` | a person's picture and recording have one style |
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.families.xfavot.networks.readers import GENDERS, select_domain

Reader = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Made:
    """What a step made of B sources in one modality. Domains are those that its discriminator knows."""

    real: Tensor  # (B, C, H, W): the sources
    fake: Tensor  # in the styles
    other: Tensor  # in other styles of the same domains; without gradients
    cycled: Tensor  # the fakes in the sources' own styles
    style: Tensor  # (B, style_dim)
    restyled: Tensor  # the styles of the fakes
    source: Tensor  # (B,) domains
    target: Tensor
    guessed: Tensor  # (B, 2) logits of the sources' genders
    gender: Tensor  # (B,) of the sources
    log_f0: Tensor | None = None  # (B, T) speech only: ln F0 less its mean over the utterance, 0 in unvoiced frames


class Term(Protocol):
    def compute(self, made: Made) -> Tensor:
        """Returns the term, a scalar."""


class AdversarialTerm:
    def __init__(self, judge: Reader):
        """judge: gives a logit for each domain, (B, domains)."""
        self.judge = judge

    def compute(self, made: Made) -> Tensor:
        return F.softplus(-select_domain(self.judge(made.fake), made.target).float()).mean()


class StyleTerm:
    def compute(self, made: Made) -> Tensor:
        return F.l1_loss(made.restyled, made.style)


class DiversityTerm:
    """It is negative, and has no lower limit of its own. So its weight must fall over the run."""

    def compute(self, made: Made) -> Tensor:
        return -F.l1_loss(made.fake, made.other.detach())


class CycleTerm:
    def compute(self, made: Made) -> Tensor:
        return F.l1_loss(made.cycled, made.real)


class ContentTerm:
    """The distance of two contents, whose scale does not count: 1 - cosine, the mean over frames."""

    def __init__(self, hear: Reader):
        """hear: log-mels (B, 1, n_mels, T) -> contents (B, frames, size)."""
        self.hear = hear

    def compute(self, made: Made) -> Tensor:
        with torch.no_grad():
            wanted = self.hear(made.real)
        return (1 - F.cosine_similarity(self.hear(made.fake).float(), wanted.float(), dim=-1)).mean()


class PitchTerm:
    """The distance of ln F0, each less its own mean: the style decides how high a voice is, the source how it moves."""

    def __init__(self, reader: Callable[[Tensor], tuple[Tensor, Tensor]]):
        self.reader = reader

    def compute(self, made: Made) -> Tensor:
        if made.log_f0 is None:
            return made.fake.sum() * 0
        voiced = (made.log_f0 != 0).float()
        found = centre_frames(self.reader(made.fake)[0].float(), voiced)
        return average_frames((found - centre_frames(made.log_f0, voiced)).abs(), voiced)


class LevelTerm:
    """The distance of the frames' levels in ln, as far as it is above a tolerance."""

    def __init__(self, measure: Reader, tolerance: float):
        """measure: log-mels (B, 1, n_mels, T) -> levels (B, T) in ln."""
        self.measure, self.tolerance = measure, tolerance

    def compute(self, made: Made) -> Tensor:
        distance = (self.measure(made.fake) - self.measure(made.real)).abs()
        return F.relu(distance - self.tolerance).mean()


class SourceTerm:
    """The cross-entropy of the target's domain, among the domains of its kind."""

    def __init__(self, classifier: Reader):
        self.classifier = classifier

    def compute(self, made: Made) -> Tensor:
        return compute_domain_loss(self.classifier(made.fake), made.target)


class GenderTerm:
    """The encoder's guess of the gender. Only the head that guesses learns from it."""

    def compute(self, made: Made) -> Tensor:
        return F.cross_entropy(made.guessed.float(), made.gender)


class MatchTerm:
    """InfoNCE of the two styles of each person, in both directions. Others of the same person are no negatives."""

    def __init__(self, temperature: float):
        self.temperature = temperature

    def compute(self, image: Tensor, audio: Tensor, person: Tensor) -> Tensor:
        """Styles of pairs (n, style_dim), persons (n,) -> the loss; 0 if all pairs are of one person."""
        if len(person.unique()) < 2:
            return (image.sum() + audio.sum()) * 0
        logits = F.normalize(image.float(), dim=-1) @ F.normalize(audio.float(), dim=-1).T / self.temperature
        same = person[:, None] == person[None]
        same.fill_diagonal_(False)
        logits = logits.masked_fill(same, -torch.inf)
        return ((logits.logsumexp(0) + logits.logsumexp(1)) / 2 - logits.diagonal()).mean()


# what the judges learn


def compute_judge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logits (B,) of sources and of conversions, each in its own domain -> the discriminator's loss."""
    return (F.softplus(-real.float()) + F.softplus(fake.float())).mean()


def compute_smoothness(logits: Tensor, inputs: Tensor) -> Tensor:
    """R1: half the squared gradient of the logits (B,) at real inputs (B, ...), the mean over the batch."""
    (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return gradient.float().pow(2).flatten(1).sum(1).mean() / 2


def compute_domain_loss(logits: Tensor, domain: Tensor) -> Tensor:
    """Cross-entropy of domains (B,) among the logits (B, domains) of their kind: the genders, or the speakers."""
    numbers = torch.arange(logits.shape[1], device=logits.device)
    same_kind = (numbers < GENDERS)[None] == (domain < GENDERS)[:, None]
    return F.cross_entropy(logits.float().masked_fill(~same_kind, -torch.inf), domain)


def compute_pitch_loss(found: tuple[Tensor, Tensor], log_f0: Tensor, voiced: Tensor) -> Tensor:
    """What the reader of the pitch learns from. log_f0: (B, T) in ln Hz; voiced: (B, T), 1 or 0."""
    read, voicing = found
    distance = average_frames((read.float() - log_f0).abs(), voiced)
    return distance + F.binary_cross_entropy_with_logits(voicing.float(), voiced)


class LevelMeter(nn.Module):
    """Measures the level of each frame of a normalised log-mel: ln of the norm over the bands."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, log: str):
        """mean, std: (n_mels,), by which log-mels are normalised. log: the definition's, log10 or ln."""
        super().__init__()
        self.register_buffer("mean", mean[:, None].clone())
        self.register_buffer("std", std[:, None].clone())
        self.factor = math.log(10) if log == "log10" else 1.0

    def forward(self, mel: Tensor) -> Tensor:
        """(B, 1, n_mels, T) -> (B, T)."""
        logged = (mel[:, 0].float() * self.std + self.mean) * self.factor
        return (2 * logged).logsumexp(dim=1) / 2


def average_frames(x: Tensor, voiced: Tensor) -> Tensor:
    """The mean of (B, T) over the voiced frames of the batch; 0 without any."""
    return (x * voiced).sum() / voiced.sum().clamp(min=1)


def centre_frames(x: Tensor, voiced: Tensor) -> Tensor:
    """(B, T) less its mean over each row's voiced frames."""
    return x - (x * voiced).sum(1, keepdim=True) / voiced.sum(1, keepdim=True).clamp(min=1)
