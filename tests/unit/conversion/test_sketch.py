"""conversion/sketch.py: a sketch holds a d-vector only if the voice embedding is one."""

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint
from helpers.networks import make_converter

from facevc_cli.conversion.sketch import sketch_voice
from facevc_cli.conversion.voice import Target


@pytest.mark.parametrize(("encoder", "holds"), [("identity", True), ("dvector", False)])
def test_only_a_d_vector_is_taken_for_one(encoder, holds, tmp_path):
    converter = make_converter(
        checkpoint(tmp_path / "model", "starter", overrides=(f"model.speaker_encoder={encoder}",))
    )
    assert converter.model.needs_dvector  # both kinds of models hear d-vectors
    speaker = torch.linspace(-1, 1, 256)[None]
    sketch = sketch_voice(converter, Target(speaker, log_f0_mean=np.log(200.0)))
    assert sketch.f0_hz == pytest.approx(200.0)
    if holds:
        np.testing.assert_array_equal(sketch.dvector, speaker[0].numpy())
    else:
        assert sketch.dvector is None
