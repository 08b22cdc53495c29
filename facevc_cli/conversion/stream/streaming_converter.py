"""Converts a stream: `Converter.stream(target)`.

All work is done in steps of a fixed number of frames, whatever the size of the blocks that come in. A step hears its
window of the past and a short lookahead, decodes it, and speaks the frames before the lookahead. What it made of the
lookahead is a forecast: the next step makes it better and crossfades.
"""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from facevc_cli.conversion.decoding import decode_voices
from facevc_cli.conversion.recordings import Recording
from facevc_cli.conversion.speech import Source
from facevc_cli.conversion.stream.content import hears_causally, open_content
from facevc_cli.conversion.stream.seeding import StreamVoice, describe_anybody, describe_speaker, prepare_voice
from facevc_cli.conversion.stream.settings import StreamSettings
from facevc_cli.conversion.stream.statistics import RunningLevel, RunningPitch, StreamStatistics
from facevc_cli.conversion.stream.step_speaker import DecodedStep, StepSpeaker
from facevc_cli.conversion.stream.voice_stream import Sink
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.tuning import single_threaded_pool
from facevc_cli.dsp.mel import take_log
from facevc_cli.dsp.pitch import PitchStatistics, normalise_log_f0
from facevc_cli.dsp.stream_features import FeatureStream
from facevc_cli.dsp.stream_resampler import StreamResampler

if TYPE_CHECKING:
    from facevc_cli.conversion.converter import Converter

NOTHING = np.zeros(0, np.float32)
SMOOTHED = 4  # frames more than are used, whose F0 is smoothed with the rest
LOWEST_RATE, HIGHEST_RATE = 8000, 192000
LEAST_PEAK = 0.05  # as of a recording (dsp/frontend.py)


