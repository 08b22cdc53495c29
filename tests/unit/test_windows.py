"""dsp/windows.py, and the decoder that goes through them."""

import pytest
import torch

from facevc_cli.dsp.windows import place_windows
from facevc_cli.families.fvmvc import convolutional_decoder
from facevc_cli.families.fvmvc import decoder as recurrent
from facevc_cli.families.fvmvc.convolutional_decoder import ConvolutionalDecoder
from facevc_cli.families.fvmvc.decoder import RecurrentDecoder


def test_one_window_where_all_fits():
    assert list(place_windows(10, 10, 3)) == list(place_windows(10, 64, 3)) == [(0, 0, 10)]
    assert list(place_windows(0, 8, 2)) == []


def test_windows_by_hand():
    # 8 frames, 2 of context: 0..8 gives 0..6; then 4..12 gives 6..10; the last one lies against the end
    assert list(place_windows(13, 8, 2)) == [(0, 0, 6), (4, 6, 10), (5, 10, 13)]
    assert list(place_windows(12, 8, 2)) == [(0, 0, 6), (4, 6, 12)]


@pytest.mark.parametrize("total", range(1, 60))
def test_every_frame_once_with_its_context(total):
    size, context = 11, 4
    at = 0
    for first, start, end in place_windows(total, size, context):
        last = min(first + size, total)
        assert start == at and first <= start < end <= last
        assert first >= 0 and (total <= size or first + size <= total)
        assert first == 0 or start - first >= context  # enough to look back at,
        assert last == total or last - end >= context  # and ahead
        at = end
    assert at == total


def inputs(frames, faces=2):
    draw = torch.Generator().manual_seed(frames)
    return (
        torch.randn(faces, (frames + 1) // 2, 8, generator=draw), torch.randn(faces, frames, 12, generator=draw),
        torch.nn.functional.normalize(torch.randn(faces, 16, generator=draw)),
    )  # fmt: skip


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    made = ConvolutionalDecoder(8, 12, 16, 10, channels=16, blocks=5).eval()
    for block in made.blocks:
        torch.nn.init.constant_(block.layer_scale, 1.0)  # so that what lies far counts
    return made


@pytest.mark.parametrize("frames", [1, 149, 150, 151, 201, 611])
def test_decoding_in_windows_is_decoding_the_whole(decoder, frames, monkeypatch):
    given = inputs(frames)
    with torch.inference_mode():
        whole, _ = decoder(*given)
        monkeypatch.setattr(convolutional_decoder, "FRAMES_AT_ONCE", 150)
        sizes = []
        decoder.input.register_forward_pre_hook(lambda _, x: sizes.append(x[0].shape[-1]))
        parts, _ = decoder(*given)
    assert whole.shape == parts.shape == (2, frames, 10) and whole.std() > 0.1
    assert (whole - parts).abs().max() < 1e-5
    assert len(sizes) == (1 if frames <= 150 else -(-(frames - 2 * 31) // (150 - 2 * 31))) and set(sizes) == {min(frames, 150)}


def test_the_decoders_stated_context_is_its_reach(decoder):
    assert decoder.context_frames == 2 + 3 * (1 + 2 + 4 + 1 + 1) + 2
    z, pitch, voice = inputs(200, 1)
    moved = pitch.clone()
    moved[:, 100] += 1
    with torch.inference_mode():
        touched = (decoder(z, pitch, voice)[0] != decoder(z, moved, voice)[0]).any(-1).nonzero()[:, 1]
    assert (touched.min(), touched.max()) == (100 - 31, 100 + 31)


def test_a_batch_of_faces_is_each_face_alone(decoder):
    z, pitch, voices = inputs(90, 3)
    with torch.inference_mode():
        together, _ = decoder(z, pitch, voices)
        alone = [decoder(z[i : i + 1], pitch[i : i + 1], voices[i : i + 1])[0] for i in range(3)]
    assert (together - torch.cat(alone)).abs().max() < 1e-5


@pytest.mark.parametrize("frames", [40, 41, 80, 85, 203])
def test_the_recurrent_decoder_in_stretches(frames, monkeypatch):
    torch.manual_seed(0)
    decoder = RecurrentDecoder(8, 1, 16, 10, channels=12, recurrent_dim=14, postnet_channels=6).eval()
    z, _, voice = inputs(frames)
    pitch = torch.randn(2, frames, 1, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = decoder(z, pitch, voice)
        monkeypatch.setattr(recurrent, "FRAMES_AT_ONCE", 40)
        lengths = []
        decoder.lstm_in.register_forward_pre_hook(lambda _, x: lengths.append(x[0].shape[1]))
        parts = decoder(z, pitch, voice)
    assert sum(lengths) == frames and max(lengths) <= 40
    for expected, found in zip(whole, parts, strict=True):
        assert expected.shape == found.shape and expected.std() > 0.01 and (expected - found).abs().max() < 1e-5
    decoder(z, pitch, voice)[1].sum().backward()  # with gradients it goes whole
    assert lengths[-1] == frames
