"""What is heard in a voice: the register, the age and the pitch that a face for it should agree with."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from facevc_cli.conversion.recordings import Recording, load_recording
from facevc_cli.core.errors import FaceVCError, name_in_errors
from facevc_cli.dsp.pitch import extract_f0
from facevc_cli.voices.dvector import VOICE_DIM, VOICE_RATE
from facevc_cli.voices.traits import load_trait_reader

if TYPE_CHECKING:
    from facevc_cli.voices.dvector import VoiceEmbedder

# Log odds that a speaker is labelled a woman: both fitted on 7,352 utterances of 1,993 speakers by
# recipes/portraits/local/imagined.py. Right for .965 of the utterances in five folds over speakers.
OF_REGISTER, OF_LOG_F0, OF_BOTH = 8.257, 1.266, -11.371
OF_REGISTER_ALONE, ALONE = 8.938, -5.242  # for a voice without a pitch, such as a whisper
HOP_SAMPLES = 160
MOST_HEARD_S = 30  # the rest of a longer recording adds nothing
LEAST_VOICED_S = 0.2


@dataclass(frozen=True, eq=False)
class VoiceDescription:
    """dvector: (256,). log_f0: mean ln F0 (Hz), None if unknown. feminine: the probability that the speaker is labelled
    a woman. age_years: the expected age; a voice says little about it.
    """

    dvector: np.ndarray
    log_f0: float | None
    feminine: float
    age_years: float

    @classmethod
    def of(cls, dvector: np.ndarray, log_f0: float | None) -> "VoiceDescription":
        """Reads a d-vector. FaceVCError if it is none."""
        dvector = np.asarray(dvector, np.float32)
        if dvector.shape != (VOICE_DIM,) or not np.isfinite(dvector).all() or not dvector.any():
            raise FaceVCError(f"expected a d-vector of {VOICE_DIM} finite numbers, found the shape {dvector.shape}.")
        heard = load_trait_reader().read(torch.from_numpy(dvector))
        return cls(dvector, log_f0, find_feminine(heard.register, log_f0), heard.age_years)

    def ask_for(self, feminine: float | None, age_years: float | None) -> "VoiceDescription":
        """Replaces what was heard by what is asked for. None keeps it."""
        asked = self if feminine is None else replace(self, feminine=feminine)
        return asked if age_years is None else replace(asked, age_years=age_years)


def listen(recording: Recording, embedder: "VoiceEmbedder") -> VoiceDescription:
    """Describes the voice of a recording. FaceVCError if it is silent or cannot be read."""
    with name_in_errors(recording):
        wav = load_recording(recording, VOICE_RATE)[: MOST_HEARD_S * VOICE_RATE]
        return VoiceDescription.of(embedder.embed(wav), measure_log_f0(wav))


def find_feminine(register: float, log_f0: float | None) -> float:
    """Returns the probability that a voice is labelled a woman's.

    register: as in `VoiceTraits`.
    """
    if log_f0 is None:
        odds = OF_REGISTER_ALONE * register + ALONE
    else:
        odds = OF_REGISTER * register + OF_LOG_F0 * log_f0 + OF_BOTH
    return 1 / (1 + math.exp(-min(max(odds, -30.0), 30.0)))


def measure_log_f0(wav: np.ndarray) -> float | None:
    """(n,) at 16 kHz -> the mean ln F0 (Hz) of voiced frames. None if hardly anything is voiced."""
    f0 = extract_f0(wav[: MOST_HEARD_S * VOICE_RATE], VOICE_RATE, HOP_SAMPLES)
    voiced = f0[f0 > 0]
    if len(voiced) * HOP_SAMPLES < LEAST_VOICED_S * VOICE_RATE:
        return None
    return float(np.log(voiced.astype(np.float64)).mean())