class StreamingConverter:
    """A `VoiceStream` of one converter.

    rate: of input and output in Hz; None: the model's. `timings` adds up the seconds of each part, by `clock`.
    """

    def __init__(
        self, converter: "Converter", target: Target, rate: int | None = None, settings: StreamSettings | None = None
    ):
        self.converter, self.settings = converter, settings or StreamSettings()
        definition, s = converter.frontend.definition, self.settings
        self.rate = converter.rate if rate is None else rate
        if not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            raise UsageError(
                f"a stream's rate: expected {LOWEST_RATE} to {HIGHEST_RATE} Hz, found {self.rate}. Open the device at "
                "48000 Hz."
            )
        self.timings: dict[str, float] = {}
        self.clock: Callable[[], float] = time.perf_counter
        self._hop, self._frame_rate = definition.hop_samples, float(definition.frame_rate)
        self._into = StreamResampler(self.rate, converter.rate)
        unspoken = s.step_frames + s.lookahead_frames
        self._features = FeatureStream(definition, s.step_frames, unspoken)
        self._level, self._pitch = RunningLevel(converter.rate, s.memory_s), RunningPitch(self._frame_rate, s.memory_s)
        self._statistics = StreamStatistics(self._frame_rate, s.memory_s)
        self._speaker = StepSpeaker(converter.vocoder, s, self.rate, self._measure)
        self._pool = single_threaded_pool(1, "speak")  # has no thread before it speaks aside
        self._sink: Sink | None = None
        self._speaking: Future[None] | None = None
        self._profile = describe_anybody(converter, s.causal)
        self._statistics.set_seeds(self._profile.seeds)
        self._next_voice: StreamVoice | None = None
        self._voice = prepare_voice(converter, self._profile, target)
        self._statistics.set_seeds(self._voice.seeds)
        self.reset()

    @property
    def step_samples(self) -> int:
        return round(self.settings.step_frames * self._hop * self.rate / self.converter.rate)

    @property
    def latency_samples(self) -> int:
        frames = self.settings.step_frames + self.settings.lookahead_frames
        inside = frames * self._hop + self._features.overhang_samples + self._speaker.lookahead_samples
        rounding = 0 if self.rate == self.converter.rate else 2
        return math.ceil(inside * self.rate / self.converter.rate) + self._into.lookahead_samples + rounding

    def reset(self) -> None:
        if self._speaking is not None:
            wait([self._speaking])
        self._speaking = None
        for part in (self._into, self._features, self._level, self._pitch, self._statistics, self._speaker):
            part.reset()
        self._content = open_content(self.converter.model, self.settings.causal)
        self._bands = torch.zeros(0, self.converter.frontend.definition.n_mels, device=self.converter.device)
        self._f0 = NOTHING  # of spoken frames
        self._pushed = self._returned = 0

    def set_voice(self, target: Target) -> None:
        """Speaks in another voice from the next step on. Another thread may call this while the stream is pushed."""
        self._next_voice = prepare_voice(self.converter, self._profile, target)

    def calibrate(self, recording: Recording) -> None:
        profile = describe_speaker(self.converter, recording, self.settings.causal)
        self._profile = profile
        if profile.peak is not None:
            self._level.first_peak = profile.peak
        self._pitch.seed(profile.pitch, profile.voiced_frames)
        self._statistics.set_seeds(profile.seeds)
        self._voice = prepare_voice(self.converter, profile, (self._next_voice or self._voice).target)
        self._next_voice = None
        self._statistics.set_seeds(self._voice.seeds)
        self._level.reset()

    def push(self, samples: np.ndarray) -> np.ndarray:
        if samples.ndim != 1:
            raise FaceVCError(f"a stream takes mono samples of the shape (n,), found {samples.shape}. Mix them first.")
        self._pushed += len(samples)
        samples = np.clip(np.nan_to_num(samples), -1.0, 1.0)
        self._features.push(self._into.push(samples))
        parts = []
        while self._features.is_ready:
            step = self._hear_step()
            if step is not None:
                parts.append(self._speak(step))
        return np.concatenate(parts) if parts else NOTHING

    def flush(self) -> np.ndarray:
        self._wait_for_speaker()
        sink, self._sink = self._sink, None
        end, owed, made = self._pushed, self._pushed - self._returned, NOTHING
        try:
            while self._returned < end:
                made = np.concatenate([made, self.push(np.zeros(self.step_samples, np.float32))])
        finally:
            self._sink = sink
        self.reset()
        return made[:owed]

    def speak_into(self, sink: Sink) -> None:
        self._sink = sink

    def _speak(self, step: DecodedStep) -> np.ndarray:
        """Returns the samples, or nothing if the sink gets them."""
        if self._sink is None:
            made = self._speaker.speak(step)
            self._returned += len(made)
            return made
        self._wait_for_speaker()
        self._speaking = self._pool.submit(self._speak_aside, step, self._sink)
        return NOTHING

    def _wait_for_speaker(self) -> None:
        if self._speaking is not None:
            self._speaking.result()
        self._speaking = None

    def _speak_aside(self, step: DecodedStep, sink: Sink) -> None:
        made = self._speaker.speak(step)
        self._returned += len(made)
        sink(made)

    @torch.inference_mode()
    def _hear_step(self) -> DecodedStep | None:
        """Hears the next frames, and decodes those that are not spoken yet. None if these are all lookahead."""
        s, switched = self.settings, self._take_next_voice()
        with self._measure("features"):
            gain = self._hear_frames()
            f0 = self._features.read_f0(min(self._features.frames, s.step_frames + s.lookahead_frames + SMOOTHED))
        with self._measure("content"):
            z = self._hear_content(gain)
        f0 = f0[-(s.step_frames + s.lookahead_frames) :]  # not spoken yet
        count = len(f0) - s.lookahead_frames
        if count <= 0:
            return None
        with self._measure("decoder"):
            mels = self._decode(z, f0)
        self._f0 = np.concatenate([self._f0, f0[:count]])[-s.decoder_frames :]
        self._pitch.add(f0[:count])
        end = self._features.frames - s.lookahead_frames
        heard = self._features.read((end - count) * self._hop, end * self._hop)
        return DecodedStep(mels, end - count, heard, gain, self._level.speaks, switched)

    @contextmanager
    def _measure(self, part: str) -> Iterator[None]:
        started = self.clock()
        yield
        self.timings[part] = self.timings.get(part, 0.0) + self.clock() - started

    def _take_next_voice(self) -> bool:
        voice, self._next_voice = self._next_voice, None
        if voice is None:
            return False
        self._voice = voice
        self._statistics.set_seeds(voice.seeds)
        return True

    def _hear_frames(self) -> float:
        """Adds the next frames to the window. Returns the gain that the input needs."""
        bands, hop = self._features.make_step(), self._hop
        end = self._features.frames * hop + self._features.overhang_samples
        start = end - len(bands) * hop if self._features.frames > len(bands) else 0
        self._level.hear(self._features.read(start, end))
        causal = hears_causally(self.converter.model, self.settings.causal)
        most = self._decoder_window if causal else max(self.settings.content_frames, self._decoder_window)
        self._bands = torch.cat([self._bands, bands.to(self._bands.device)])[-most:]
        peak = self.converter.frontend.peak
        return 1.0 if peak is None else peak / max(LEAST_PEAK, self._level.peak)

    @property
    def _decoder_window(self) -> int:
        return self.settings.decoder_frames + self.settings.step_frames + self.settings.lookahead_frames

    def _hear_content(self, gain: float) -> Tensor:
        """(1, T / 2, z_dim) of the window's T frames."""
        log_mel = take_log(self._bands * gain, self.converter.frontend.definition)
        mel = self.converter.model.normalise(log_mel)
        self._begin_statistics(len(mel))
        return self._content.hear(mel.T[None], self.settings.step_frames, self._statistics)

    def _begin_statistics(self, window: int) -> None:
        """Only frames that are spoken now count, and only if they are speech."""
        end = max(0, window - self.settings.lookahead_frames)
        first = max(0, end - self.settings.step_frames)
        self._statistics.begin(window, first if self._level.speaks else end, end)

    def _decode(self, z: Tensor, newest_f0: np.ndarray) -> Tensor:
        """Content and F0 -> raw log-mel (T, n_mels) of the decoder's window."""
        pitch = self._pitch.measure(newest_f0)
        f0 = np.concatenate([self._f0, newest_f0])[-self._decoder_window :]
        lf0 = torch.from_numpy(normalise_log_f0(f0, pitch)).to(self.converter.device)[None]
        self._begin_statistics(len(f0))
        heard, z = self._profile.source, z[:, -(len(f0) // 2) :]
        source = Source(z, lf0, pitch, 0.0, 0.0, 0.0, heard.speaker, self._statistics, heard.recording)
        spoken = self._choose_pitch(source)
        c, target = self.converter, self._voice.target
        return decode_voices(c.model, c.style, c.guidance, source, [target], [spoken])[0]

    def _choose_pitch(self, source: Source) -> PitchStatistics:
        """A pitch in Hz is a median, so that of the last seconds counts, not that of the window."""
        recent = self._pitch.list_recent()
        lf0 = (recent - source.pitch.mean) / max(source.pitch.std, 0.01)
        return self.converter.choose_pitch(replace(source, lf0=torch.from_numpy(lf0)[None]), self._voice.target)
