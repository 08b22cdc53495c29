"""Degrades log-mels as rooms, microphones, noise and other vocal tracts change recordings.

The content encoder hears the degraded log-mel, and its teacher has heard the original. So the encoder learns to ignore
how a source was recorded, and how long its speaker's vocal tract is. Recordings of the voice are degraded too, but for
the vocal tract: the decoder learns to take the voice and not the room. Everything is done on band powers. Powers of
independent sounds add up, a room smears them over time with an exponential decay, a microphone multiplies them, and a
vocal tract stretches their frequency axis.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from facevc_cli.dsp.mel import MelDefinition, find_band_centres_hz, locate_in_bands
from facevc_cli.families.base import ConversionModel

DECAY_S = (0.2, 0.9)  # time in which a room's reverberation falls by 60 dB
REVERBERATION_DB = (-15.0, 3.0)  # power of the reverberation against the direct sound
CURVE_POINTS, CURVE_DB = 6, 4.0  # a microphone's response: a smooth curve, deviation of its points
NOISE_CURVE_DB, SLOPE_DB = 8.0, 20.0  # the same for the spectrum of noise; its fall from the lowest to the highest band
NOISE_SNR_DB, SPEECH_SNR_DB = (0.0, 30.0), (5.0, 25.0)  # of steady noise; of other people behind
FLUCTUATION = 4.0  # shape of the gamma distribution of a noise's power in one band and frame
STRETCH = 1.2  # largest factor of the frequency axis, up or down
SHARES = {"tract": 0.5, "room": 0.5, "microphone": 0.7, "noise": 0.6, "speech": 0.2}  # of the degraded crops
TO_LN = {"ln": 1.0, "log10": math.log(10)}  # factor from the log-mel's unit to nepers
FLOOR = 1e-5  # of a band's magnitude, as in the log-mel


class RecordingConditions:
    """Gives each crop its own vocal tract, room, microphone and noise."""

    def __init__(self, definition: MelDefinition):
        self.definition = definition
        self.to_ln, self.frame_rate = TO_LN[definition.log], float(definition.frame_rate)

    def __call__(self, mel: Tensor, generator: torch.Generator, keeps_voice: bool = False) -> Tensor:
        """mel: (B, T, n_mels) raw log-mel -> the same shape. The CPU generator draws all conditions.

        keeps_voice: leaves the vocal tract as it is.
        """
        size = len(mel)
        power = (2 * self.to_ln * mel).exp()
        applied = {name: torch.rand(size, generator=generator) < share for name, share in SHARES.items()}
        behind = power.roll(1, 0)  # of the crop before; not yet degraded
        stretch = STRETCH ** _draw_uniform(size, (-1.0, 1.0), generator)
        if not keeps_voice:
            power = _choose(applied["tract"], self._stretch_bands(power, stretch), power)
        reverberant = add_reverberation(power, *self._draw_room(size, generator))
        power = _choose(applied["room"], reverberant, power)
        response = _draw_curve(size, mel.shape[2], CURVE_DB, generator).to(mel)
        power = _choose(applied["microphone"], power * _from_db(response), power)
        noise = self._draw_noise(power, generator)
        for name, added, limits in (("noise", noise, NOISE_SNR_DB), ("speech", behind, SPEECH_SNR_DB)):
            snr_db = _draw_uniform(size, limits, generator).to(mel)
            power = _choose(applied[name], power + scale_to_snr(added, power, snr_db), power)
        return power.clamp(min=FLOOR**2).log() / (2 * self.to_ln)

    def _stretch_bands(self, power: Tensor, factor: Tensor) -> Tensor:
        """Moves the power of each band to its frequency times `factor` (B,)."""
        centres = find_band_centres_hz(self.definition)
        places = locate_in_bands(self.definition, centres / factor[:, None].numpy())
        low, share = (torch.from_numpy(array).to(power.device)[:, None].expand(power.shape) for array in places)
        return torch.lerp(power.gather(2, low), power.gather(2, low + 1), share)

    def _draw_room(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Frames in which the reverberation falls by 60 dB, and its power against the direct sound; (size,) each."""
        decay_frames = _draw_uniform(size, DECAY_S, generator) * self.frame_rate
        return decay_frames, _from_db(_draw_uniform(size, REVERBERATION_DB, generator))

    def _draw_noise(self, power: Tensor, generator: torch.Generator) -> Tensor:
        """Steady noise of a smooth spectrum: band powers (B, T, n_mels), at any level."""
        size, frames, bands = power.shape
        slope = torch.linspace(0, -SLOPE_DB, bands)
        spectrum = _from_db(slope + _draw_curve(size, bands, NOISE_CURVE_DB, generator))
        uniform = torch.rand(round(FLUCTUATION), size, frames, bands, generator=generator).clamp(min=1e-9)
        fluctuation = -uniform.log().mean(0)  # a mean of exponential variables is gamma distributed
        return (spectrum * fluctuation).to(power)


def degrade_share(
    conditions: RecordingConditions,
    model: ConversionModel,
    mel: Tensor,
    share: float,
    generator: torch.Generator,
    keeps_voice: bool = False,
) -> Tensor:
    """Degrades a share of normalised log-mels (B, T, n_mels). keeps_voice: as in `RecordingConditions`."""
    degraded = model.normalise(conditions(model.denormalise(mel), generator, keeps_voice))
    chosen = torch.rand(len(mel), generator=generator).to(mel.device) < share
    return torch.where(chosen[:, None, None], degraded, mel)


def add_reverberation(power: Tensor, decay_frames: Tensor, share: Tensor) -> Tensor:
    """Adds to each frame what remains of earlier ones.

    power: (B, T, n_mels). decay_frames: (B,) in which the rest falls by 60 dB. share: (B,) power of the whole
    reverberation of a frame against the frame.
    """
    length = min(power.shape[1], int(decay_frames.max()) + 1)
    ages = torch.arange(1, length + 1)
    tail = 10 ** (-6 * ages / decay_frames[:, None])
    kernel = torch.cat([torch.ones(len(power), 1), share[:, None] * tail / tail.sum(1, keepdim=True)], 1)
    padded = F.pad(power.permute(2, 0, 1), (length, 0))  # (n_mels, B, T): one kernel for each crop
    smeared = F.conv1d(padded, kernel.flip(1)[:, None].to(power), groups=len(power))
    return smeared.permute(1, 2, 0)


def scale_to_snr(noise: Tensor, power: Tensor, snr_db: Tensor) -> Tensor:
    """Scales band powers (B, T, n_mels) so that the mean of `power` is `snr_db` (B,) above theirs."""
    factor = power.mean((1, 2)) / noise.mean((1, 2)).clamp(min=1e-20) * _from_db(-snr_db)
    return noise * factor[:, None, None]


def _draw_curve(size: int, bands: int, deviation_db: float, generator: torch.Generator) -> Tensor:
    """A smooth curve over the bands: (size, 1, bands) dB."""
    points = deviation_db * torch.randn(size, 1, CURVE_POINTS, generator=generator)
    return F.interpolate(points, size=bands, mode="linear", align_corners=True)


def _draw_uniform(size: int, limits: tuple[float, float], generator: torch.Generator) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * torch.rand(size, generator=generator)


def _from_db(level_db: Tensor) -> Tensor:
    return 10 ** (level_db / 10)


def _choose(applied: Tensor, changed: Tensor, power: Tensor) -> Tensor:
    return torch.where(applied.to(power.device)[:, None, None], changed, power)
