"""Convolutional decoder: ConvNeXt-like blocks. The voice scales and shifts their norms.

A recording of the voice gives timbre tokens, because a voice embedding does not hold all that is heard in it. Each
frame attends to them, as in MeanVC 2. So a vowel and a fricative of one voice get different answers. FVMVC's memory is
the same read-out with one answer per utterance. Tokens that were made from the voice embedding itself brought nothing.
"""

from torch import Tensor, cat, full, nn, randn
from torch.nn import functional as F

from facevc_cli.dsp.windows import place_windows
from facevc_cli.families.fvmvc.distilled_content import resample_frames

DILATIONS = (1, 2, 4, 1)
VOICE_GAIN = 4.0  # the entries of a unit vector are smaller than the first layer's initialisation expects
BLOCK_KERNEL, END_KERNEL = 7, 5
TOKEN_DIM, TOKEN_HEADS = 128, 4
RECORDING_CHANNELS = 192
FRAMES_AT_ONCE = 2048  # longer utterances are decoded in windows, which limits memory


def make_depthwise(channels: int, dilation: int) -> nn.Conv1d:
    """A convolution of each channel alone that keeps the length."""
    padding = BLOCK_KERNEL // 2 * dilation
    return nn.Conv1d(channels, channels, BLOCK_KERNEL, padding=padding, dilation=dilation, groups=channels)


class ConditionedBlock(nn.Module):
    """Depthwise Conv7, LayerNorm with the voice's scale and shift, three-fold expansion, layer scale, residual."""

    def __init__(self, channels: int, dilation: int, condition_dim: int):
        super().__init__()
        self.depthwise = make_depthwise(channels, dilation)
        self.norm, self.condition = nn.LayerNorm(channels), nn.Linear(condition_dim, 2 * channels)
        self.up, self.down = nn.Linear(channels, 3 * channels), nn.Linear(3 * channels, channels)
        self.layer_scale = nn.Parameter(full((channels,), 0.1))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x: (B, channels, T), condition: (B, condition_dim) -> (B, channels, T)."""
        y = self.norm(self.depthwise(x).transpose(1, 2))
        gain, shift = self.condition(condition)[:, None].chunk(2, -1)
        return x + (self.layer_scale * self.down(F.gelu(self.up(y * (1 + gain) + shift)))).transpose(1, 2)


class RecordingTokens(nn.Module):
    """Makes tokens from a recording of the voice: each asks all frames of the log-mel for something else."""

    def __init__(self, count: int, n_mels: int):
        super().__init__()
        self.input = nn.Conv1d(n_mels, RECORDING_CHANNELS, END_KERNEL, stride=2, padding=END_KERNEL // 2)
        self.blocks = nn.ModuleList(PlainBlock(RECORDING_CHANNELS, dilation) for dilation in DILATIONS[:3])
        self.norm = nn.LayerNorm(RECORDING_CHANNELS)
        self.asked = nn.Parameter(randn(count, RECORDING_CHANNELS))
        self.key_value = nn.Linear(RECORDING_CHANNELS, RECORDING_CHANNELS + TOKEN_DIM)
        self.none = nn.Parameter(randn(count, TOKEN_DIM))  # the tokens of a voice without a recording

    def forward(self, mel: Tensor) -> Tensor:
        """mel: (B, n_mels, T) normalised -> (B, count, TOKEN_DIM)."""
        x = self.input(mel)
        for block in self.blocks:
            x = block(x)
        key, value = self.key_value(self.norm(x.transpose(1, 2))).split([RECORDING_CHANNELS, TOKEN_DIM], -1)
        asked = self.asked.expand(len(mel), -1, -1)
        return F.scaled_dot_product_attention(asked, key, value)


class PlainBlock(nn.Module):
    """Depthwise Conv7, LayerNorm, two-fold expansion, residual."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.depthwise = make_depthwise(channels, dilation)
        self.norm = nn.LayerNorm(channels)
        self.up, self.down = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) -> the same."""
        return x + self.down(F.gelu(self.up(self.norm(self.depthwise(x).transpose(1, 2))))).transpose(1, 2)


class TokenAttention(nn.Module):
    """Each frame attends to the voice's tokens; layer scale, residual."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm, self.query = nn.LayerNorm(channels), nn.Linear(channels, channels)
        self.key_value, self.output = nn.Linear(TOKEN_DIM, 2 * channels), nn.Linear(channels, channels)
        self.layer_scale = nn.Parameter(full((channels,), 0.1))

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """x: (B, channels, T), tokens: (B, count, TOKEN_DIM) -> (B, channels, T)."""
        query = self._split(self.query(self.norm(x.transpose(1, 2))))
        key, value = map(self._split, self.key_value(tokens).chunk(2, -1))
        heard = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return x + (self.layer_scale * self.output(heard)).transpose(1, 2)

    @staticmethod
    def _split(x: Tensor) -> Tensor:
        """(B, n, channels) -> (B, TOKEN_HEADS, n, channels / TOKEN_HEADS)."""
        return x.unflatten(-1, (TOKEN_HEADS, -1)).transpose(1, 2)


