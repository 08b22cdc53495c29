"""Defines what a stream of converted speech can do. Devices, pages and simulations use a stream through this file."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from facevc_cli.conversion.recordings import Recording
from facevc_cli.conversion.voice import Target

Sink = Callable[[np.ndarray], None]  # takes samples (n,)


class VoiceStream(Protocol):
    """Takes speech in blocks of any size and returns it in another voice. One object serves one stream and one thread.

    Output sample k belongs to input sample k. A stream owes at most `latency_samples` samples: after n samples were
    pushed, at least n - latency_samples have been returned.
    """

    @property
    def rate(self) -> int:
        """Samples per second of input and output."""

    @property
    def latency_samples(self) -> int:
        """How many samples must follow a sample before its conversion is returned, at most. Computing comes on top."""

    @property
    def step_samples(self) -> int:
        """About how many samples are converted at once. Most pushes of smaller blocks only collect."""

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Takes (n,) float32 in [-1, 1] and returns what is ready: (m,) float32, often empty.

        The whole output does not depend on how the input is cut into blocks.
        """

    def flush(self) -> np.ndarray:
        """Ends the stream: returns the samples that are still owed. Afterwards the stream begins anew, as if `reset`
        was called.
        """

    def speak_into(self, sink: Sink) -> None:
        """From now on a step is spoken while the next is heard, in a thread of its own, which takes a second CPU.

        `sink` gets the samples there, as soon as they are spoken. `push` returns none, and raises what the thread
        raised. `flush` still returns what is owed.
        """

    def reset(self) -> None:
        """Forgets the sound so far. Keeps the voice and what `calibrate` measured."""

    def set_voice(self, target: Target) -> None:
        """Speaks in another voice from the next step on, with a crossfade."""

    def calibrate(self, recording: Recording) -> None:
        """Measures a recording of the speaker, so that level, pitch and content are right from the first word on.

        5 to 10 seconds are enough. FaceVCError if the recording cannot be read.
        """
