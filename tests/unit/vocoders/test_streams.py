"""vocoders/streams.py and hifigan_stream.py: a stream is what the vocoder makes of the whole."""

import numpy as np
import pytest
import torch
from torch import nn

from facevc_cli.vocoders import Vocoder
from facevc_cli.vocoders.hifigan import Hifigan, HifiganGenerator, HifiganSizes
from facevc_cli.vocoders.hifigan_stream import HifiganStream, plan_lengths
from facevc_cli.vocoders.streams import WindowedStream

SMALL = {"channels": 32, "block_kernels": (3, 5), "block_dilations": ((1, 3), (1, 2))}
KINDS = {
    "V1": HifiganSizes(**SMALL),
    "V3, one stage has an odd rest": HifiganSizes(
        **{**SMALL, "block_kernels": (3,), "block_dilations": ((1, 2),)},
        rates=(8, 8, 4),
        kernels=(16, 13, 8),
        paired=False,
    ),
    "light": HifiganSizes(**SMALL, ranks=((20, 6), (8, 8), (4, 4), (2, 2)) + ((3, 2),) * 32),
}
FRAMES = 50


def make_vocoder(sizes: HifiganSizes) -> Hifigan:
    torch.manual_seed(0)
    generator = HifiganGenerator(sizes)
    for weights in generator.parameters():
        nn.init.normal_(weights, std=(2 / max(32, weights[0].numel())) ** 0.5)
    return Hifigan(generator.to(memory_format=torch.channels_last), "hifigan")


def make_mel() -> torch.Tensor:
    return torch.randn(FRAMES, 80, generator=torch.Generator().manual_seed(1))


def speak_in_steps(stream, mel: torch.Tensor, steps: list[int], heard: int, ahead: int) -> torch.Tensor:
    """ahead: frames after a step that are asked for, too; heard: those that are only heard."""
    parts, at = [], 0
    for step in steps:
        wav = stream.speak(mel[at : at + step + ahead + heard], step + ahead, step, at)
        assert len(wav) == min(step + ahead, len(mel) - at) * 256
        parts.append(wav[: step * 256])
        at += step
    return torch.cat(parts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_hears_far_enough_ahead_is_the_whole(kind):
    vocoder, mel = make_vocoder(KINDS[kind]), make_mel()
    whole = vocoder(mel)
    assert whole.std() > 0.003
    reach = vocoder.context_frames
    steps = [3, 1, 6, 4, 2]
    made = speak_in_steps(vocoder.open_stream(0), mel, steps, reach, 2)
    torch.testing.assert_close(made, whole[: sum(steps) * 256], atol=1e-5, rtol=0)
    deaf = speak_in_steps(vocoder.open_stream(0), mel, steps, 0, 0)
    assert (deaf - whole[: sum(steps) * 256]).abs().max() > 5e-4  # so it matters what is heard ahead


def test_a_stream_begins_anew():
    vocoder, mel = make_vocoder(KINDS["V1"]), make_mel()
    stream = HifiganStream(vocoder)
    first = stream.speak(mel[:20], 6, 4, 0)
    assert not torch.equal(stream.speak(mel[:20], 6, 4, 4), first)
    stream.reset()
    assert torch.equal(stream.speak(mel[:20], 6, 4, 0), first)


def test_what_is_kept_does_not_grow():
    vocoder, mel = make_vocoder(KINDS["V1"]), make_mel()
    stream = HifiganStream(vocoder)
    sizes = []
    for at in range(0, 40, 4):
        stream.speak(mel[at : at + 10], 6, 4, at)
        sizes.append(sum(kept.untyped_storage().nbytes() for kept in stream.past.values()))
    assert sizes[1:] == sizes[1:2] * (len(sizes) - 1) and sizes[-1] < 100_000


def test_the_last_stages_compute_only_what_is_asked_for():
    """V1: 60 samples of the widest blocks, 3 of the last layer."""
    plan = plan_lengths(HifiganSizes(), 8)
    assert plan[-1] == (8 * 256 + 3 + 60, 8 * 256 + 3)
    assert [out for _, out in plan] == [80, 561, 1058, 2051]  # 10, 8.8, 8.3 and 8 frames; the vocoder hears 15 more


class FakeVocoder(Vocoder):
    """Each sample is the mean of three frames."""

    def __init__(self):
        super().__init__("fake", "hifigan", 1)
        self.started: list[int] = []

    def synthesise(self, log_mel, start_frame):
        self.started.append(start_frame)
        padded = torch.cat([log_mel[:1], log_mel, log_mel[-1:]])[:, 0]
        return ((padded[:-2] + padded[1:-1] + padded[2:]) / 3).repeat_interleave(256)


def test_other_vocoders_hear_the_last_frames_again():
    vocoder, mel = FakeVocoder(), make_mel()
    stream = vocoder.open_stream(2)
    assert isinstance(stream, WindowedStream)
    made = speak_in_steps(stream, mel, [4, 4, 4], 1, 1)
    assert vocoder.started == [0, 2, 6]  # two frames before the step
    assert np.allclose(made, vocoder(mel)[: 12 * 256], atol=1e-6)
    alone = speak_in_steps(vocoder.open_stream(0), mel, [4, 4], 1, 1)
    assert vocoder.started[-2:] == [0, 4] and not np.allclose(alone, vocoder(mel)[: 8 * 256], atol=1e-3)
