"""What a stream starts from: a calibration of the speaker, or what is likely of anybody."""

from dataclasses import dataclass, field
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from facevc_cli.conversion.decoding import decode_voices
from facevc_cli.conversion.recordings import Recording, load_recording
from facevc_cli.conversion.speech import Source
from facevc_cli.conversion.stream.content import open_content
from facevc_cli.conversion.stream.statistics import Seed, SeedStatistics
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError, name_in_errors
from facevc_cli.dsp.pitch import PitchStatistics, normalise_log_f0

if TYPE_CHECKING:
    from facevc_cli.conversion.converter import Converter

ANYBODY = ("speech_man.flac", "speech_woman.flac")  # of the bundled examples
ANYBODY_S = 3.0  # of each
CALIBRATION_S = 20.0  # at most
DECODED_S = 2.0  # of it are decoded in a voice, to know the voice's usual log-mel


@dataclass(frozen=True)
class SpeakerProfile:
    """What is known of the speaker. source: the calibration, analysed; pitch None: nobody in particular."""

    source: Source
    seeds: dict[str, Seed] = field(default_factory=dict)
    pitch: PitchStatistics | None = None
    voiced_frames: int = 0
    peak: float | None = None


@dataclass(frozen=True)
class StreamVoice:
    """A target, and what the steps of its conversions measure at first."""

    target: Target
    seeds: dict[str, Seed]


@torch.inference_mode()
def describe_anybody(converter: "Converter", causal: bool) -> SpeakerProfile:
    """Measures the content of two bundled examples. Level and pitch of their speakers do not count."""
    mels, lf0 = [], []
    for name in ANYBODY:
        with as_file(files("facevc_cli") / "assets/examples" / name) as path:
            wav = load_recording(path, converter.rate)[: round(ANYBODY_S * converter.rate)]
        mel, f0 = converter.frontend.extract_features(converter.frontend.prepare(wav))
        mels.append(mel)
        lf0.append(normalise_log_f0(f0))
    return _describe(converter, np.concatenate(mels), np.concatenate(lf0), None, causal)


@torch.inference_mode()
def describe_speaker(converter: "Converter", recording: Recording, causal: bool) -> SpeakerProfile:
    """Measures a calibration: level, pitch, content, and for guidance the speaker's own voice.

    FaceVCError if it cannot be read or nobody speaks in it.
    """
    with name_in_errors(recording):
        wav = load_recording(recording, converter.rate)[: round(CALIBRATION_S * converter.rate)]
        heard = converter.hear((wav, converter.rate))
        voiced = int((heard.f0 > 0).sum())
        if voiced < converter.frontend.definition.frame_rate / 2:
            raise FaceVCError(
                "a calibration needs speech: expected at least half a second of voice, found "
                f"{voiced / float(converter.frontend.definition.frame_rate):.1f} s. Speak for 5 to 10 seconds."
            )
        analysed = converter.encode(heard)
    lf0 = normalise_log_f0(heard.f0, analysed.pitch)
    made = _describe(converter, heard.mel, lf0, analysed, causal)
    return SpeakerProfile(made.source, made.seeds, analysed.pitch, voiced, float(np.abs(wav).max()))


def _describe(
    converter: "Converter", mel: np.ndarray, lf0: np.ndarray, analysed: Source | None, causal: bool
) -> SpeakerProfile:
    even = len(mel) // 2 * 2
    normalised = converter.model.normalise(torch.from_numpy(mel[:even]).to(converter.device))
    statistics = SeedStatistics(float(converter.frontend.definition.frame_rate))
    z = open_content(converter.model, causal).hear(normalised.T[None], even, statistics)
    pitch = analysed.pitch if analysed is not None else PitchStatistics.of(np.zeros(0))
    source = Source(
        z,
        torch.from_numpy(lf0[:even]).to(converter.device)[None],
        pitch,
        0.0,
        0.0,
        even / float(converter.frontend.definition.frame_rate),
        None if analysed is None else analysed.speaker,
        statistics,
        None if analysed is None else analysed.recording,
    )
    return SpeakerProfile(source, statistics.seeds)


@torch.inference_mode()
def prepare_voice(converter: "Converter", profile: SpeakerProfile, target: Target) -> StreamVoice:
    """Speaks the last seconds of the calibration in a voice, to measure what its steps will ask for."""
    rate = float(converter.frontend.definition.frame_rate)
    frames = min(profile.source.lf0.shape[1], round(DECODED_S * rate / 2) * 2)
    statistics = SeedStatistics(rate)
    source = _take_end(profile.source, frames, statistics)
    pitch = converter.choose_pitch(source, target)
    decode_voices(converter.model, converter.style, converter.guidance, source, [target], [pitch])
    return StreamVoice(target, statistics.seeds)


def _take_end(source: Source, frames: int, statistics: SeedStatistics) -> Source:
    z: Tensor = source.z[:, -(frames // 2) :]
    lf0, seconds = source.lf0[:, -frames:], source.seconds
    return Source(z, lf0, source.pitch, 0.0, 0.0, seconds, source.speaker, statistics, source.recording)
