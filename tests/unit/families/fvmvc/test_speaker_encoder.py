import pytest
import torch

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.fvmvc.face_encoder import FaceEncoder
from facevc_cli.families.fvmvc.speaker_encoder import ChannelAttention, DVectorEncoder, MelSpeakerEncoder


def _mel_encoder(**settings) -> MelSpeakerEncoder:
    torch.manual_seed(0)
    return MelSpeakerEncoder(n_mels=6, channels=4, voice_dim=5, bank_kernels=4, dense_blocks=2, **settings)


def test_no_frames_is_an_error():
    with pytest.raises(FaceVCError, match="no frames"):
        _mel_encoder()(torch.zeros(1, 6, 0))


def test_channel_attention_is_what_its_formula_says():
    torch.manual_seed(0)
    module = ChannelAttention(3, 2)
    x = torch.randn(1, 3)
    q, k, v = module.query(x)[0], module.key(x)[0], module.value(x)[0]
    rows = [
        sum((torch.exp(q[i] * k[j]) * v[j] for j in range(2)), torch.tensor(0.0)) / torch.exp(q[i] * k).sum()
        for i in range(2)
    ]
    expected = torch.stack(rows)
    assert torch.allclose(module(x)[0], expected / expected.norm(), atol=1e-6)


@pytest.mark.parametrize("module", [DVectorEncoder(7, 5), FaceEncoder(7, 5)])
def test_embeddings_have_unit_length(module):
    out = module(torch.randn(3, 7))
    assert out.shape == (3, 5)
    assert torch.allclose(out.norm(dim=-1), torch.ones(3), atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 3, 17])
def test_mel_encoder_takes_any_length(frames):
    out = _mel_encoder()(torch.randn(2, 6, frames))
    assert out.shape == (2, 5)
    assert torch.allclose(out.norm(dim=-1), torch.ones(2), atol=1e-6)


def test_mel_encoder_normalisation_is_a_setting():
    mel = torch.randn(2, 6, 20)
    plain, unit = _mel_encoder(normalize=False)(mel), _mel_encoder()(mel)
    assert torch.allclose(plain / plain.norm(dim=-1, keepdim=True), unit, atol=1e-6)
    assert not torch.allclose(plain, unit)
