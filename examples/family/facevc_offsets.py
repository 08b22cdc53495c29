"""The smallest model family: a voice is an offset of each log-mel band.

It shows every part that a family has; it does not sound like anybody.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from facevc_cli.core.errors import UsageError
from facevc_cli.corpus.crops import CropBatches, CropReader, Voices, join_voices
from facevc_cli.corpus.pairing import pair_faces
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.statistics import WHOLE
from facevc_cli.families.base import ConversionConfig, Family
from facevc_cli.training.config import RUN_LIMITS, RunConfig
from facevc_cli.training.task import compute_learning_rate, set_learning_rate

# --- settings: a frozen dataclass with a group for the model, for conversion, and for each training


@dataclass(frozen=True)
class OffsetsModelConfig:
    n_mels: int = 80
    dvector_dim: int = 256
    face_dim: int = 162


@dataclass(frozen=True)
class OffsetsConfig:
    family: ClassVar[str] = "offsets"
    name: str = "offsets"
    model: OffsetsModelConfig = field(default_factory=OffsetsModelConfig)
    conversion: ConversionConfig = field(default_factory=ConversionConfig)
    pretrain: RunConfig = field(default_factory=RunConfig)
    train: RunConfig = field(default_factory=RunConfig)


PRESET = """
pretrain: {steps: 200, batch_size: 8, crop_frames: 64, checkpoint_every: 100, validate_every: 100}
train: {steps: 200, batch_size: 8, crop_frames: 16, checkpoint_every: 100, validate_every: 100}
"""


# --- the model: what families/base.py asks of a ConversionModel


class Offsets(nn.Module):
    capabilities = frozenset()  # no memory: no mixes and cards; no pitch of its own
    needs_dvector = True

    def __init__(self, config):
        super().__init__()
        self.offset = nn.Linear(config.dvector_dim, config.n_mels)
        self.face = nn.Linear(config.face_dim, config.dvector_dim)
        self.register_buffer("mean", torch.zeros(config.n_mels))
        self.register_buffer("std", torch.ones(config.n_mels))

    def normalise(self, mel):
        return (mel - self.mean) / self.std

    def denormalise(self, mel):
        return mel * self.std + self.mean

    def hear_content(self, mel, statistics=WHOLE):
        """(B, n_mels, T) -> (B, T, n_mels): how each band moves about its mean."""
        return (mel - statistics.gather("content", mel, axis=-1).mean(-1, keepdim=True)).transpose(1, 2)

    def embed_voice(self, voice):
        return voice

    def recall_face(self, embedding, temperature=None):
        return F.normalize(self.face(embedding), dim=-1), None

    def predict_pitch(self, voice):
        return voice.new_full((len(voice),), 5.0), voice.new_full((len(voice),), 0.2)

    def decode(self, content, log_f0, voice, level=None):
        return content + self.offset(voice)[:, None]


def build(config, where):
    return Offsets(config)


# --- the trainings: each reads its inputs, then makes a task that the loop steps through


class OffsetsTask:
    """Steps, validation and the optimiser of either training; `loss` is what differs."""

    def __init__(self, model, run, moving, loss):
        self.model, self.run, self.loss = model, run, loss
        self.auxiliary = nn.ModuleDict()  # modules that train beside the model and are not part of it
        self.optimisers = {"model": torch.optim.Adam(moving.parameters(), run.optimiser.learning_rate)}

    def prepare(self, accelerator):
        self.accelerator = accelerator
        self.model.to(accelerator.device)
        self.optimisers = {"model": accelerator.prepare(self.optimisers["model"])}

    def step(self, batch, step):
        set_learning_rate(self.optimisers["model"], compute_learning_rate(self.run.optimiser, step, self.run.steps))
        loss = self.loss(self.model, batch)
        self.optimisers["model"].zero_grad()
        self.accelerator.backward(loss)
        self.optimisers["model"].step()
        return {"loss": loss.detach()}

    @torch.no_grad()
    def validate(self, batch, step):
        return {"loss": self.loss(self.model, batch)}


class Pretraining:
    """Learns the offsets: a log-mel out of its own movement and its speaker's d-vector."""

    validation = None

    def __init__(self, request):
        self.request, self.run = request, request.config.pretrain
        refuse_missing(request.features, request.voices)
        self.frontend = Frontend.from_settings(request.features.settings, str(request.features.path))
        self.reader = CropReader(request.features, self.run.crop_frames, teacher=False)
        voices = join_voices(request.features, request.voices, "train")
        self.training = CropBatches(self.reader, voices, self.run.batch_size, request.seed, rank=request.rank)

    def make_task(self, resume):
        model = Offsets(self.request.config.model)
        model.mean.copy_(torch.from_numpy(self.reader.mean))
        model.std.copy_(torch.from_numpy(self.reader.std))
        return OffsetsTask(model, self.run, model.offset, reconstruction_loss)


def refuse_missing(*inputs):
    if any(found is None for found in inputs):
        raise UsageError(
            "The family offsets trains on features.h5 and voices.h5; 'train' also needs --faces and --init."
        )


def reconstruction_loss(model, batch):
    content = model.hear_content(batch["mel"].transpose(1, 2))
    return F.l1_loss(model.decode(content, batch["lf0"], batch["dvector"]), batch["mel"])


class FaceTraining:
    """Learns which d-vector fits a face; the offsets stay as they were pretrained."""

    validation = None

    def __init__(self, request):
        refuse_missing(request.features, request.voices, request.faces, request.init)
        self.request, self.run, self.frontend = request, request.config.train, request.init.frontend
        found = join_voices(request.features, request.voices, "train")
        pairs = pair_faces(request.features, found.rows, request.faces, None)
        keep = np.array([row in pairs for row in found.rows.tolist()])
        voices = Voices(found.rows[keep], found.dvectors[keep], found.speakers[keep])
        faces = [pairs[row] for row in voices.rows.tolist()]
        embeddings = request.faces.read_vectors("embedding").astype(np.float32)
        reader = CropReader(request.features, self.run.crop_frames, teacher=False)
        self.training = CropBatches(
            reader,
            voices,
            self.run.batch_size,
            request.seed,
            faces=faces,
            face_embeddings=embeddings,
            rank=request.rank,
        )

    def make_task(self, resume):
        model = self.request.init.model.train()
        return OffsetsTask(model, self.run, model.face, face_loss)


def face_loss(model, batch):
    return F.mse_loss(model.recall_face(batch["face"])[0], batch["dvector"])


FAMILY = Family(
    name="offsets",
    config=OffsetsConfig,
    build=build,
    trainings={"pretrain": Pretraining, "train": FaceTraining},
    presets={"offsets": PRESET},
    limits=RUN_LIMITS,
)
