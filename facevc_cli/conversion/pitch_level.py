"""Chooses the pitch that a voice speaks at."""

from typing import cast

import torch

from facevc_cli.conversion.speech import Source
from facevc_cli.conversion.voice import Target
from facevc_cli.dsp.pitch import PitchStatistics, match_range
from facevc_cli.families.base import ConversionModel, MemoryModel


@torch.inference_mode()
def find_log_f0(model: ConversionModel, target: Target) -> float:
    """Returns the mean ln F0 (Hz) of the target's own voice: measured if possible, else predicted by the model."""
    if target.log_f0_mean is not None:
        return target.log_f0_mean
    if target.address is None:
        return float(model.predict_pitch(target.speaker)[0])
    return float(cast(MemoryModel, model).predict_pitch_at(target.address.log())[0])


def choose_pitch(model: ConversionModel, source: Source, target: Target, range_matching: float) -> PitchStatistics:
    """Chooses mean and deviation of ln F0 by the target's rule. A recalled voice gets the source's range.

    range_matching: as `pitch_range_matching` in ConversionConfig.
    """
    std = source.pitch.std
    if target.log_f0_std is not None:
        std = match_range(std, target.log_f0_std, range_matching)
    own = PitchStatistics(find_log_f0(model, target), std)
    return target.pitch.choose_statistics(own, source.pitch, source.lf0[0].cpu().numpy())
