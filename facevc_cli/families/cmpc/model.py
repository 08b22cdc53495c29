"""The model: two heads that place face embeddings and d-vectors in one space."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.families.base import Capability
from facevc_cli.families.cmpc.config import ModelConfig


class Head(nn.Module):
    """Standardises an embedding, then maps it with two layers to a place of unit length."""

    mean: Tensor
    std: Tensor

    def __init__(self, in_dim: int, hidden_dim: int, space_dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_dim))
        self.register_buffer("std", torch.ones(in_dim))
        self.hidden, self.out = nn.Linear(in_dim, hidden_dim), nn.Linear(hidden_dim, space_dim)

    def forward(self, embedding: Tensor, noise: Tensor | None = None, kept: Tensor | None = None) -> Tensor:
        """(B, in_dim) -> (B, space_dim).

        noise: (B, in_dim) is added to the standardised embedding. kept: (B, hidden_dim) multiplies the hidden numbers.
        Only training uses both.
        """
        standard = (embedding - self.mean) / self.std
        hidden = F.gelu(self.hidden(standard if noise is None else standard + noise))
        return F.normalize(self.out(hidden if kept is None else hidden * kept), dim=-1)

    @torch.no_grad()
    def set_statistics(self, embeddings: Tensor) -> None:
        """Takes the mean and the deviation of training embeddings (n, in_dim). A constant number is not scaled."""
        std = embeddings.std(0, unbiased=False)
        self.mean.copy_(embeddings.mean(0))
        self.std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)))


class FaceVoiceEncoders(nn.Module):
    """A `MatchingModel`. It knows no pixels and no sound, only stored embeddings."""

    capabilities = frozenset({Capability.MATCHING})

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.face = Head(config.face_dim, config.hidden_dim, config.space_dim)
        self.voice = Head(config.dvector_dim, config.hidden_dim, config.space_dim)

    def place_faces(self, embedding: Tensor) -> Tensor:
        """Face embeddings (B, face_dim) -> places (B, space_dim) of unit length."""
        return self.face(embedding)

    def place_voices(self, dvector: Tensor) -> Tensor:
        """d-vectors (B, dvector_dim) -> places (B, space_dim) of unit length."""
        return self.voice(dvector)


def build_model(config: ModelConfig, where: str) -> FaceVoiceEncoders:
    """Builds the model. where: origin of the settings, for error messages; these settings cannot conflict."""
    return FaceVoiceEncoders(config)
