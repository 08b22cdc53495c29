"""Speaks what the steps of a stream decoded. This is the second half of a step, so that it can run while the next is
heard.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facevc_cli.conversion.stream.settings import StreamSettings
from facevc_cli.conversion.stream.sound_joiner import SoundJoiner
from facevc_cli.conversion.stream.statistics import RunningLoudness
from facevc_cli.dsp.stream_resampler import StreamResampler
from facevc_cli.provenance.stream_watermark import StreamWatermark
from facevc_cli.vocoders import Vocoder

REPEATED_FRAMES = 6


@dataclass(frozen=True)
class DecodedStep:
    """What a step decoded.

    mels: raw log-mel (T, n_mels) of the decoder's window, which ends with the frames that are spoken now and the
    lookahead. frame: the place of the first frame that is spoken now. heard: (n,) the input for these frames, before
    its gain. switched: the frames before them had another voice.
    """

    mels: Tensor
    frame: int
    heard: np.ndarray
    gain: float
    is_speech: bool
    switched: bool


class StepSpeaker:
    """Makes the steps of one stream into sound: vocoder, crossfade, loudness, watermark and the stream's rate.

    rate: of the stream, in Hz. measure: measures the time of a part.
    """

    def __init__(
        self,
        vocoder: Vocoder,
        settings: StreamSettings,
        rate: int,
        measure: Callable[[str], AbstractContextManager[None]],
    ):
        self.vocoder, self.settings, self._measure = vocoder, settings, measure
        self._hop = vocoder.hop_samples
        crossfade = min(round(settings.crossfade_ms / 1000 * vocoder.rate), settings.lookahead_frames * self._hop)
        self._stream = vocoder.open_stream(settings.vocoder_frames)
        self._joiner, self._watermark = SoundJoiner(crossfade), StreamWatermark(vocoder.rate)
        self._loudness = RunningLoudness(vocoder.rate, settings.memory_s)
        self._out = StreamResampler(vocoder.rate, rate)
        used = max(crossfade, self._watermark.forecast_samples if settings.watermark else 0)
        self._forecast_frames = min(settings.lookahead_frames, math.ceil(used / self._hop))

    @property
    def lookahead_samples(self) -> int:
        """Of the resampler, at the vocoder's rate."""
        return self._out.lookahead_samples

    def reset(self) -> None:
        for part in (self._stream, self._joiner, self._watermark, self._loudness, self._out):
            part.reset()

    @torch.inference_mode()
    def speak(self, step: DecodedStep) -> np.ndarray:
        """Returns the samples of the frames that are spoken now: (n,) float32 at the stream's rate."""
        with self._measure("vocoder"):
            spoken, forecast = self._vocode(step)
        with self._measure("sound"):
            return self._out.push(self._finish_sound(step, spoken, forecast))

    def _vocode(self, step: DecodedStep) -> tuple[np.ndarray, np.ndarray]:
        """Returns the samples that are spoken now, and what probably follows.

        The last frame is repeated, so that the vocoder hears no sudden end.
        """
        s, mels = self.settings, step.mels
        count = len(step.heard) // self._hop
        first = len(mels) - s.lookahead_frames - count
        past = 0
        if step.switched:
            self._stream.reset()
            past = min(s.vocoder_frames, first)
        missing = max(0, (self.vocoder.context_frames or 0) - s.lookahead_frames)
        repeated = mels[-1:].expand(min(REPEATED_FRAMES, missing), -1)
        heard = torch.cat([mels[first - past :], repeated])
        spoken = past + count
        wav = self._stream.speak(heard, spoken + self._forecast_frames, spoken, step.frame - past)
        made = wav[past * self._hop :].float().cpu().numpy()
        return made[: len(step.heard)], made[len(step.heard) :]

    def _finish_sound(self, step: DecodedStep, spoken: np.ndarray, forecast: np.ndarray) -> np.ndarray:
        """Joins the samples to the last step's, makes them as loud as the speech, and marks them."""
        joined = self._joiner.join(spoken, forecast, longest=step.switched)
        if step.is_speech:
            self._loudness.weigh(step.heard, joined)
        made, gain = self._joiner.match_level(joined, self._loudness.find_output_gain(step.gain))
        return self._watermark.push(made, forecast * gain) if self.settings.watermark else made
