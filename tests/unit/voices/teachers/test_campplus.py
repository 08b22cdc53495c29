"""voices/teachers/campplus.py: shapes of the published weights, and what it must not hear."""

import numpy as np
import pytest
import torch

from facevc_cli.dsp.mel import MEL_DEFINITIONS, find_band_centres_hz
from facevc_cli.voices.teachers.campplus import CAMPlusPlus, VoiceVerifier, filter_bank_centres_hz

HIFIGAN = MEL_DEFINITIONS["hifigan"]


@pytest.fixture(scope="module")
def verifier():
    torch.manual_seed(0)
    return VoiceVerifier(HIFIGAN).eval()


def test_the_names_and_shapes_of_the_published_weights():
    state = CAMPlusPlus().state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert len(shapes) == 937
    for name, shape in {
        "head.conv1.weight": (32, 1, 3, 3),
        "head.layer1.0.shortcut.0.weight": (32, 32, 1, 1),
        "xvector.tdnn.linear.weight": (128, 320, 5),
        "xvector.block1.tdnnd1.linear1.weight": (128, 128, 1),
        "xvector.block3.tdnnd16.cam_layer.linear_local.weight": (32, 128, 3),
        "xvector.block3.tdnnd16.cam_layer.linear2.bias": (32,),
        "xvector.transit3.nonlinear.batchnorm.weight": (1024,),
        "xvector.transit3.linear.weight": (512, 1024, 1),
        "xvector.out_nonlinear.batchnorm.bias": (512,),
        "xvector.dense.linear.weight": (192, 1024, 1),
        "xvector.dense.nonlinear.batchnorm.running_mean": (192,),
    }.items():
        assert shapes[name] == shape, name
    assert "xvector.dense.nonlinear.batchnorm.weight" not in shapes and "xvector.transit1.linear.bias" not in shapes


def test_kaldis_bands():
    centres = filter_bank_centres_hz()
    assert len(centres) == 80 and 20 < centres[0] < 60 and 7500 < centres[-1] < 8000
    steps = np.diff(1127 * np.log1p(centres / 700))
    np.testing.assert_allclose(steps, steps[0])


def test_loudness_and_microphone_are_not_heard(verifier):
    mel = torch.randn(2, 120, 80)
    heard = verifier(mel)
    assert heard.shape == (2, 192) and heard.norm(dim=-1).tolist() == pytest.approx([1, 1], rel=1e-5)
    torch.testing.assert_close(verifier(mel + 3 + torch.randn(80)), heard, atol=1e-4, rtol=1e-3)


def test_bands_are_found_at_their_frequencies(verifier):
    centres = torch.from_numpy(find_band_centres_hz(HIFIGAN)).float()
    found = torch.lerp(centres[verifier.low], centres[verifier.low + 1], verifier.share)
    wanted = np.clip(filter_bank_centres_hz(), float(centres[0]), float(centres[-1]))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4)


@pytest.mark.parametrize("frames", [2, 7, 250])
def test_gradients_reach_the_mel_whatever_its_length(verifier, frames):
    mel = torch.randn(1, frames, 80, requires_grad=True)
    verifier(mel)[0, 0].backward()
    assert bool(torch.isfinite(mel.grad).all()) and bool(mel.grad.abs().sum() > 0)
