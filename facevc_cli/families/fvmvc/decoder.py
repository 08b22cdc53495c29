"""Recurrent decoder: content, pitch and voice -> log-mel, refined by a convolutional postnet.

Sources: Qian et al., "AutoVC", 2019 (the decoder's and the postnet's shape); Wang et al., arXiv 2106.10132.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.windows import place_windows

# without gradients, longer utterances are decoded in parts; an hour of hidden frames would take gigabytes
FRAMES_AT_ONCE = 4096


class ConvNorm(nn.Module):
    """Same-length convolution and BatchNorm: (B, in, T) -> (B, out, T). `gain` names the non-linearity that follows."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, gain: Literal["relu", "tanh", "linear"]
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel, padding=kernel // 2)
        nn.init.xavier_uniform_(self.conv.weight, gain=nn.init.calculate_gain(gain))
        self.norm = nn.BatchNorm1d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Postnet(nn.Module):
    """Predicts what the decoder missed and adds it to the log-mel: `layers` ConvNorms with tanh between them."""

    def __init__(self, n_mels: int = 80, channels: int = 512, layers: int = 5, kernel: int = 5) -> None:
        super().__init__()
        sizes = [n_mels, *[channels] * (layers - 1), n_mels]
        self.convolutions = nn.ModuleList(
            ConvNorm(sizes[i], sizes[i + 1], kernel, "tanh" if i < layers - 1 else "linear") for i in range(layers)
        )

    def forward(self, mel: Tensor) -> Tensor:
        """`mel` (B, T, n_mels) -> the refined log-mel, same shape."""
        x = mel.transpose(1, 2)
        *hidden, last = self.convolutions
        for layer in hidden:
            x = layer(x).tanh()
        return mel + last(x).transpose(1, 2)


class RecurrentDecoder(nn.Module):
    """LSTM, convolutions, two-layer LSTM, projection, postnet (24.8 M by default)."""

    def __init__(
        self,
        z_dim: int = 64,
        pitch_dim: int = 1,
        speaker_dim: int = 256,
        n_mels: int = 80,
        channels: int = 512,
        recurrent_dim: int = 1024,
        convolutions: int = 3,
        kernel: int = 5,
        postnet_channels: int = 512,
        postnet_layers: int = 5,
    ) -> None:
        super().__init__()
        self.lstm_in = nn.LSTM(z_dim + pitch_dim + speaker_dim, channels, batch_first=True)
        self.convolutions = nn.ModuleList(ConvNorm(channels, channels, kernel, "relu") for _ in range(convolutions))
        self.lstm_out = nn.LSTM(channels, recurrent_dim, num_layers=2, batch_first=True)
        self.projection = nn.Linear(recurrent_dim, n_mels)
        self.postnet = Postnet(n_mels, postnet_channels, postnet_layers, kernel)

    def forward(self, z: Tensor, pitch: Tensor, speaker: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised log-mel before and after the postnet, both (B, T, n_mels).

        z: (B, T/2 rounded up, z_dim), each frame used twice; pitch: (B, T, pitch_dim), normalised log-F0; speaker: (B,
        speaker_dim). Raises FaceVCError if z is too short for the pitch.
        """
        frames = pitch.shape[1]
        z = z.repeat_interleave(2, dim=1)[:, :frames]
        if z.shape[1] < frames:
            raise FaceVCError(
                f"The decoder was given {frames} frames of pitch but content for {z.shape[1]} only. "
                "Content has half the mel's frame rate. Give content and pitch of the same utterance."
            )
        x = torch.cat([z, pitch, speaker.unsqueeze(1).expand(-1, frames, -1)], dim=-1)
        if frames > FRAMES_AT_ONCE and not torch.is_grad_enabled():
            return self._decode_long(x)
        x, _ = self.lstm_in(x)
        x, _ = self.lstm_out(self.convolve(x))
        before = self.projection(x)
        return before, self.postnet(before)

    def convolve(self, x: Tensor) -> Tensor:
        """(B, T, channels) -> the same shape."""
        x = x.transpose(1, 2)
        for layer in self.convolutions:
            x = layer(x).relu()
        return x.transpose(1, 2)

    def _decode_long(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Does the work of `forward` in parts.

        LSTMs keep their state between parts, convolutions see their context. x: (B, T, inputs).
        """
        reach, frames = sum(map(_measure_reach, self.convolutions)), x.shape[1]
        first = done = 0  # indices of the first kept hidden frame and of the first frame to convolve
        state_in = state_out = None
        kept, parts = x.new_zeros(len(x), 0, self.lstm_in.hidden_size), []
        for piece in x.split(FRAMES_AT_ONCE, dim=1):
            hidden, state_in = self.lstm_in(piece, state_in)
            kept = torch.cat([kept, hidden], dim=1)
            end = first + kept.shape[1]
            until = end if end == frames else max(done, end - reach)
            convolved = self.convolve(kept)[:, done - first : until - first]
            if until > done:
                out, state_out = self.lstm_out(convolved, state_out)
                parts.append(self.projection(out))
            keep_from = max(0, until - reach)
            kept, first, done = kept[:, keep_from - first :], keep_from, until
        before = torch.cat(parts, dim=1)
        context = sum(map(_measure_reach, self.postnet.convolutions))
        after = []
        for start, kept_from, kept_to in place_windows(frames, FRAMES_AT_ONCE, context):
            after.append(
                self.postnet(before[:, start : start + FRAMES_AT_ONCE])[:, kept_from - start : kept_to - start]
            )
        return before, torch.cat(after, dim=1)


def _measure_reach(layer: nn.Module) -> int:
    """Frames on each side that a ConvNorm sees."""
    return layer.conv.kernel_size[0] // 2 if isinstance(layer, ConvNorm) else 0