class ConvolutionalDecoder(nn.Module):
    """Content, pitch and voice -> normalised log-mel. With comb pitch, the scaled comb is added to the output."""

    def __init__(
        self,
        z_dim: int = 64,
        pitch_dim: int = 82,
        speaker_dim: int = 256,
        n_mels: int = 80,
        channels: int = 256,
        blocks: int = 8,
        recording_tokens: int = 0,
    ):
        super().__init__()
        self.n_mels = n_mels
        self.voice = nn.Sequential(nn.Linear(speaker_dim, speaker_dim), nn.GELU(), nn.Linear(speaker_dim, speaker_dim))
        self.input = nn.Conv1d(z_dim + pitch_dim, channels, END_KERNEL, padding=END_KERNEL // 2)
        dilations = [DILATIONS[i % 4] for i in range(blocks)]
        self.blocks = nn.ModuleList(ConditionedBlock(channels, dilation, speaker_dim) for dilation in dilations)
        # before every second block
        self.attentions = nn.ModuleList(TokenAttention(channels) for _ in range(0, blocks, 2) if recording_tokens)
        self.recording = RecordingTokens(recording_tokens, n_mels) if recording_tokens else None
        # normalises each frame alone, so the utterance's length has no effect
        self.output_norm = nn.LayerNorm(channels)
        self.output = nn.Conv1d(channels, n_mels, END_KERNEL, padding=END_KERNEL // 2)
        self.comb_path = nn.Conv1d(n_mels, n_mels, 1, groups=n_mels) if pitch_dim > n_mels else None
        # frames on each side that affect a frame
        self.context_frames = 2 * (END_KERNEL // 2) + BLOCK_KERNEL // 2 * sum(dilations)

    def forward(
        self, z: Tensor, pitch: Tensor, speaker: Tensor, recording: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """z: (B, T/2 rounded up, z_dim), pitch: (B, T, pitch_dim), speaker: (B, speaker_dim) -> the log-mel (B, T,
        n_mels).

        recording: (B, recording_tokens, TOKEN_DIM) from `self.recording`; None: the voice comes from no recording.
        Returns the log-mel twice because there is no postnet. More than FRAMES_AT_ONCE frames are decoded in windows;
        the result is the same.
        """
        total = pitch.shape[1]
        z, condition = resample_frames(z, total), self.voice(VOICE_GAIN * speaker)
        tokens = self.find_tokens(z.shape[0], recording)
        size = max(FRAMES_AT_ONCE, 4 * self.context_frames)
        parts = []
        for first, start, end in place_windows(total, size, self.context_frames):
            piece = slice(first, first + size)
            parts.append(
                self.decode_window(z[:, piece], pitch[:, piece], condition, tokens)[:, start - first : end - first]
            )
        mel = parts[0] if len(parts) == 1 else cat(parts, 1)
        return mel, mel

    def find_tokens(self, count: int, recording: Tensor | None) -> Tensor | None:
        """Returns the tokens of `count` voices' recordings, or those that stand for none.

        None if the decoder has none.
        """
        if self.recording is None:
            return None
        return self.recording.none.expand(count, -1, -1) if recording is None else recording

    def decode_window(self, z: Tensor, pitch: Tensor, condition: Tensor, tokens: Tensor | None) -> Tensor:
        """z: (B, T, z_dim), pitch: (B, T, pitch_dim), condition: (B, speaker_dim) -> (B, T, n_mels)."""
        x = self.input(cat([z, pitch], -1).transpose(1, 2))
        for i, block in enumerate(self.blocks):
            if tokens is not None and i % 2 == 0:
                x = self.attentions[i // 2](x, tokens)
            x = block(x, condition)
        mel = self.output(self.output_norm(x.transpose(1, 2)).transpose(1, 2))
        if self.comb_path is not None:
            mel = mel + self.comb_path(pitch[..., : self.n_mels].transpose(1, 2))
        return mel.transpose(1, 2)
