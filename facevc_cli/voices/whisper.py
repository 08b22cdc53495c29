"""Whisper's encoder (Radford et al., 2022): the content teacher, and the first layers of the distilled
content encoder.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.core.errors import FaceVCError

WHISPER_FRAME_RATE = 100  # Hz, of its log-mel; its encoder gives half of that


def scale_log_mel(mel_power: Tensor) -> Tensor:
    """(..., 80, T) power mel spectrogram -> Whisper's scale: log10, at most 8 decades below the loudest, (x
    + 4) / 4.
    """
    logged = torch.log10(torch.clamp(mel_power, min=1e-10))
    return (torch.maximum(logged, logged.amax((-2, -1), keepdim=True) - 8.0) + 4.0) / 4.0


def make_sinusoids(length: int, channels: int) -> Tensor:
    """(length, channels) position encodings: sines, then cosines, of geometrically spaced periods up to
    10,000 * 2 pi.
    """
    steps = math.log(10000) / (channels // 2 - 1)
    angles = torch.arange(length)[:, None] * torch.exp(-steps * torch.arange(channels // 2))[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention of (B, heads, T, dim).

    On a CPU the fused kernel is fast forwards, but its gradient takes four times as long as this one's.
    """
    if query.requires_grad and query.device.type == "cpu":
        return (query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)).softmax(-1) @ value
    return F.scaled_dot_product_attention(query, key, value)


class WhisperLayer(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.attention_out = nn.Linear(dim, dim)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, dim) -> (B, T, dim)."""
        query, key, value = (
            part.view(*x.shape[:2], self.heads, -1).transpose(1, 2)
            for part in self.query_key_value(self.attention_norm(x)).chunk(3, -1)
        )
        attended = attend(query, key, value).transpose(1, 2).reshape(x.shape)
        x = x + self.attention_out(attended)
        return x + self.down(F.gelu(self.up(self.feed_forward_norm(x))))


class WhisperEncoder(nn.Module):
    """The stem and the first `layers` layers; with `final_norm` it is Whisper's own output (base: 6 layers, 512, 8
    heads).
    """

    def __init__(self, layers: int = 6, dim: int = 512, heads: int = 8, n_mels: int = 80, final_norm: bool = True):
        super().__init__()
        self.dim = dim
        self.conv1 = nn.Conv1d(n_mels, dim, 3, padding=1)
        self.conv2 = nn.Conv1d(dim, dim, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(WhisperLayer(dim, heads) for _ in range(layers))
        self.final_norm = nn.LayerNorm(dim) if final_norm else nn.Identity()

    def forward(self, mel: Tensor, first_position: int = 0) -> Tensor:
        """mel: (B, n_mels, T) on Whisper's scale at 100 Hz -> (B, ceil(T / 2), dim) at 50 Hz."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        positions = make_sinusoids(first_position + x.shape[1], self.dim)[first_position:]
        x = x + positions.to(x)
        for layer in self.layers:
            x = layer(x)
        return self.final_norm(x)

    def load_ctranslate2(self, arrays: Mapping[str, "torch.Tensor"]) -> None:
        """Loads weights with CTranslate2's names (`encoder/...`). Layers beyond this encoder's are ignored.

        FaceVCError if one is missing or has another shape.
        """
        norm, linear = ("gamma", "beta"), ("weight", "bias")
        parts: dict[str, tuple[str, tuple[str, str]]] = {"conv1": ("conv1", linear), "conv2": ("conv2", linear)}
        if isinstance(self.final_norm, nn.LayerNorm):
            parts["final_norm"] = ("layer_norm", norm)
        for i in range(len(self.layers)):
            theirs = f"layer_{i}/"
            parts |= {
                f"layers.{i}.attention_norm": (theirs + "self_attention/layer_norm", norm),
                f"layers.{i}.query_key_value": (theirs + "self_attention/linear_0", linear),
                f"layers.{i}.attention_out": (theirs + "self_attention/linear_1", linear),
                f"layers.{i}.feed_forward_norm": (theirs + "ffn/layer_norm", norm),
                f"layers.{i}.up": (theirs + "ffn/linear_0", linear),
                f"layers.{i}.down": (theirs + "ffn/linear_1", linear),
            }
        state, wanted = {}, self.state_dict()
        for ours, (theirs, names) in parts.items():
            for name, their_name in zip(("weight", "bias"), names, strict=True):
                found, expected = arrays.get(f"encoder/{theirs}/{their_name}"), wanted[f"{ours}.{name}"]
                if found is None or found.shape != expected.shape:
                    shape = "nothing" if found is None else str(tuple(found.shape))
                    raise FaceVCError(
                        f"the Whisper model: encoder/{theirs}/{their_name}: expected the shape "
                        f"{tuple(expected.shape)}, found {shape}. Give the folder of a whole CTranslate2 Whisper "
                        "model."
                    )
                state[f"{ours}.{name}"] = torch.as_tensor(found).float()
        self.load_state_dict(state)
