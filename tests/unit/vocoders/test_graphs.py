"""Vocoders as graphs: the same waveform, and none for a vocoder that works in steps."""

import pytest
import torch
from helpers.vocoders import write_hifigan, write_light

from facevc_cli.vocoders import Vocoder
from facevc_cli.vocoders.griffin_lim import GriffinLim
from facevc_cli.vocoders.hifigan import HifiganSizes
from facevc_cli.vocoders.load import load_vocoder


def test_one_that_works_in_steps_has_no_graph():
    assert GriffinLim("hifigan").make_graph_module() is None and GriffinLim("hifigan").make_stream_graph() is None


@pytest.fixture(params=("hifigan", "light"))
def vocoder(request, tmp_path) -> Vocoder:
    if request.param == "light":
        return load_vocoder(
            write_light(
                tmp_path / "light",
                HifiganSizes(channels=16, block_kernels=(3,), block_dilations=((1,),), ranks=((8, 2),) * 12),
            ),
            "hifigan",
        )
    return load_vocoder(write_hifigan(tmp_path / "hifigan"), "hifigan")


@pytest.mark.parametrize("frames", (1, 40))
def test_the_waveform_is_the_same(vocoder, frames):
    log_mels = torch.randn(2, frames, 80, generator=torch.Generator().manual_seed(0)) * 2 - 5
    module = vocoder.make_graph_module()
    assert module is not None
    with torch.no_grad():
        found, expected = module(log_mels), vocoder.synthesise_batch(log_mels, [0, 0])
    assert found.shape == (2, frames * 256) and expected.abs().max() > 1e-3
    assert (found - expected).abs().max() < 1e-5


@pytest.mark.parametrize("steps", ((3, 3, 2, 9, 4), (21,)))
def test_the_steps_of_a_stream_are_the_whole(vocoder, steps):
    """Each step hears as many frames ahead as reach its samples."""
    log_mel = torch.randn(1, 60, 80, generator=torch.Generator().manual_seed(0)) * 2 - 5
    module, ahead = vocoder.make_stream_graph(), vocoder.context_frames
    past, begun, parts = torch.zeros(module.past_size), 0, []
    with torch.no_grad():
        for count in steps:
            given = log_mel[:, begun : begun + count + ahead], past, torch.tensor([count]), torch.tensor([count])
            wav, past = module(*given)
            parts.append(wav)
            begun += count
        whole = vocoder.synthesise(log_mel[0], 0)[: begun * 256]
    assert whole.abs().max() > 1e-3 and (torch.cat(parts) - whole).abs().max() < 1e-5
