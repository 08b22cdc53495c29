import pytest
import torch

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.fvmvc.decoder import RecurrentDecoder


def _decoder(**sizes) -> RecurrentDecoder:
    torch.manual_seed(0)
    tiny = {"z_dim": 4, "speaker_dim": 5, "n_mels": 6, "channels": 8, "recurrent_dim": 8, "postnet_channels": 8}
    return RecurrentDecoder(**{**tiny, **sizes}).eval()


def test_content_shorter_than_pitch_is_an_error():
    with pytest.raises(FaceVCError, match="9 frames of pitch but content for 8"):
        _decoder()(torch.randn(1, 4, 4), torch.randn(1, 9, 1), torch.randn(1, 5))


@pytest.mark.parametrize("frames", [1, 7, 8])
def test_output_has_the_pitchs_frames(frames):
    before, after = _decoder()(torch.randn(2, (frames + 1) // 2, 4), torch.randn(2, frames, 1), torch.randn(2, 5))
    assert before.shape == after.shape == (2, frames, 6)
    assert not torch.allclose(before, after)


def test_pitch_may_have_more_dimensions():
    before, _ = _decoder(pitch_dim=3)(torch.randn(2, 2, 4), torch.randn(2, 4, 3), torch.randn(2, 5))
    assert before.shape == (2, 4, 6)


def test_every_input_matters():
    decoder = _decoder()
    z, pitch, speaker = torch.randn(1, 4, 4), torch.randn(1, 8, 1), torch.randn(1, 5)
    _, mel = decoder(z, pitch, speaker)
    for other in ((z + 1, pitch, speaker), (z, pitch + 1, speaker), (z, pitch, speaker + 1)):
        assert not torch.allclose(decoder(*other)[1], mel)


def test_default_size_is_the_papers():
    assert sum(p.numel() for p in RecurrentDecoder().parameters()) == pytest.approx(24.8e6, rel=0.01)
