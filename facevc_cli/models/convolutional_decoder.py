"""Convolutional decoder: ConvNeXt-like blocks whose norms the voice scales and shifts."""

from torch import Tensor, cat, full, nn
from torch.nn import functional as F

from facevc_cli.models.distilled_content import resample_frames

DILATIONS = (1, 2, 4, 1)
VOICE_GAIN = 4.0  # a unit vector's entries are small beside what the first layer is initialised for


class ConditionedBlock(nn.Module):
    """Depthwise Conv7, LayerNorm with the voice's scale and shift, three-fold expansion, layer scale, residual."""

    def __init__(self, channels: int, dilation: int, condition_dim: int):
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, 7, padding=3 * dilation, dilation=dilation, groups=channels)
        self.norm, self.condition = nn.LayerNorm(channels), nn.Linear(condition_dim, 2 * channels)
        self.up, self.down = nn.Linear(channels, 3 * channels), nn.Linear(3 * channels, channels)
        self.layer_scale = nn.Parameter(full((channels,), 0.1))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x: (B, channels, T), condition: (B, condition_dim) -> (B, channels, T)."""
        y = self.norm(self.depthwise(x).transpose(1, 2))
        gain, shift = self.condition(condition)[:, None].chunk(2, -1)
        return x + (self.layer_scale * self.down(F.gelu(self.up(y * (1 + gain) + shift)))).transpose(1, 2)


class ConvolutionalDecoder(nn.Module):
    """Content, pitch and voice -> normalised log-mel. With comb pitch, a scaled path leads from the comb straight to the output."""

    def __init__(self, z_dim: int = 64, pitch_dim: int = 82, speaker_dim: int = 256, n_mels: int = 80, channels: int = 256, blocks: int = 8):
        super().__init__()
        self.n_mels = n_mels
        self.voice = nn.Sequential(nn.Linear(speaker_dim, speaker_dim), nn.GELU(), nn.Linear(speaker_dim, speaker_dim))
        self.input = nn.Conv1d(z_dim + pitch_dim, channels, 5, padding=2)
        self.blocks = nn.ModuleList(ConditionedBlock(channels, DILATIONS[i % 4], speaker_dim) for i in range(blocks))
        self.output_norm = nn.LayerNorm(channels)  # a frame at a time: an utterance's length must not matter
        self.output = nn.Conv1d(channels, n_mels, 5, padding=2)
        self.comb_path = nn.Conv1d(n_mels, n_mels, 1, groups=n_mels) if pitch_dim > n_mels else None

    def forward(self, z: Tensor, pitch: Tensor, speaker: Tensor) -> tuple[Tensor, Tensor]:
        """z: (B, T/2 rounded up, z_dim), pitch: (B, T, pitch_dim), speaker: (B, speaker_dim) -> the log-mel (B, T, n_mels), twice: no postnet."""
        x = self.input(cat([resample_frames(z, pitch.shape[1]), pitch], -1).transpose(1, 2))
        condition = self.voice(VOICE_GAIN * speaker)
        for block in self.blocks:
            x = block(x, condition)
        mel = self.output(self.output_norm(x.transpose(1, 2)).transpose(1, 2))
        if self.comb_path is not None:
            mel = mel + self.comb_path(pitch[..., : self.n_mels].transpose(1, 2))
        mel = mel.transpose(1, 2)
        return mel, mel
