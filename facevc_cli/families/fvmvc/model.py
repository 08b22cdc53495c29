"""Assembles the model: content encoder, voice and face encoders, memory, pitch and decoder, chosen by the
configuration.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.graphs import Graph
from facevc_cli.dsp.mel import MEL_DEFINITIONS, MelDefinition
from facevc_cli.dsp.statistics import WHOLE, Statistics
from facevc_cli.families.base import Capability
from facevc_cli.families.fvmvc.causal_content import CausalContentEncoder, CausalContentStream
from facevc_cli.families.fvmvc.config import ModelConfig
from facevc_cli.families.fvmvc.content_encoder import ContentOutput, VQContentEncoder
from facevc_cli.families.fvmvc.convolutional_decoder import ConvolutionalDecoder, RecordingTokens
from facevc_cli.families.fvmvc.decoder import RecurrentDecoder
from facevc_cli.families.fvmvc.distilled_content import DistilledContentEncoder
from facevc_cli.families.fvmvc.face_encoder import FaceEncoder
from facevc_cli.families.fvmvc.graphs import can_be_exported, make_graphs
from facevc_cli.families.fvmvc.memory import VoiceMemory
from facevc_cli.families.fvmvc.pitch import CENTRE_LOG_F0, HarmonicCombPitch, NormalisedPitch, PitchLevel
from facevc_cli.families.fvmvc.speaker_encoder import DVectorEncoder, MelSpeakerEncoder

NEUTRAL_LOG_F0_STD = 0.2


def build_model(config: ModelConfig, where: str) -> "FaceVC":
    """Builds the module of a configuration.

    FaceVCError if its settings contradict each other or need too much memory.
    """
    try:
        return FaceVC(config)
    except (ValueError, TypeError, ArithmeticError, AssertionError, RuntimeError, MemoryError) as error:
        said = " ".join(str(error).split())[:200]
        raise FaceVCError(
            f"{where}: no model can be built from these settings ({said or type(error).__name__}). Correct its sizes."
        ) from error


class FaceVC(nn.Module):
    """The whole network, from normalised log-mel to normalised log-mel.

    `mel_mean` and `mel_std` normalise log-mels. They are statistics of the training split and are saved with the
    weights.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = c = config
        definition = _find_definition(c)
        self.content_encoder = _CONTENT_ENCODERS[c.content_encoder.kind](c, definition)
        self.stream_encoder = _build_stream_encoder(c)
        self.speaker_encoder = _SPEAKER_ENCODERS[c.speaker_encoder](c)
        self.face_encoder = FaceEncoder(c.face_dim, c.voice_dim)
        self.memory = VoiceMemory(c.voice_dim, c.slots, c.temperature, unit_recall=c.unit_recall)
        self.pitch = pitch = _PITCH_INPUTS[c.pitch](definition)
        self.decoder = _DECODERS[c.decoder.kind](c, pitch.dim)
        self.pitch_level = PitchLevel(c.voice_dim) if c.pitch == "comb" else None
        self.register_buffer("mel_mean", torch.zeros(c.n_mels))
        self.register_buffer("mel_std", torch.ones(c.n_mels))
        self.register_buffer("face_mean", torch.zeros(c.face_dim))
        self.register_buffer("face_std", torch.ones(c.face_dim))
        self.mel_mean: Tensor
        self.mel_std: Tensor
        self.face_mean: Tensor
        self.face_std: Tensor

    @property
    def capabilities(self) -> frozenset[Capability]:
        with_pitch, with_recording = self.pitch_level is not None, self.config.decoder.recording_tokens > 0
        found = {
            Capability.MEMORY: True,
            Capability.PITCH: with_pitch,
            Capability.RECORDING: with_recording,
            Capability.STREAM: self.stream_encoder is not None,
            Capability.DVECTOR: self.config.speaker_encoder == "identity",
            Capability.EXPORT: can_be_exported(self.config.content_encoder.kind, self.config.decoder.kind),
        }
        return frozenset(capability for capability, has in found.items() if has)

    @property
    def needs_dvector(self) -> bool:
        return self.config.speaker_encoder != "mel"

    @property
    def temperature(self) -> float:
        return self.memory.temperature

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Stores the training split's mean and standard deviation per band, (n_mels,) each."""
        for name, values in (("mel_mean", mean), ("mel_std", std)):
            for module in (self, self.content_encoder):
                if name in dict(module.named_buffers(recurse=False)):
                    module.get_buffer(name).copy_(values)

    def set_face_statistics(self, embeddings: Tensor) -> None:
        """Standardises face embeddings by the mean and deviation of `embeddings` (n, face_dim) from now on.

        The paper does not do this.
        """
        self.face_mean.copy_(embeddings.mean(0))
        std = embeddings.std(0, unbiased=False)
        self.face_std.copy_(torch.where(std > 1e-6, std, 1.0))  # a single training face has no deviation

    def normalise(self, mel: Tensor) -> Tensor:
        """Raw log-mel (..., n_mels) -> normalised."""
        return (mel - self.mel_mean) / (self.mel_std + 1e-8)

    def denormalise(self, mel: Tensor) -> Tensor:
        """Normalised log-mel (..., n_mels) -> raw."""
        return mel * (self.mel_std + 1e-8) + self.mel_mean

    def encode_content(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised log-mel (B, n_mels, T) -> z (B, ceil(T / 2), z_dim), context and code indices of as
        many frames.
        """
        content: ContentOutput = self.content_encoder(mel)
        return content.z, content.context, content.indices

    def hear_content(self, mel: Tensor, statistics: Statistics = WHOLE) -> Tensor:
        """mel: (B, n_mels, T) normalised -> z (B, ceil(T / 2), z_dim)."""
        content: ContentOutput = self.content_encoder(mel, statistics)
        return content.z

    def open_content_stream(self) -> CausalContentStream:
        """Opens the content of one stream."""
        return CausalContentStream(self.get_stream_encoder())

    def get_stream_encoder(self) -> CausalContentEncoder:
        if self.stream_encoder is None:
            raise FaceVCError("this model has no causal content encoder. Train one with 'facevc distill'.")
        return self.stream_encoder

    def embed_voice(self, voice: Tensor) -> Tensor:
        """d-vector (B, 256), or normalised mel (B, n_mels, T) if the speaker encoder is `mel`, -> voice embedding (B,
        voice_dim).
        """
        return self.speaker_encoder(voice)

    def embed_face(self, embedding: Tensor) -> Tensor:
        """Face embedding (B, face_dim) from the face network -> (B, voice_dim), of unit length."""
        if embedding.ndim != 2 or embedding.shape[1] != self.config.face_dim:
            raise FaceVCError(
                f"this model takes face embeddings of {self.config.face_dim} numbers, found the shape "
                f"{tuple(embedding.shape)}. Extract the faces with the embedder that the model was trained with."
            )
        return self.face_encoder((embedding - self.face_mean) / self.face_std)

    def recall_face(self, embedding: Tensor, temperature: float | None = None) -> tuple[Tensor, Tensor]:
        """Face embeddings (B, face_dim) -> recalled voice embeddings (B, voice_dim) and their addresses (B, slots).

        Addresses sum to 1.
        """
        log_address = self.memory.address(self.embed_face(embedding), "face", temperature)
        return self.recall_address(log_address), log_address.exp()

    def mix_faces(self, embeddings: Tensor, weights: Tensor, temperature: float | None = None) -> tuple[Tensor, Tensor]:
        """Recalls one voice at the weighted mean of the faces' ADDRESSES.

        Face embeddings (K, face_dim), weights (K,) -> voice embedding (1, voice_dim), address (1, slots).
        """
        log_addresses = self.memory.address(self.embed_face(embeddings), "face", temperature)
        mixed = self.memory.mix(log_addresses, weights)
        return self.recall_address(mixed), mixed.exp()

    def recall_address(self, log_address: Tensor) -> Tensor:
        """Log-addresses (B, slots) -> recalled voices (B, voice_dim).

        `face_contrast` multiplies their distance from the mean value.
        """
        recalled = self.memory.recall(log_address)
        if self.config.face_contrast == 1:
            return recalled
        centre = self.memory.values.mean(0)
        away = centre + self.config.face_contrast * (recalled - centre)
        return F.normalize(away, dim=-1) if self.config.unit_recall else away

    def get_slot_values(self) -> Tensor:
        """The memory's voices (slots, voice_dim)."""
        return self.memory.values.detach()

    def address_voice(self, voice: Tensor, temperature: float | None = None) -> Tensor:
        """Voice embeddings (B, voice_dim) -> log-addresses (B, slots)."""
        return self.memory.address(voice, "voice", temperature)

    def mix_addresses(self, log_addresses: Tensor, weights: Tensor) -> Tensor:
        """Same as VoiceMemory.mix."""
        return self.memory.mix(log_addresses, weights)

    def recall_voice(self, voice: Tensor, temperature: float | None = None) -> tuple[Tensor, Tensor]:
        """Input of `embed_voice` -> voices that the memory recalls (B, voice_dim), and their addresses (B, slots)."""
        log_address = self.memory.address(self.embed_voice(voice), "voice", temperature)
        return self.memory.recall(log_address), log_address.exp()

    def predict_pitch(self, speaker: Tensor) -> tuple[Tensor, Tensor]:
        """Voice embeddings (B, voice_dim) -> mean and deviation (B,) of their ln F0 (Hz).

        Neutral values if the model predicts none.
        """
        if self.pitch_level is None:
            return speaker.new_full((len(speaker),), CENTRE_LOG_F0), speaker.new_full(
                (len(speaker),), NEUTRAL_LOG_F0_STD
            )
        return self.pitch_level(speaker)

    def predict_pitch_at(self, log_address: Tensor) -> tuple[Tensor, Tensor]:
        """`predict_pitch` of the voices recalled at log-addresses (B, slots), without `face_contrast`.

        Averaged voices are too similar to each other, but their pitch is right.
        """
        return self.predict_pitch(self.memory.recall(log_address))

    def describe_recording(self, mel: Tensor) -> Tensor:
        """Normalised log-mels (B, n_mels, T) of recordings -> their tokens (B, count, dim)."""
        return self._get_recording_tokens()(mel)

    def describe_no_recording(self) -> Tensor:
        """Returns the tokens (1, count, dim) of a voice that comes from no recording."""
        return self._get_recording_tokens().none[None]

    def _get_recording_tokens(self) -> RecordingTokens:
        tokens = getattr(self.decoder, "recording", None)
        if tokens is None:
            raise FaceVCError("this model takes nothing from a recording but its voice embedding.")
        return tokens

    def make_graphs(self) -> list[Graph]:
        """Makes the graphs `content` and `decoder` for other programs."""
        return make_graphs(self)

    def decode(
        self,
        z: Tensor,
        lf0: Tensor,
        speaker: Tensor,
        level: tuple[Tensor, Tensor] | None = None,
        recording: Tensor | None = None,
    ) -> Tensor:
        """z (B, ceil(T / 2), z_dim), normalised ln F0 (B, T), voices (B, voice_dim) -> normalised log-mel (B, T,
        n_mels).

        level: mean and deviation (B,) of ln F0 (Hz), which a comb needs. None: they are predicted from the voice
        embedding. recording: what `describe_recording` returned for each voice, with recording tokens only.
        """
        return self.decode_both(z, lf0, speaker, level, recording)[1]

    def decode_both(
        self,
        z: Tensor,
        lf0: Tensor,
        speaker: Tensor,
        level: tuple[Tensor, Tensor] | None = None,
        recording: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`decode` before and after the postnet. Without a postnet both are the same."""
        mean, std = level if level is not None else self.predict_pitch(speaker)
        further = () if recording is None else (recording,)
        return self.decoder(z, self.pitch(lf0, mean, std), speaker, *further)


def _find_definition(config: ModelConfig) -> MelDefinition:
    definition = MEL_DEFINITIONS[config.mel]
    if definition.n_mels != config.n_mels:
        raise FaceVCError(f"model.n_mels: the mel {config.mel!r} has {definition.n_mels} bands, found {config.n_mels}.")
    return definition


def _build_vq(c: ModelConfig, _: MelDefinition) -> nn.Module:
    e = c.content_encoder
    return VQContentEncoder(
        c.n_mels, e.channels, c.z_dim, e.codes, e.context_dim, e.commitment, e.decay, layers=e.layers
    )


def _build_distilled(c: ModelConfig, d: MelDefinition) -> nn.Module:
    e = c.content_encoder
    return DistilledContentEncoder(
        float(d.frame_rate), d.log, c.n_mels, c.z_dim, e.channels, e.layers, e.heads, e.window_s, e.context_s
    )


def _build_stream_encoder(c: ModelConfig) -> CausalContentEncoder | None:
    s = c.stream_encoder
    return CausalContentEncoder(c.n_mels, c.z_dim, s.width, s.blocks, s.lookahead_frames) if s.width else None


def _build_recurrent(c: ModelConfig, pitch_dim: int) -> nn.Module:
    d = c.decoder
    return RecurrentDecoder(
        c.z_dim, pitch_dim, c.voice_dim, c.n_mels, d.channels, d.recurrent_dim, postnet_channels=d.postnet_channels
    )


def _build_convolutional(c: ModelConfig, pitch_dim: int) -> nn.Module:
    d = c.decoder
    return ConvolutionalDecoder(c.z_dim, pitch_dim, c.voice_dim, c.n_mels, d.channels, d.blocks, d.recording_tokens)


def _build_identity(c: ModelConfig) -> nn.Module:
    if c.dvector_dim != c.voice_dim:
        raise FaceVCError(
            f"speaker_encoder identity needs voice_dim = dvector_dim, found {c.voice_dim} and {c.dvector_dim}."
        )
    return nn.Identity()


_CONTENT_ENCODERS: dict[str, Callable[[ModelConfig, MelDefinition], nn.Module]] = {
    "vq": _build_vq,
    "distilled": _build_distilled,
}
_SPEAKER_ENCODERS: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "dvector": lambda c: DVectorEncoder(c.dvector_dim, c.voice_dim),
    "mel": lambda c: MelSpeakerEncoder(c.n_mels, voice_dim=c.voice_dim, normalize=c.normalise_mel_embedding),
    "identity": _build_identity,
}
_PITCH_INPUTS: dict[str, Callable[[MelDefinition], NormalisedPitch | HarmonicCombPitch]] = {
    "normalised": lambda d: NormalisedPitch(),
    "comb": HarmonicCombPitch,
}
_DECODERS: dict[str, Callable[[ModelConfig, int], nn.Module]] = {
    "recurrent": _build_recurrent,
    "convolutional": _build_convolutional,
}
