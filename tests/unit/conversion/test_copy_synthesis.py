"""Copy synthesis: the recording's own log-mel, as loud as the recording."""

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint
from helpers.networks import make_converter
from helpers.sounds import buzz

from facevc_cli.conversion.copy_synthesis import synthesise_copy
from facevc_cli.dsp.level import measure_rms


def test_a_copy_is_the_vocoded_log_mel_as_loud_as_the_recording(tmp_path):
    converter = make_converter(checkpoint(tmp_path / "run", "starter", overrides=("conversion.voice_guidance=0",)))
    heard = converter.hear((buzz(0.7, converter.rate, level=0.2), converter.rate))
    made = synthesise_copy(converter, heard)
    assert made.shape == (len(heard.mel) * 256,) and made.dtype == np.float32
    assert measure_rms(made) == pytest.approx(heard.rms, rel=1e-3)
    with torch.inference_mode():
        spoken = converter.vocoder(torch.from_numpy(heard.mel)).numpy()
    assert np.corrcoef(made, spoken)[0, 1] > 0.9999
