import pytest
import torch

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.fvmvc import convolutional_decoder
from facevc_cli.families.fvmvc import decoder as recurrent
from facevc_cli.families.fvmvc.convolutional_decoder import ConvolutionalDecoder
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


def inputs(frames, faces=2):
    draw = torch.Generator().manual_seed(frames)
    return (
        torch.randn(faces, (frames + 1) // 2, 8, generator=draw),
        torch.randn(faces, frames, 12, generator=draw),
        torch.nn.functional.normalize(torch.randn(faces, 16, generator=draw)),
    )


@pytest.fixture(params=[0, 4])
def decoder(request: pytest.FixtureRequest):
    """Without timbre tokens, and with four of a recording."""
    torch.manual_seed(0)
    made = ConvolutionalDecoder(8, 12, 16, 10, channels=16, blocks=5, recording_tokens=request.param).eval()
    for block in [*made.blocks, *made.attentions]:
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
    assert len(sizes) == (1 if frames <= 150 else -(-(frames - 2 * 31) // (150 - 2 * 31))) and set(sizes) == {
        min(frames, 150)
    }


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


def test_a_frame_attends_to_tokens_by_what_it_asks():
    """One head of two channels by hand: softmax(q k / sqrt(2)) v, scaled and added."""
    attention = convolutional_decoder.TokenAttention(8).double()
    x, tokens = torch.randn(1, 8, 3).double(), torch.randn(1, 5, 128).double()
    heard = attention(x, tokens)
    y = attention.norm(x.transpose(1, 2))[0] @ attention.query.weight.T + attention.query.bias
    key, value = (tokens[0] @ attention.key_value.weight.T + attention.key_value.bias).chunk(2, -1)
    heads = []
    for head in range(4):
        part = slice(2 * head, 2 * head + 2)
        heads.append((y[:, part] @ key[:, part].T / 2**0.5).softmax(-1) @ value[:, part])
    expected = torch.cat(heads, -1) @ attention.output.weight.T + attention.output.bias
    torch.testing.assert_close(heard[0], x[0] + 0.1 * expected.T)


def test_without_tokens_the_weights_are_those_of_earlier_versions():
    names = ConvolutionalDecoder(8, 12, 16, 10, channels=16, blocks=2).state_dict()
    assert not any("token" in name or "attention" in name for name in names)
    with_tokens = ConvolutionalDecoder(8, 12, 16, 10, channels=16, blocks=3, recording_tokens=4)
    assert len(with_tokens.attentions) == 2 and with_tokens.recording(torch.randn(2, 10, 9)).shape == (2, 4, 128)


def test_a_recordings_tokens_are_what_each_of_them_asks_for():
    """softmax(asked k / sqrt(channels)) v over the frames."""
    tokens = convolutional_decoder.RecordingTokens(3, 10).double()
    mel = torch.randn(2, 10, 21).double()
    x = tokens.input(mel)
    for block in tokens.blocks:
        x = block(x)
    frames = tokens.norm(x.transpose(1, 2)) @ tokens.key_value.weight.T + tokens.key_value.bias
    key, value = frames[..., :192], frames[..., 192:]
    expected = (tokens.asked @ key.transpose(1, 2) / 192**0.5).softmax(-1) @ value
    assert expected.shape == (2, 3, 128)
    torch.testing.assert_close(tokens(mel), expected)


def test_a_decoder_without_a_recording_hears_the_tokens_for_none():
    decoder = ConvolutionalDecoder(8, 12, 16, 10, channels=16, blocks=2, recording_tokens=4).eval()
    given = inputs(30)
    none = decoder.recording.none.expand(2, -1, -1)
    with torch.inference_mode():
        assert torch.equal(decoder(*given)[0], decoder(*given, none)[0])
        assert not torch.allclose(decoder(*given)[0], decoder(*given, decoder.recording(torch.randn(2, 10, 50)))[0])
