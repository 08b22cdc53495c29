"""The causal content encoder: it hears no future beyond its lookahead, and a stream equals the whole."""

import pytest
import torch

from facevc_cli.families.fvmvc.causal_content import CausalContentEncoder, CausalContentStream, merge_estimates


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return CausalContentEncoder(n_mels=5, z_dim=3, channels=8, blocks=4, lookahead_frames=4).eval()


def test_estimates_hear_what_they_say(encoder):
    mel = torch.randn(2, 5, 40)
    made, _ = encoder(mel)
    assert made.shape == (2, 20, 3, 3)
    changed = mel.clone()
    changed[..., 20:] += 1  # frame 10 of the content and later ones
    other, _ = encoder(changed)
    torch.testing.assert_close(other[:, :10], made[:, :10])
    assert (other[:, 10] - made[:, 10]).abs().min() > 0


@torch.no_grad()
def test_a_stream_in_pieces_equals_the_whole(encoder):
    mel = torch.randn(1, 5, 60)
    whole, _ = encoder(mel)
    state, parts = None, []
    for size in (2, 8, 4, 46):
        first = 2 * sum(part.shape[1] for part in parts)
        made, state = encoder(mel[..., first : first + size], state)
        parts.append(made)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-4)


def test_later_estimates_replace_earlier_ones():
    # frame t, lag l: 10 t + l
    made = torch.tensor([[[[10.0 * t + lag] for lag in range(3)] for t in range(5)]])
    expected = torch.tensor([[[22.0], [32.0], [42.0], [41.0], [40.0]]])  # of frames 0 to 4
    torch.testing.assert_close(merge_estimates(None, made), expected)
    for size in (1, 2, 3):
        merged = None
        for first in range(0, 5, size):
            merged = merge_estimates(merged, made[:, first : first + size])
        torch.testing.assert_close(merged, expected)
    many = torch.arange(8.0).reshape(1, 2, 4, 1)  # fewer frames than estimates of a frame
    torch.testing.assert_close(merge_estimates(None, many), torch.tensor([[[5.0], [4.0]]]))


@torch.no_grad()
def test_a_content_stream_returns_its_window_normalised(encoder):
    mel = torch.randn(1, 5, 60)
    stream = CausalContentStream(encoder)
    for end in range(4, 61, 4):
        z = stream.hear(mel[..., max(0, end - 20) : end], 4)
    assert z.shape == (1, 10, 3)
    raw = merge_estimates(None, encoder(mel)[0])[:, -10:]
    torch.testing.assert_close(z, (raw - raw.mean(1)) / (raw.std(1, unbiased=False) + 1e-3), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(z.mean(1), torch.zeros(1, 3), atol=1e-5, rtol=0)


def test_an_odd_lookahead_is_refused():
    with pytest.raises(ValueError, match="lookahead_frames 3 is odd"):
        CausalContentEncoder(5, 3, 8, 1, 3)
