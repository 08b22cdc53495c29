"""Copy synthesis: a recording through the front-end and the vocoder alone. No conversion keeps more."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from facevc_cli.conversion.speech import SpeechFeatures
from facevc_cli.dsp.level import match_loudness
from facevc_cli.vocoders import vocode_long

if TYPE_CHECKING:
    from facevc_cli.conversion.converter import Converter


@torch.inference_mode()
def synthesise_copy(converter: "Converter", heard: SpeechFeatures) -> np.ndarray:
    """Speaks the log-mel of a recording: (n,) float32 at the converter's rate, as loud as the recording."""
    wav = vocode_long(converter.vocoder, torch.from_numpy(heard.mel).to(converter.device))
    return match_loudness(wav.numpy(), heard.rms)
