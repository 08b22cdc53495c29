"""The way of the sound from a microphone to a loudspeaker. It knows no device, no thread and no clock.

The device's thread calls `capture` and `play`; the worker calls `take`, `convert` and `give` in turn. If the converter
speaks aside, the thread that speaks gives.
"""

import threading
from dataclasses import dataclass

import numpy as np

from facevc_cli.conversion.stream.voice_stream import VoiceStream
from facevc_cli.dsp.stream_resampler import StreamResampler
from facevc_cli.live.fifo import SampleFifo, Timeline
from facevc_cli.live.figures import LiveFigures
from facevc_cli.live.gate import GateSettings, VoiceGate
from facevc_cli.live.player import Player

BLOCK_S = 0.01  # of sound that a device gives or takes at once
ROOM_S = 3.0  # of each FIFO
LATE_S = 0.1  # what waits beyond a step for so long is dropped
MOST_STEPS = 3  # that are converted at once, to catch up
LEAST_S = 0.005  # of sound that is worth a call of the converter
GATE_AHEAD_S = 0.06  # the gate opens so long before the voice, if the converter's latency allows it


@dataclass(frozen=True)
class Step:
    """Samples (n,) at the microphone's rate, their place in all that are converted, and when they were captured."""

    samples: np.ndarray
    position: int
    captured_s: float


