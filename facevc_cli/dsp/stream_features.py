"""Computes log-mel bands and F0 of a stream, step by step, on the frames that `mel.py` and `pitch.py` have."""

import numpy as np
import torch
from torch import Tensor

from facevc_cli.dsp.mel import MelDefinition, filter_bands
from facevc_cli.dsp.pitch import extract_f0

PITCH_WINDOW_S = 0.25  # DIO hears this much each time; more changes nothing
MOST_JUMP = 0.35  # in ln Hz between neighbouring frames; a larger one is an octave error


class FeatureStream:
    """Turns samples into frames, `step_frames` at a time.

    The frames equal those of the whole recording, but for the last ones, which a recording mirrors and a stream cannot.
    """

    def __init__(self, definition: MelDefinition, step_frames: int, kept_frames: int = 0):
        """kept_frames: how many frames' samples `read` must still give; at least .25 s are kept."""
        d = definition
        self.definition, self.step_frames = d, step_frames
        self.side_samples = d.n_fft // 2 if d.centred else (d.n_fft - d.hop_samples) // 2
        # how many samples after its own hop a frame needs
        self.overhang_samples = d.n_fft - d.hop_samples - self.side_samples
        self._pitch_frames = round(PITCH_WINDOW_S * d.rate / d.hop_samples)
        self._kept_samples = max(max(self._pitch_frames, kept_frames) * d.hop_samples, self.side_samples)
        self.reset()

    def reset(self) -> None:
        self.frames = 0  # made so far
        self._sound = np.zeros(0, np.float32)  # what is still needed
        self._first = 0  # the position of its first sample

    @property
    def is_ready(self) -> bool:
        """True if another step can be made."""
        have = self._first + len(self._sound)
        return have >= (self.frames + self.step_frames) * self.definition.hop_samples + self.overhang_samples

    def push(self, samples: np.ndarray) -> None:
        self._sound = np.concatenate([self._sound, samples])

    def make_step(self) -> Tensor:
        """Returns the band magnitudes (step_frames, n_mels) of the next frames."""
        d, hop = self.definition, self.definition.hop_samples
        start = self.frames * hop - self.side_samples
        self.frames += self.step_frames
        end = self.frames * hop + self.overhang_samples
        sound = self.read(max(0, start), end)
        if start < 0:  # the beginning is mirrored, as in a recording
            sound = np.concatenate([sound[1 : 1 - start][::-1], sound])
        kept = max(0, self.frames * hop - self._kept_samples)
        made = filter_bands(torch.from_numpy(sound), d)
        self._sound, self._first = self._sound[max(0, kept - self._first) :], max(kept, self._first)
        return made

    def read(self, start: int, end: int) -> np.ndarray:
        """Returns the samples from position `start` up to `end`, as far as they are kept."""
        return self._sound[start - self._first : end - self._first]

    def read_f0(self, count: int) -> np.ndarray:
        """Returns F0 in Hz (count,) of the last frames, 0 in unvoiced ones.

        The last of them are provisional: DIO hears little after them. A later call corrects them.
        """
        hop = self.definition.hop_samples
        first = max(0, self.frames - self._pitch_frames)
        sound = self.read(first * hop, self.frames * hop + self.overhang_samples)
        f0 = extract_f0(sound, self.definition.rate, hop, self.frames - first)[-count:]
        return smooth_voicing(np.pad(f0, (count - len(f0), 0)))


def smooth_voicing(f0: np.ndarray) -> np.ndarray:
    """Fills single gaps, removes single jumps, then single voiced frames. (T,) Hz -> (T,), ends unchanged."""
    out = f0.copy()
    before, here, after = f0[:-2], f0[1:-1], f0[2:]
    voiced, neighbours = (before > 0) & (after > 0), np.sqrt(before * after)
    with np.errstate(divide="ignore", invalid="ignore"):
        steady = np.abs(np.log(before / after)) < MOST_JUMP
        jumps = steady & (np.abs(np.log(here / neighbours)) > MOST_JUMP)
    out[1:-1] = np.where(voiced & ((here == 0) | jumps), neighbours, here)
    alone = (out[:-2] == 0) & (out[2:] == 0)
    out[1:-1][alone] = 0.0
    return out
