"""Decodes one source in the voices of its targets: the decoder, then what conversion adds to it (transfer/)."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from facevc_cli.conversion.speech import Source
from facevc_cli.conversion.transfer.bands import match
from facevc_cli.conversion.transfer.guidance import guide
from facevc_cli.conversion.transfer.retrieval import retrieve
from facevc_cli.conversion.transfer.variance import scale_variance
from facevc_cli.conversion.voice import Target
from facevc_cli.dsp.pitch import PitchStatistics
from facevc_cli.families.base import Capability, ConversionConfig, ConversionModel, RecordingModel


def describe_recording(model: ConversionModel, mel: Tensor) -> Tensor | None:
    """Describes a recording's normalised log-mel (T, n_mels). None if the model takes nothing from recordings."""
    if Capability.RECORDING not in model.capabilities:
        return None
    return cast(RecordingModel, model).describe_recording(mel.T[None])


def decode_voices(
    model: ConversionModel,
    style: ConversionConfig,
    guidance: float,
    source: Source,
    targets: Sequence[Target],
    pitches: Sequence[PitchStatistics],
) -> list[Tensor]:
    """Speaks the source in each target's voice, at its pitch: raw log-mels (T, n_mels)."""
    count, lf0 = len(targets), source.lf0.expand(len(targets), -1)
    spoken = torch.tensor([(pitch.mean, pitch.std) for pitch in pitches], device=lf0.device, dtype=torch.float32)
    level = spoken[:, 0], spoken[:, 1]
    speakers = torch.cat([target.speaker for target in targets])
    z = torch.cat(
        [retrieve(source.z, target.content, style.content_retrieval, source.statistics) for target in targets]
    )
    mels = model.decode(z, lf0, speakers, level, *_stack_recordings(model, [target.recording for target in targets]))
    if source.speaker is not None:
        own = [source.recording if target.recording is not None else None for target in targets]
        voices = source.speaker.expand(count, -1)
        mels = guide(mels, model.decode(z, lf0, voices, level, *_stack_recordings(model, own)), guidance)
    shares = style.spectrum_matching, style.deviation_matching
    scaled = scale_variance(mels, style.variance_scale, source.statistics)
    matched = (
        match(mel, target.bands, *shares, source.statistics) for mel, target in zip(scaled, targets, strict=True)
    )
    return [model.denormalise(mel).float() for mel in matched]


def _stack_recordings(model: ConversionModel, recordings: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """The further argument of `decode`, for a model that takes it: one description for each voice."""
    if Capability.RECORDING not in model.capabilities:
        return ()
    none = cast(RecordingModel, model).describe_no_recording()
    return (torch.cat([none if recording is None else recording for recording in recordings]),)
