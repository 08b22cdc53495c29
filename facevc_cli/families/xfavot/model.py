"""The model: a generator and a style encoder for pictures and for log-mels, and the mapping network of both."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.dsp.statistics import WHOLE, Statistics
from facevc_cli.families.base import Capability
from facevc_cli.families.xfavot.config import ModelConfig
from facevc_cli.families.xfavot.networks.blocks import Scale, initialise, list_widths
from facevc_cli.families.xfavot.networks.generators import AudioGenerator, Generator
from facevc_cli.families.xfavot.networks.mapping import MappingNetwork
from facevc_cli.families.xfavot.networks.pitch import CENTRE_LOG_F0
from facevc_cli.families.xfavot.networks.readers import GENDERS, DomainReader, StyleEncoder, Trunk

COLOURS = 3
CONTENT_PX, READ_PX = 8, 4  # sides of a picture's content, and of what its encoder's last convolution covers
# each block down halves the bands, and every second one the frames: 80 x 192 -> 5 x 48
AUDIO_SCALES: tuple[Scale, ...] = ((2, 2), (2, 1), (2, 2), (2, 1))
CONTENT_FRAMES = 4  # frames of log-mel for one of the content
SHORTEST_FRAMES = 80  # that an encoder of log-mels can read
NEUTRAL_LOG_F0_STD = 0.25


class Modality(nn.Module):
    """What there is once for pictures and once for log-mels."""

    def __init__(self, generator: Generator, style: StyleEncoder):
        super().__init__()
        self.generator, self.style = generator, style


class StyleModel(nn.Module):
    """All networks that a conversion uses. The averaged weights of a training are of these.

    It is base's `StyleModel`: a voice is a style, which a recording, the picture of a face or noise gives.
    """

    mel_mean: Tensor
    mel_std: Tensor
    capabilities = frozenset({Capability.PICTURES, Capability.STYLES})
    needs_dvector = False

    def __init__(self, config: ModelConfig):
        super().__init__()
        c = self.config = config
        image_widths = list_widths(c.image_channels, c.most_channels, count_halvings(c.image_px, CONTENT_PX))
        audio_widths = list_widths(c.audio_channels, c.most_channels, len(AUDIO_SCALES))
        self.image = Modality(
            Generator(COLOURS, image_widths, [(2, 2)] * (len(image_widths) - 1), c.style_dim),
            StyleEncoder(*make_image_trunk(c), c.style_dim),
        )
        self.audio = Modality(
            AudioGenerator(audio_widths, AUDIO_SCALES, c.style_dim, c.pitch_channels),
            StyleEncoder(*make_audio_trunk(c), c.style_dim),
        )
        self.mapping = MappingNetwork(c.latent_dim, c.mapping_dim, c.style_dim, count_domains(c), c.shared_mapping)
        self.register_buffer("mel_mean", torch.zeros(c.n_mels))
        self.register_buffer("mel_std", torch.ones(c.n_mels))
        initialise(self)

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Stores the training split's mean and deviation of each band, (n_mels,) each."""
        self.mel_mean.copy_(mean)
        self.mel_std.copy_(std)

    def normalise(self, mel: Tensor) -> Tensor:
        """Raw log-mel (..., n_mels) -> normalised."""
        return (mel - self.mel_mean) / (self.mel_std + 1e-8)

    def denormalise(self, mel: Tensor) -> Tensor:
        """Normalised log-mel (..., n_mels) -> raw."""
        return mel * (self.mel_std + 1e-8) + self.mel_mean

    def hear_content(self, mel: Tensor, statistics: Statistics = WHOLE) -> Tensor:
        """Normalised log-mel (B, n_mels, T) -> content (B, ceil(T / 4), channels and their bands)."""
        content = self.audio.generator.encode(fill_frames(mel)[:, None])
        return content.flatten(1, 2).transpose(1, 2)

    def embed_voice(self, voice: Tensor) -> Tensor:
        """Normalised log-mels (B, n_mels, T) -> styles (B, style_dim). A short recording is repeated."""
        count = -(-SHORTEST_FRAMES // max(1, voice.shape[-1]))
        return self.audio.style(voice.repeat(1, 1, count)[:, None])

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """Level crops of faces (B, side, side, 3) uint8 RGB -> styles (B, style_dim)."""
        return self.image.style(self._scale(pictures))

    @property
    def style_dim(self) -> int:
        return self.config.style_dim

    @property
    def latent_dim(self) -> int:
        return self.config.latent_dim

    def draw_styles(self, noise: Tensor, feminine: Tensor) -> Tensor:
        """Noise (B, latent_dim), registers (B,) -> styles (B, style_dim): those of the genders, mixed by the register.

        The domains of the genders begin with men, as in `training_inputs.GENDER_NUMBERS`.
        """
        man, woman = (self.mapping(noise, noise.new_full((len(noise),), i).long()) for i in range(GENDERS))
        return torch.lerp(man, woman, feminine[:, None].to(man))

    def restyle_pictures(self, pictures: Tensor, styles: Tensor) -> Tensor:
        """Level crops of faces (B, side, side, 3) uint8 RGB, styles (B, style_dim) -> (B, px, px, 3) uint8 RGB."""
        made = self.image.generator(self._scale(pictures), styles).float()
        return ((made.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)

    def _scale(self, pictures: Tensor) -> Tensor:
        return scale_pictures(pictures.permute(0, 3, 1, 2).to(self.mel_mean), self.config.image_px)

    def recall_face(self, embedding: Tensor, temperature: float | None = None) -> tuple[Tensor, Tensor | None]:
        """What `embed_pictures` made (B, style_dim) are styles already. There is no memory, and so no address."""
        if embedding.shape[-1] != self.config.style_dim:
            raise FaceVCError(
                f"this model reads the pictures of faces itself. It expected styles of {self.config.style_dim} "
                f"numbers, found the shape {tuple(embedding.shape)}. Give a picture, not an embedding of another model."
            )
        return embedding, None

    def predict_pitch(self, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Returns neutral values: the style alone says how high a voice is."""
        return voice.new_full((len(voice),), CENTRE_LOG_F0), voice.new_full((len(voice),), NEUTRAL_LOG_F0_STD)

    def decode(
        self, content: Tensor, log_f0: Tensor, voice: Tensor, level: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Content, normalised ln F0 (B, T), styles (B, style_dim) -> normalised log-mel (B, T, n_mels)."""
        bands = self.config.n_mels // 2 ** len(AUDIO_SCALES)
        content = content.transpose(1, 2).unflatten(1, (-1, bands))
        generator = cast(AudioGenerator, self.audio.generator)
        mel = generator.decode(content, voice, fill_frames(log_f0[:, None])[:, 0])
        return mel[:, 0, :, : log_f0.shape[1]].transpose(1, 2)


def scale_pictures(pictures: Tensor, px: int) -> Tensor:
    """(B, 3, side, side) from 0 to 255 -> (B, 3, px, px) from -1 to 1."""
    if pictures.shape[-1] != px:
        pictures = F.interpolate(pictures, size=(px, px), mode="area")
    return pictures / 127.5 - 1


def fill_frames(x: Tensor) -> Tensor:
    """Repeats the last frame of (B, C, T) until the frames fill the content's."""
    return F.pad(x, (0, -x.shape[-1] % CONTENT_FRAMES), mode="replicate")


def build_model(config: ModelConfig, where: str) -> StyleModel:
    """Builds the model. where: origin of the settings, for error messages."""
    px, bands = config.image_px, config.n_mels
    if px & (px - 1):
        raise FaceVCError(f"{where}: model.image_px: expected a power of two, such as 64 or 128, found {px}.")
    if MEL_DEFINITIONS[config.mel].n_mels != bands or bands % 16:
        raise FaceVCError(
            f"{where}: model.n_mels: the mel {config.mel!r} has {MEL_DEFINITIONS[config.mel].n_mels} bands, found "
            f"{bands}."
        )
    return StyleModel(config)


def make_image_trunk(config: ModelConfig) -> tuple[Trunk, int]:
    """Returns a trunk for pictures, and its width."""
    widths = list_widths(config.image_channels, config.most_channels, count_halvings(config.image_px, READ_PX))
    return Trunk(COLOURS, widths, READ_PX), widths[-1]


def make_audio_trunk(config: ModelConfig) -> tuple[Trunk, int]:
    """Returns a trunk for log-mels, and its width."""
    widths = list_widths(config.audio_channels, config.most_channels, len(AUDIO_SCALES))
    return Trunk(1, widths, config.n_mels // 2 ** len(AUDIO_SCALES)), widths[-1]


def make_image_discriminator(config: ModelConfig) -> DomainReader:
    """It knows the genders."""
    return _start(DomainReader(*make_image_trunk(config), GENDERS))


def make_audio_discriminator(config: ModelConfig) -> DomainReader:
    """It knows the genders and the speakers. The classifier of sources has the same shape."""
    return _start(DomainReader(*make_audio_trunk(config), count_domains(config)))


def _start(network: DomainReader) -> DomainReader:
    initialise(network)
    return network


def count_domains(config: ModelConfig) -> int:
    return GENDERS + config.speakers


def count_halvings(px: int, left: int) -> int:
    return (px // left).bit_length() - 1
