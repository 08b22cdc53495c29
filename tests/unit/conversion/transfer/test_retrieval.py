"""conversion/transfer/retrieval.py: whose frames are taken, how far, and where none are."""

import pytest
import torch

from facevc_cli.conversion.transfer import retrieval as content_retrieval
from facevc_cli.conversion.transfer.retrieval import ALIKE, NEIGHBOURS, SHARPNESS, UNLIKE, retrieve

SHARE = 0.5


def _content(frames, seed, batch=1):
    z = torch.randn(batch, frames, 8, generator=torch.Generator().manual_seed(seed))
    return (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True, correction=0)


def test_each_frame_by_hand():
    z, own = _content(40, 0), _content(200, 1)[0]
    expected = []
    for frame in z[0]:
        cosines = torch.nn.functional.cosine_similarity(frame[None], own, dim=1)
        nearest = sorted(range(len(own)), key=lambda i: -cosines[i])[:NEIGHBOURS]
        weights = torch.exp(SHARPNESS * cosines[nearest])
        mean = (own[nearest] * weights[:, None]).sum(0) / weights.sum()
        how_far = SHARE * min(1.0, max(0.0, (float(cosines[nearest[0]]) - UNLIKE) / (ALIKE - UNLIKE)))
        expected.append((1 - how_far) * frame + how_far * mean)
    made = torch.stack(expected)
    made = (made - made.mean(0)) / (made.std(0, correction=0) + 1e-3) * z[0].std(0, correction=0) + z[0].mean(0)
    taken = retrieve(z, own, SHARE)
    torch.testing.assert_close(taken[0], made, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(taken, z, atol=0.1)


def test_what_the_recording_lacks_stays():
    z = _content(50, 2).abs()
    torch.testing.assert_close(retrieve(z, -z[0], SHARE), z, atol=2e-2, rtol=0)  # all cosines below 0
    torch.testing.assert_close(retrieve(z, _content(9, 3)[0], 0.0), z, atol=2e-2, rtol=0)


def test_mean_and_deviation_over_time_are_kept():
    z = _content(300, 4, batch=2) * 3 + 1
    taken = retrieve(z, _content(100, 5)[0], 1.0)
    torch.testing.assert_close(taken.mean(1), z.mean(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(taken.std(1), z.std(1), atol=2e-2, rtol=0)


@pytest.mark.parametrize("frames", [1, 2, NEIGHBOURS + 1])
def test_the_shortest_recordings(frames):
    taken = retrieve(_content(6, 6), _content(6, 7)[0][:frames], SHARE)
    assert taken.shape == (1, 6, 8) and torch.isfinite(taken).all()


def test_an_hour_in_blocks_is_the_same(monkeypatch):
    z, own = _content(33, 8), _content(50, 9)[0]
    whole = retrieve(z, own, SHARE)
    monkeypatch.setattr(content_retrieval, "FRAMES_AT_ONCE", 7)
    torch.testing.assert_close(retrieve(z, own, SHARE), whole, atol=1e-5, rtol=1e-5)
