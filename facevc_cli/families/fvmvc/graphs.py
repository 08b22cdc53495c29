"""The content encoder and the decoder as modules that can be traced: no branch depends on the length.

They use the weights of the model itself. Tests and every export compare them with the model.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.core.graphs import Graph, Shape, count_axis, draw_log_mel, make_range, resample_frames_at
from facevc_cli.families.fvmvc.content_encoder import VQContentEncoder
from facevc_cli.families.fvmvc.convolutional_decoder import VOICE_GAIN, ConvolutionalDecoder
from facevc_cli.families.fvmvc.decoder import RecurrentDecoder
from facevc_cli.families.fvmvc.distilled_content import DistilledContentEncoder
from facevc_cli.voices.whisper import WHISPER_FRAME_RATE, WhisperEncoder, WhisperLayer, make_sinusoids, scale_log_mel

if TYPE_CHECKING:
    from facevc_cli.families.fvmvc.model import FaceVC

CONTENT_TOLERANCE, DECODER_TOLERANCE = 2e-3, 1e-3
MASKED = -1e9  # added to attention's logits


class CodedContent(nn.Module):
    """Content with a code book: normalised log-mel (1, T, n_mels) -> (1, ceil(T / 2), z_dim)."""

    def __init__(self, encoder: VQContentEncoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, mel: Tensor) -> Tensor:
        even = (count_axis(mel, 1) + 1) // 2 * 2
        padded = torch.cat([mel, mel[:, -1:]], 1)[:, :even]
        z_before = self.encoder.layers(self.encoder.conv(padded.transpose(1, 2)).transpose(1, 2))
        codes = self.encoder.quantizer.embedding
        return codes[self.encoder.quantizer.find_nearest(z_before[0])][None]


class WindowedContent(nn.Module):
    """Normalised log-mel (1, T, n_mels) -> distilled content (1, ceil(T / 2), z_dim) before it is normalised over time.

    All windows are one batch. Shorter ones are filled up with frames that count as outside.
    """

    def __init__(self, content: DistilledContentEncoder):
        super().__init__()
        self.content = content
        self.window, self.context = (
            2 * round(seconds * WHISPER_FRAME_RATE / 2) for seconds in (content.window_s, content.context_s)
        )
        most = self.window + 2 * self.context
        self.register_buffer("positions", make_sinusoids(most // 2, content.encoder.dim), persistent=False)
        self.positions: Tensor

    def forward(self, mel: Tensor) -> Tensor:
        content, window, context = self.content, self.window, self.context
        count = count_axis(mel, 1)
        raw = (mel * content.mel_std + content.mel_mean) * content.band_scale.T + content.band_offset.T
        seconds = count.double() / content.frame_rate
        total = (2 * torch.round(seconds * (WHISPER_FRAME_RATE / 2)).long()).clamp(min=2)
        log_power = resample_frames_at(raw, count, total)
        whisper_mel = scale_log_mel(10.0 ** log_power[0].clamp(-10, 10).T).T  # (total, n_mels)
        most = window + 2 * context
        further = torch.div(total - window - context + window - 1, window, rounding_mode="floor")
        last = torch.where(total <= most, torch.zeros_like(total), further)  # index of the last window
        index = make_range(last + 1)
        start = (index * window - context).clamp(min=0)
        end = torch.where(index == last, total, index * window + window + context)
        place = start[:, None] + make_range(torch.minimum(total, torch.full_like(total, most)))  # (windows, frames)
        inside = (place < end[:, None]).float()
        pieces = whisper_mel[torch.minimum(place, total - 1)] * inside[..., None]
        hidden = self._encode(content.encoder, pieces, inside)
        kept = make_range(torch.div(total, 2, rounding_mode="floor"))  # of the hidden frames of the whole
        where = torch.minimum(torch.div(kept, window // 2, rounding_mode="floor"), last)
        whole = hidden[where, kept - torch.div(start, 2, rounding_mode="floor")[where]][None]
        half = torch.div(count + 1, 2, rounding_mode="floor")
        return content.head(resample_frames_at(whole, torch.div(total, 2, rounding_mode="floor"), half))

    def _encode(self, encoder: WhisperEncoder, mel: Tensor, inside: Tensor) -> Tensor:
        """mel (N, T, n_mels), zero outside -> (N, T / 2, dim). inside: (N, T), 1 or 0."""
        x = F.gelu(encoder.conv1(mel.transpose(1, 2))) * inside[:, None]
        x = F.gelu(encoder.conv2(x)).transpose(1, 2)
        x = x + self.positions[: count_axis(x, 1)]
        hides = ((1 - inside[:, ::2]) * MASKED)[:, None, None]  # (N, 1, 1, T / 2)
        for layer in cast(Iterable[WhisperLayer], encoder.layers):
            query, key, value = layer.query_key_value(layer.attention_norm(x)).chunk(3, -1)
            query, key, value = (part.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for part in (query, key, value))
            shares = (query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2) + hides).softmax(-1)
            x = x + layer.attention_out((shares @ value).transpose(1, 2).flatten(2))
            x = x + layer.down(F.gelu(layer.up(layer.feed_forward_norm(x))))
        return encoder.final_norm(x)


class ContentGraph(nn.Module):
    """Raw log-mel (1, T, n_mels) -> content normalised over time as facevc does it, and the content before that."""

    def __init__(self, model: "FaceVC", content: nn.Module, normalises: bool):
        super().__init__()
        self.model, self.content, self.normalises = model, content, normalises

    def forward(self, log_mel: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        z = self.content(self.model.normalise(log_mel))
        if not self.normalises:
            return z
        mean = z.mean(1, keepdim=True)
        std = ((z - mean) ** 2).mean(1, keepdim=True).sqrt()
        return (z - mean) / (std + 1e-3), z


class DecoderGraph(nn.Module):
    """Content, pitch and voices -> raw log-mels (B, T, n_mels). The arguments are those of `ConversionModel.decode`."""

    def __init__(self, model: "FaceVC", decode: Callable[..., Tensor]):
        super().__init__()
        self.model, self.decode = model, decode

    def forward(
        self,
        content: Tensor,
        log_f0: Tensor,
        voice: Tensor,
        pitch_mean: Tensor,
        pitch_std: Tensor,
        recording: Tensor | None = None,
    ) -> Tensor:
        pitch = self.model.pitch(log_f0, pitch_mean, pitch_std)
        level = (pitch_mean + pitch_std).sum() * 0  # an input that a model does not use stays an input
        return self.model.denormalise(self.decode(self.model.decoder, content, pitch, voice, recording)) + level


def _decode_convolutional(
    decoder: ConvolutionalDecoder, content: Tensor, pitch: Tensor, voice: Tensor, recording: Tensor | None
) -> Tensor:
    z = resample_frames_at(content, count_axis(content, 1), count_axis(pitch, 1))
    condition = decoder.voice(VOICE_GAIN * voice)
    return decoder.decode_window(z, pitch, condition, decoder.find_tokens(z.shape[0], recording))


def _decode_recurrent(
    decoder: RecurrentDecoder, content: Tensor, pitch: Tensor, voice: Tensor, recording: Tensor | None
) -> Tensor:
    z = content[:, torch.div(make_range(count_axis(pitch, 1)), 2, rounding_mode="floor")]
    voices = voice[:, None] + torch.zeros_like(pitch[..., :1])
    hidden, _ = decoder.lstm_in(torch.cat([z, pitch, voices], -1))
    hidden, _ = decoder.lstm_out(decoder.convolve(hidden))
    return decoder.postnet(decoder.projection(hidden))


_CONTENTS: dict[str, tuple[Callable[..., nn.Module], bool]] = {
    "vq": (CodedContent, False),
    "distilled": (WindowedContent, True),
}
_DECODERS: dict[str, Callable[..., Tensor]] = {
    "recurrent": _decode_recurrent,
    "convolutional": _decode_convolutional,
}


def can_be_exported(content: str, decoder: str) -> bool:
    """Whether these kinds of content encoder and decoder have graphs."""
    return content in _CONTENTS and decoder in _DECODERS


def make_graphs(model: "FaceVC") -> list[Graph]:
    """Makes the graphs `content` and `decoder` of a model."""
    return [_make_content_graph(model), _make_decoder_graph(model)]


def _make_content_graph(model: "FaceVC") -> Graph:
    c = model.config
    make, normalises = _CONTENTS[c.content_encoder.kind]
    half: Shape = (1, "content_frames", c.z_dim)

    def hear(log_mel: Tensor) -> Tensor | tuple[Tensor, ...]:
        found = model.content_encoder(model.normalise(log_mel).transpose(1, 2))
        return (found.z, found.z_before) if normalises else found.z

    facts: dict[str, Any] = {"frames_per_content_frame": 2, "normalised_over_time": normalises}
    if normalises:
        facts |= {"window_s": c.content_encoder.window_s, "window_context_s": c.content_encoder.context_s}
    return Graph(
        name="content",
        purpose="what is said: log-mel of the source -> content"
        + (", normalised over its frames; content_raw is the same before that" if normalises else ""),
        module=ContentGraph(model, make(model.content_encoder), normalises),
        inputs={"log_mel": (1, "frames", c.n_mels)},
        outputs={"content": half, "content_raw": half} if normalises else {"content": half},
        make_inputs=lambda frames: (draw_log_mel(frames, model.mel_mean, model.mel_std),),
        reference=hear,
        tolerance=CONTENT_TOLERANCE,
        facts=facts,
    )


def _make_decoder_graph(model: "FaceVC") -> Graph:
    c, decoder = model.config, model.decoder
    tokens = model.describe_no_recording() if c.decoder.recording_tokens else None

    def draw(frames: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(frames)
        content = torch.randn(2, (frames + 1) // 2, c.z_dim, generator=generator)
        log_f0 = torch.randn(2, frames, generator=generator) * (torch.arange(frames) % 40 < 30)
        voice = F.normalize(torch.rand(2, c.voice_dim, generator=generator), dim=-1)
        made = content, log_f0, voice, torch.tensor([4.8, 5.4]), torch.tensor([0.2, 0.15])
        return made if tokens is None else (*made, tokens.expand(2, -1, -1).contiguous())

    def decode(content: Tensor, log_f0: Tensor, voice: Tensor, mean: Tensor, std: Tensor, *more: Tensor) -> Tensor:
        return model.denormalise(model.decode(content, log_f0, voice, (mean, std), *more))

    inputs: dict[str, Shape] = {
        "content": ("voices", "content_frames", c.z_dim),
        "log_f0": ("voices", "frames"),
        "voice": ("voices", c.voice_dim),
        "pitch_mean": ("voices",),
        "pitch_std": ("voices",),
    }
    if tokens is not None:
        inputs["recording"] = ("voices", *tokens.shape[1:])
    return Graph(
        name="decoder",
        purpose="content in a voice -> log-mel. log_f0: (ln F0 - mean) / deviation of the source, 0 if unvoiced. "
        "pitch_mean and pitch_std: of the ln F0 (Hz) to speak at",
        module=DecoderGraph(model, _DECODERS[c.decoder.kind]),
        inputs=inputs,
        outputs={"log_mel": ("voices", "frames", c.n_mels)},
        make_inputs=draw,
        reference=decode,
        tolerance=DECODER_TOLERANCE,
        context_frames=getattr(decoder, "context_frames", None),
        facts={"voice_dim": c.voice_dim, "takes_pitch_level": model.pitch_level is not None},
    )