class LivePath:
    """One microphone, one converter and one loudspeaker, whose rates may all differ.

    aside: lets the converter speak a step while it hears the next. muted: what is captured now comes out as silence.
    """

    def __init__(
        self,
        converter: VoiceStream,
        in_rate: int,
        out_rate: int,
        *,
        gate: GateSettings = GateSettings(),
        spare_s: float = 0.02,
        aside: bool = False,
        figures: LiveFigures | None = None,
    ):
        self.converter, self.in_rate, self.out_rate = converter, in_rate, out_rate
        self.figures = figures or LiveFigures()
        self.gate = VoiceGate(converter.rate, gate)
        self.muted = False
        self.ready = threading.Event()  # set when there may be a step to take
        step_s = converter.step_samples / converter.rate
        self._step, self._least = round(step_s * in_rate), round(LEAST_S * in_rate)
        self._captured = SampleFifo(round(ROOM_S * in_rate))
        self._made = SampleFifo(round(ROOM_S * out_rate))
        self.player = Player(self._made, out_rate, round(step_s * out_rate), self.figures)
        self.player.raise_spare(spare_s)
        self._capture_times, self._heard_times = Timeline(in_rate), Timeline(converter.rate)
        self._made_times = Timeline(out_rate)
        self._down = StreamResampler(in_rate, converter.rate)
        self._up = StreamResampler(converter.rate, out_rate)
        self._arrived = self._lost = self._taken = self._up_samples = 0
        self._loudness = 1.0  # of the microphone: 0 when it is muted
        self._latest = (0.0, 0.0)  # captured seconds, and the clock then
        self._gains = np.zeros(0, np.float32)
        self._gain_skip = self._choose_gate_ahead()
        self._ungated = np.zeros(0, np.float32)
        self._gains_lock = threading.Lock()
        self._aside = aside
        if aside:
            converter.speak_into(lambda made: self.give(self._finish(made)))

    def _choose_gate_ahead(self) -> int:
        """How many samples the gate's gains come before the sound that they are for: a step never waits for a gain."""
        spare = self.converter.latency_samples - self.converter.step_samples - self.gate.rate // 100
        return max(0, min(round(GATE_AHEAD_S * self.gate.rate), spare))

    # the device's side

    def capture(self, block: np.ndarray, now_s: float) -> None:
        """Takes a block (n,) from the microphone, whose last sample was captured at `now_s` by any steady clock."""
        wanted = 0.0 if self.muted else 1.0
        if wanted != 1 or self._loudness != 1:
            block = block * np.linspace(self._loudness, wanted, len(block), dtype=np.float32)  # a jump would click
            self._loudness = wanted
        if not self._arrived or self._lost:
            self._capture_times.mark(self._captured.written, self._arrived / self.in_rate)
        self._arrived += len(block)
        self._lost = len(block) - self._captured.write(block)
        self.figures.count_drop(self._lost / self.in_rate)
        self._latest = (self._arrived / self.in_rate, now_s)
        self.ready.set()

    def play(self, count: int, heard_s: float) -> np.ndarray:
        """Returns the next block (count,) for the loudspeaker. Its first sample is heard at `heard_s`."""
        position = self._made.read
        block = self.player.play(count)
        captured_s = self._made_times.find(position)
        if captured_s is not None and self._made.read > position:
            latest_s, clock_s = self._latest
            self.figures.count_latency(heard_s - clock_s + latest_s - captured_s)
        return block

    # the worker's side

    def take(self, last: bool = False) -> Step | None:
        """Takes what waits, up to three steps, or None if that is next to nothing. What is too late is left out.

        last: nothing follows, so that any rest is enough.
        """
        waiting, most = len(self._captured), MOST_STEPS * self._step
        if waiting < (1 if last else self._least):
            return None
        if waiting > most + LATE_S * self.in_rate:
            fade = self.player.fade * self.in_rate // self.out_rate
            gap = self._captured.drop(waiting - max(self._step, 2 * fade), fade, fade // 3)
            self.figures.count_drop(gap / self.in_rate)
        captured_s = self._capture_times.find(self._captured.read) or 0.0
        step = Step(self._captured.take(most), self._taken, captured_s)
        self._taken += len(step.samples)
        return step

    def convert(self, step: Step) -> np.ndarray:
        """Converts a step -> what is ready (n,) at the loudspeaker's rate. Nothing, if the converter speaks aside."""
        self._heard_times.mark(round(step.position * self.converter.rate / self.in_rate), step.captured_s)
        made = self._convert(self._down.push(step.samples))
        return made if self._aside else self._finish(made)

    def convert_end(self) -> np.ndarray:
        """Returns what the converter and the resamplers still keep back. Nothing may be converted afterwards."""
        rest = self._convert(self._down.push(np.zeros(self._down.lookahead_samples, np.float32)))
        made = self._finish(np.concatenate([rest, self.converter.flush()]), last=True)
        return np.concatenate([made, self._up.push(np.zeros(self._up.lookahead_samples, np.float32))])

    def give(self, made: np.ndarray) -> None:
        """Passes converted samples (n,) on to the loudspeaker's side. Only one thread gives."""
        if not len(made):
            return
        captured_s = self._heard_times.find(self._up_samples * self.converter.rate // self.out_rate)
        if captured_s is not None:
            self._made_times.mark(self._made.written, captured_s)
        self._up_samples += len(made)
        refused = len(made) - self._made.write(made)
        self.figures.count_drop(refused / self.out_rate)

    def _convert(self, wav: np.ndarray) -> np.ndarray:
        """Converts samples at the model's rate, and notes their gains."""
        gains = self.gate.follow(wav)
        with self._gains_lock:
            self._gains = np.concatenate([self._gains, gains])
        return self.converter.push(wav) if len(wav) else wav

    def _finish(self, made: np.ndarray, last: bool = False) -> np.ndarray:
        """Gates converted samples, and brings them to the loudspeaker's rate."""
        with self._gains_lock:
            return self._up.push(self._apply_gate(made, last))

    def _apply_gate(self, made: np.ndarray, last: bool) -> np.ndarray:
        """Applies the gains to the converted samples that they are for. Samples wait until theirs is known."""
        skipped = min(self._gain_skip, len(self._gains))
        self._gains, self._gain_skip = self._gains[skipped:], self._gain_skip - skipped
        made = np.concatenate([self._ungated, made])
        count = len(made) if last else min(len(made), len(self._gains))
        made, self._ungated = made[:count], made[count:]
        gains, self._gains = self._gains[:count], self._gains[count:]
        lacking = count - len(gains)
        if lacking:
            gains = np.concatenate([gains, np.full(lacking, gains[-1] if len(gains) else 1.0, np.float32)])
        return made * gains
