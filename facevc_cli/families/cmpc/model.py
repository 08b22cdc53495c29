"""The model: two encoders that place faces and voices in one space.

An encoder is a head, which gets stored embeddings, or a residual network with a head, which gets crops or log-mels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.base import Capability
from facevc_cli.families.cmpc.augmentation import MOST, vary_pictures
from facevc_cli.families.cmpc.config import ModelConfig, TrainConfig
from facevc_cli.families.cmpc.resnet import ResNet

MOST_CHANNELS = 8192


class Encoder(nn.Module):
    """Standardises an embedding, then maps it with two layers to a place of unit length."""

    mean: Tensor
    std: Tensor

    def __init__(self, in_dim: int, hidden_dim: int, space_dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_dim))
        self.register_buffer("std", torch.ones(in_dim))
        self.hidden, self.out = nn.Linear(in_dim, hidden_dim), nn.Linear(hidden_dim, space_dim)

    def forward(self, given: Tensor, noise: Tensor | None = None, kept: Tensor | None = None) -> Tensor:
        """(B, ...) as `embed` takes it -> (B, space_dim).

        noise: (B, in_dim) is added to the standardised embedding. kept: (B, hidden_dim) multiplies the hidden numbers.
        Only training uses both.
        """
        standard = (self.embed(given) - self.mean) / self.std
        hidden = F.gelu(self.hidden(standard if noise is None else standard + noise))
        return F.normalize(self.out(hidden if kept is None else hidden * kept), dim=-1)

    def embed(self, given: Tensor) -> Tensor:
        """Stored embeddings (B, in_dim) as they are."""
        return given

    def vary(self, given: Tensor, drawn: torch.Generator, how: TrainConfig) -> Tensor:
        """Changes the inputs of a training step at random. Embeddings get noise instead."""
        return given

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Takes the mean and the deviation (in_dim,) of training inputs. A constant number is not scaled."""
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)))


class CropEncoder(Encoder):
    """Sees crops of faces with a residual network."""

    def __init__(self, config: ModelConfig):
        network = ResNet(3, config.network.width, config.network.blocks)
        super().__init__(network.out_dim, config.hidden_dim, config.space_dim)
        self.network = network

    def embed(self, given: Tensor) -> Tensor:
        """(B, H, W, 3) from 0 to 255 -> (B, in_dim)."""
        return self.network(given.permute(0, 3, 1, 2).float() * (2 / MOST) - 1)

    def vary(self, given: Tensor, drawn: torch.Generator, how: TrainConfig) -> Tensor:
        return vary_pictures(given, drawn, how.smallest_view, how.colour_jitter)


class LogMelEncoder(Encoder):
    """Hears log-mels with a residual network. Training cuts their frames at random, so that nothing else is varied."""

    mel_mean: Tensor
    mel_std: Tensor

    def __init__(self, config: ModelConfig):
        network = ResNet(1, config.network.width, config.network.blocks)
        super().__init__(network.out_dim, config.hidden_dim, config.space_dim)
        self.network = network
        self.register_buffer("mel_mean", torch.zeros(config.mel_bands))
        self.register_buffer("mel_std", torch.ones(config.mel_bands))

    def embed(self, given: Tensor) -> Tensor:
        """Raw log-mels (B, T, mel_bands) -> (B, in_dim)."""
        return self.network(((given - self.mel_mean) / self.mel_std).transpose(1, 2)[:, None])

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Takes the mean and the deviation (mel_bands,) of training log-mels."""
        self.mel_mean.copy_(mean)
        self.mel_std.copy_(std + 1e-8)


class FaceVoiceEncoders(nn.Module):
    """A `MatchingModel`. Its settings say what it takes of faces and of voices."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        crops, log_mels = config.faces == "crops", config.voices == "log-mels"
        self.capabilities = frozenset(
            {Capability.MATCHING, *[Capability.CROPS] * crops, *[Capability.LOG_MELS] * log_mels}
        )
        hidden, space = config.hidden_dim, config.space_dim
        self.face = CropEncoder(config) if crops else Encoder(config.face_dim, hidden, space)
        self.voice = LogMelEncoder(config) if log_mels else Encoder(config.dvector_dim, hidden, space)

    def place_faces(self, given: Tensor) -> Tensor:
        """Face embeddings (B, face_dim) or crops (B, H, W, 3) from 0 to 255 -> places (B, space_dim) of unit length."""
        return self.face(given)

    def place_voices(self, given: Tensor) -> Tensor:
        """d-vectors (B, dvector_dim) or raw log-mels (B, parts, T, mel_bands) -> places (B, space_dim) of unit length.

        The place of a recording is the mean over its parts.
        """
        if Capability.LOG_MELS not in self.capabilities:
            return self.voice(given)
        places = self.voice(given.flatten(0, 1)).unflatten(0, given.shape[:2])
        return F.normalize(places.mean(1), dim=-1)


def build_model(config: ModelConfig, where: str) -> FaceVoiceEncoders:
    """Builds the model. where: origin of the settings. FaceVCError as in `check_networks`."""
    check_networks(config, where)
    return FaceVoiceEncoders(config)


def check_networks(config: ModelConfig, where: str) -> None:
    """Raises FaceVCError if the residual networks would have no blocks or too many channels."""
    network = config.network
    if not network.blocks or network.width * 2 ** (len(network.blocks) - 1) > MOST_CHANNELS:
        raise FaceVCError(
            f"{where}: model.network: expected at least one group of blocks, and at most {MOST_CHANNELS} channels in "
            f"the last, found blocks {list(network.blocks)} and a width of {network.width}, which each group doubles."
        )
