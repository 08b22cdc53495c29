import numpy as np
import pytest
import torch

from facevc_cli.conversion.transfer.bands import BandStatistics, match
from facevc_cli.conversion.transfer.retrieval import retrieve
from facevc_cli.conversion.transfer.variance import scale_variance
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.level import match_loudness, measure_rms
from facevc_cli.dsp.statistics import WHOLE, RunningStatistics
from facevc_cli.families.fvmvc.distilled_content import normalise_over_time


def test_of_a_whole_utterance_it_alone_counts():
    frames = np.arange(3.0)
    assert WHOLE.gather("a", frames) is frames and WHOLE.gather("a", frames) is frames and WHOLE.trims


@pytest.mark.parametrize("as_frames", [np.array, torch.tensor])
def test_of_a_stream_the_last_pieces_count_by_step(as_frames):
    running = RunningStatistics(2)
    assert not running.trims
    assert running.gather("a", as_frames([1.0, 2.0])).tolist() == [1, 2]
    assert running.gather("b", as_frames([9.0])).tolist() == [9]
    assert running.gather("a", as_frames([3.0])).tolist() == [1, 2, 3]
    assert running.gather("a", as_frames([4.0, 5.0])).tolist() == [3, 4, 5]
    wide = running.gather("c", as_frames([[[1.0], [2.0]]]), axis=1)
    assert wide.shape == (1, 2, 1) and running.gather("c", as_frames([[[3.0]]]), axis=1).tolist() == [[[1], [2], [3]]]


@pytest.mark.parametrize("as_frames", [np.array, torch.tensor])
def test_work_in_place_does_not_change_what_was_gathered(as_frames):
    running, piece = RunningStatistics(3), as_frames([1.0, 2.0])
    running.gather("a", piece)
    piece *= 0
    assert running.gather("a", as_frames([3.0])).tolist() == [1, 2, 3]


def _feed(step, whole, size=50):
    """The last piece of the result of a step, fed in pieces along axis 1."""
    running = RunningStatistics(100)
    return [step(piece, running) for piece in whole.split(size, dim=1)][-1]


@pytest.mark.parametrize(
    "step",
    [
        normalise_over_time,
        lambda mel, statistics=WHOLE: scale_variance(mel, 1.3, statistics),
        lambda mel, statistics=WHOLE: retrieve(
            mel, torch.randn(40, 8, generator=torch.Generator().manual_seed(1)), 0.5, statistics
        ),
        lambda mel, statistics=WHOLE: match(
            mel[0], BandStatistics(torch.ones(8), torch.ones(8), 900), 1.0, 1.0, statistics
        )[None],
    ],
)
def test_the_last_piece_of_a_stream_is_that_of_the_whole(step):
    """By then the stream has heard all that the whole utterance has."""
    whole = (
        torch.randn(1, 400, 8, generator=torch.Generator().manual_seed(0)) + torch.linspace(0, 3, 400)[None, :, None]
    )
    torch.testing.assert_close(_feed(step, whole), step(whole)[:, -50:], atol=1e-4, rtol=1e-4)
    first = next(iter(whole.split(50, dim=1)))
    torch.testing.assert_close(step(first, RunningStatistics(9)), step(first))


def test_levels():
    quiet, loud = np.full(100, 0.1, np.float32), np.full(100, 0.4, np.float32)
    both = np.concatenate([quiet, loud])
    assert match_loudness(quiet.copy(), 0.2, both)[0] == pytest.approx(0.1 * 0.2 / measure_rms(both))
    assert match_loudness(quiet.copy(), 0.2)[0] == pytest.approx(0.2)
    frontend = Frontend("hifigan", peak=0.8)
    assert frontend.match_peak(quiet, both)[0] == pytest.approx(0.2) and frontend.match_peak(quiet)[0] == pytest.approx(
        0.8
    )
