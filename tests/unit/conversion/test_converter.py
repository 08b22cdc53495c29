"""conversion/converter.py: what goes in, and what must come out whatever goes in."""

import dataclasses
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile
import torch
import yaml
from helpers.checkpoints import checkpoint
from helpers.networks import make_converter
from helpers.pictures import draw_face, noise
from helpers.sounds import buzz, recording, rms
from safetensors.torch import load_file, save_file

import facevc_cli
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.transfer.bands import BandStatistics
from facevc_cli.conversion.transfer.retrieval import retrieve
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.level import measure_rms
from facevc_cli.dsp.pitch import PitchRule, PitchStatistics
from facevc_cli.dsp.statistics import RunningStatistics
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import save_image
from facevc_cli.vocoders.griffin_lim import GriffinLim


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture(scope="module")
def converters(toy, tmp_path_factory):
    """One of each kind, by preset, with a quick vocoder and a face analyser that needs no network."""
    starter = checkpoint(tmp_path_factory.mktemp("starter") / "run", "starter")
    made = {}
    for name, folder in {"toy": toy, "starter": starter}.items():
        made[name] = make_converter(folder)
        made[name].vocoder = GriffinLim(made[name].frontend.mel, iterations=2)
    return made


@pytest.fixture(params=["toy", "starter"])
def converter(request, converters):
    return converters[request.param]


FACE = np.full((40, 40, 3), 90, np.uint8)


@pytest.mark.parametrize("given", [{}, {"face": FACE, "voice": (buzz(1), 16000)}])
def test_exactly_one_target(converters, given):
    with pytest.raises(FaceVCError, match="a face or a voice, and not both"):
        converters["toy"].convert((buzz(0.3), 16000), **given)


@pytest.mark.parametrize(
    ("wav", "rate"),
    [
        (np.zeros(0, np.float32), 16000),
        (np.zeros((2, 16000), np.float32), 16000),  # channels first
        (np.full(1600, np.nan, np.float32), 16000),
        (np.zeros((4, 4, 4), np.float32), 16000),
        (np.zeros(1600, np.float32), 0),
        (np.array(["a"]), 16000),
    ],
)
def test_arrays_that_are_no_recording(converters, wav, rate):
    with pytest.raises(FaceVCError, match=r"\(n,\) or \(n, channels\)"):
        converters["toy"].convert((wav, rate), face=FACE)


def test_files_that_are_no_recording(converters, tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("not sound at all")
    for name, reason in {
        "empty.wav": "zero bytes",
        "text.wav": "expected a video or sound file",
        "none.wav": "no such audio file",
    }.items():
        with pytest.raises(FaceVCError, match=reason) as raised:
            converters["toy"].convert(tmp_path / name, face=FACE)
        assert name in str(raised.value)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
def test_as_long_and_as_loud_as_the_source(converter, rate):
    wav = buzz(0.7, rate, level=0.1)
    spoken, out_rate = converter.convert((wav, rate), face=FACE)
    assert out_rate == converter.rate and spoken.dtype == np.float32 and np.isfinite(spoken).all()
    assert abs(len(spoken) / out_rate - 0.7) < 2 / out_rate
    assert rms(spoken) == pytest.approx(rms(wav), rel=0.15)  # less where a peak would clip
    assert np.abs(spoken).max() <= 0.99 + 1e-6


def test_silence_around_the_speech_stays(converter):
    wav = np.concatenate([np.zeros(8000, np.float32), buzz(0.5), np.zeros(4000, np.float32)])
    spoken, rate = converter.convert((wav, 16000), face=FACE)
    assert abs(len(spoken) / rate - 1.25) < 2 / rate
    assert np.abs(spoken[: int(0.4 * rate)]).max() == 0
    assert np.abs(spoken[int(0.55 * rate) : int(0.95 * rate)]).max() > 0.01
    assert np.abs(spoken[int(1.2 * rate) :]).max() == 0


def test_stereo_and_integers(converter):
    wav = buzz(0.4, 48000)
    mono, _ = converter.convert((wav, 48000), face=FACE)
    stereo, _ = converter.convert((np.stack([wav, wav], axis=1), 48000), face=FACE)
    np.testing.assert_allclose(stereo, mono, atol=1e-5)
    integers, _ = converter.convert((np.round(wav * 32767).astype(np.int16), 48000), face=FACE)
    assert rms(integers) == pytest.approx(rms(mono), rel=0.02)
    unsigned, _ = converter.convert((np.full(4800, 128, np.uint8), 48000), face=FACE)
    assert not unsigned.any()  # 128 is an unsigned byte's silence


def test_silence_gives_silence(converter):
    spoken, rate = converter.convert((np.zeros(8000, np.float32), 16000), face=FACE)
    assert abs(len(spoken) / rate - 0.5) < 2 / rate and not spoken.any()


def test_unvoiced_noise_converts(converter):
    hiss = (0.1 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    source = converter.analyse((hiss, 16000))
    assert torch.isfinite(source.lf0).all()
    spoken = converter.speak(source, converter.target_from_face(FACE))
    assert np.isfinite(spoken).all() and rms(spoken) > 0.02


def test_guidance_goes_on_from_the_sources_voice_past_the_targets(converters):
    """mel + g (mel - mel in the source's voice), worked out from two unguided decodings; a target with the source's
    voice is left alone.
    """
    converter, source = converters["starter"], (buzz(1.0), 16000)
    assert converter.guidance == converter.style.voice_guidance > 0
    guided = converter.analyse(source)
    target = converter.target_from_face(FACE)
    own = converter._load_voice_embedder().embed(buzz(1.0))
    assert torch.nn.functional.cosine_similarity(guided.speaker[0], torch.from_numpy(own), dim=0) > 0.999
    plain = dataclasses.replace(guided, speaker=None)
    level = converter.find_log_f0(target)
    mel = converter._decode_voices([(plain, target)])[0]
    mel_own = converter._decode_voices([(plain, Target(guided.speaker, level))])[0]
    torch.testing.assert_close(
        converter._decode_voices([(guided, target)])[0],
        mel + converter.guidance * (mel - mel_own),
        atol=1e-4,
        rtol=1e-4,
    )
    torch.testing.assert_close(
        converter._decode_voices([(guided, Target(guided.speaker, level))])[0], mel_own, atol=1e-4, rtol=1e-4
    )


def test_a_recordings_own_sounds_are_taken_for_the_sources(converters, monkeypatch):
    converter = converters["starter"]
    assert converter.style.content_retrieval > 0
    source, target = converter.analyse((buzz(1.0), 16000)), converter.target_from_voice((buzz(0.8), 16000))
    assert target.content is not None and target.content.shape[1] == source.z.shape[2]
    taken = retrieve(source.z, target.content, converter.style.content_retrieval)
    assert converter.target_from_face(FACE).content is None and retrieve(source.z, None, 0.5) is source.z
    torch.testing.assert_close(
        converter._decode_voices([(source, target)])[0],
        converter._decode_voices([(dataclasses.replace(source, z=taken), dataclasses.replace(target, content=None))])[
            0
        ],
    )
    monkeypatch.setattr(converter, "style", dataclasses.replace(converter.style, content_retrieval=0.0))
    assert converter.target_from_voice((buzz(0.8), 16000)).content is None


def test_what_is_spoken_sounds_as_the_recording_does(converters, monkeypatch):
    converter = converters["starter"]
    hiss = 0.01 * np.random.default_rng(0).standard_normal(24000).astype(np.float32)
    source, recording = converter.analyse((buzz(1.0), 16000)), (buzz(1.5, f0_hz=200.0) + hiss, 16000)
    target, heard = converter.target_from_voice(recording), converter.hear(recording)
    own = BandStatistics.measure(converter.model.normalise(torch.from_numpy(heard.mel)))
    torch.testing.assert_close(target.bands.mean, own.mean)
    assert converter.target_from_face(FACE).bands is None

    def distance(given):
        made = BandStatistics.measure(converter.model.normalise(converter._decode_voices([(source, given)])[0]))
        return float((made.mean - own.mean).abs().mean().detach())

    matched, unmatched = distance(target), distance(dataclasses.replace(target, bands=None))
    assert matched < 0.8 * unmatched
    monkeypatch.setattr(
        converter, "style", dataclasses.replace(converter.style, spectrum_matching=0.0, deviation_matching=0.0)
    )
    assert distance(target) == unmatched


def test_pitch_moves_as_far_as_in_the_recording(converters, monkeypatch):
    converter = converters["starter"]
    source = dataclasses.replace(converter.analyse((buzz(1.0), 16000)), pitch=PitchStatistics(np.log(120.0), 0.2))
    voice = torch.ones(1, 256) / 16
    lively, faced = Target(voice, np.log(200.0), log_f0_std=0.3), Target(voice, np.log(200.0))
    assert converter.choose_pitch(source, lively) == PitchStatistics(np.log(200.0), pytest.approx(0.3))
    assert converter.choose_pitch(source, faced) == PitchStatistics(np.log(200.0), 0.2)
    assert converter.choose_pitch(source, converter.apply_pitch_rule(lively, PitchRule.parse("keep"))) == source.pitch
    told, decode = [], converter.model.decode
    monkeypatch.setattr(
        converter.model,
        "decode",
        lambda z, lf0, speaker, level: told.extend(level[1].tolist()) or decode(z, lf0, speaker, level),
    )
    converter.speak_many([(source, lively), (source, faced)])
    assert told == pytest.approx(2 * [0.3, 0.2])  # the second two in the source's voice, for guidance
    assert converter.target_from_voice((buzz(0.8), 16000)).log_f0_std is None  # too short to say
    assert converter.target_from_voice((buzz(2.0), 16000)).log_f0_std is not None


def test_variance_is_scaled_in_what_is_spoken(converters, monkeypatch):
    converter = converters["starter"]
    source, target = converter.analyse((buzz(1.0), 16000)), converter.target_from_face(FACE)
    scaled = converter._decode_voices([(source, target)])[0]
    scale = converter.style.variance_scale
    assert scale > 1
    monkeypatch.setattr(converter, "style", dataclasses.replace(converter.style, variance_scale=1.0))
    plain = converter._decode_voices([(source, target)])[0]
    torch.testing.assert_close(scaled.std(0), scale * plain.std(0), atol=1e-4, rtol=1e-3)


def test_guidance_by_an_encoder_that_hears_the_mel(tmp_path):
    converter = Converter(
        checkpoint(tmp_path / "run", "toy", overrides=("model.voice_guidance=0.5", "model.speaker_encoder=mel")),
        "griffin-lim",
        "cpu",
    )
    heard = converter.hear((buzz(0.5), 16000))
    speaker = converter.encode(heard).speaker
    assert heard.dvector is None and speaker is not None and speaker.shape == (1, 256)


def test_without_guidance_nobody_listens_for_the_sources_voice(converters):
    converter = converters["toy"]
    assert (
        converter.guidance == 0 and converter.analyse((buzz(0.5), 16000)).speaker is None and converter._voices is None
    )


@pytest.mark.parametrize("steady", [True, False])
def test_kernels_are_compiled_beforehand_only_where_they_are(converters, monkeypatch, steady):
    vocoder, seen = converters["toy"].vocoder, []
    monkeypatch.setattr(vocoder, "steady", steady, raising=False)
    monkeypatch.setattr(vocoder, "synthesise", lambda mel, start: seen.append(mel.shape) or torch.zeros(len(mel)))
    converters["toy"].prepare_speech()
    for thread in threading.enumerate():
        if thread.name.startswith("compile"):
            thread.join()
    assert seen == ([(vocoder.window_frames, vocoder.n_mels)] if steady else [])


@pytest.mark.parametrize("samples", [1, 2, 100, 1600])
def test_the_shortest_sounds(converter, samples):
    blip = 0.2 * np.hanning(samples + 2)[1:-1].astype(np.float32)
    spoken, rate = converter.convert((blip, 48000), face=FACE)
    assert abs(len(spoken) - samples / 48000 * rate) <= 1 and np.isfinite(spoken).all()


def test_thirty_seconds_go_through_windows(converters):
    converter = converters["starter"]
    wav = np.tile(buzz(2.0, 22050), 15)
    spoken, rate = converter.convert((wav, 22050), face=FACE)
    assert len(spoken) == 30 * rate and np.isfinite(spoken).all()
    thirds = [rms(part) for part in np.array_split(spoken, 3)]
    assert min(thirds) > 0.5 * max(thirds)  # no window is lost
    assert set(converter.timings) >= {"load", "features", "content", "face", "decoder", "vocoder"}


def test_paths_and_arrays_agree_and_repeat(converters, tmp_path):
    converter = converters["toy"]
    path = recording(tmp_path / "s.wav", 0.4)
    save_image(tmp_path / "face.png", FACE)
    wav, rate = soundfile.read(path, dtype="float32")
    from_files, _ = converter.convert(path, face=tmp_path / "face.png")
    from_arrays, _ = converter.convert((wav, rate), face=FACE)
    np.testing.assert_array_equal(from_files, from_arrays)
    np.testing.assert_array_equal(converter.convert(str(path), face=str(tmp_path / "face.png"))[0], from_files)


def test_another_face_is_another_voice_and_temperature_sharpens(converters):
    converter = converters["toy"]
    one, two = converter.target_from_face(FACE), converter.target_from_face(FACE + 40)
    assert one.speaker.shape == (1, 256) and one.address.shape == (1, 16)
    assert float(one.address.sum()) == pytest.approx(1, abs=1e-5)
    assert not torch.allclose(one.speaker, two.speaker)
    assert converter.target_from_face(FACE, 0.01).address.max() > one.address.max()
    with pytest.raises(FaceVCError, match="temperature"):
        converter.target_from_face(FACE, 0.0)


def test_several_faces_are_one_voice(converters):
    converter = converters["toy"]
    one, two = (converter.embed_face(face) for face in (FACE, FACE + 40))
    both = converter.target_from_faces([FACE, FACE + 40])
    mean = converter.target_from_embedding((one + two) / 2)
    assert both.address.shape == (1, 16) and torch.allclose(both.speaker, mean.speaker, atol=1e-6)
    assert not torch.allclose(both.speaker, converter.target_from_face(FACE).speaker)
    assert torch.equal(converter.target_from_faces([FACE, FACE]).speaker, converter.target_from_face(FACE).speaker)
    with pytest.raises(FaceVCError, match="at least one face"):
        converter.target_from_faces([])
    with pytest.raises(FaceVCError, match="expected a face"):
        converter.target_from_faces([FACE, np.zeros((40, 40, 3), np.uint8)])
    with pytest.raises(FaceVCError, match="face embeddings of 162 numbers"):
        converter.target_from_embedding(np.zeros(512, np.float32))


def test_the_target_sets_the_pitch_of_a_comb(converters):
    converter = converters["starter"]
    source = converter.analyse((buzz(0.5), 16000))
    voice = converter.target_from_face(FACE).speaker
    low, high = (converter.speak(source, Target(voice, mean)) for mean in np.log([90.0, 220.0]))
    assert not np.allclose(low, high, atol=1e-3)


def test_a_voice_instead_of_a_face(converters, tmp_path):
    converter = converters["starter"]
    target = converter.target_from_voice((buzz(1.0, f0_hz=200.0), 16000))
    assert target.speaker.shape == (1, 256) and target.address is None
    assert np.exp(target.log_f0_mean) == pytest.approx(200.0, rel=0.1)
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(16000), 16000)
    with pytest.raises(FaceVCError, match=r"silent\.wav: .*silent"):
        converter.target_from_voice(silent)


def test_real_faces(toy, tmp_path):
    converter = Converter(toy, "griffin-lim", "cpu")
    target = converter.target_from_face(draw_face(3))
    assert target.address.shape == (1, 16)
    save_image(tmp_path / "noise.png", noise(1, 64))
    with pytest.raises(FaceVCError, match=r"noise\.png: expected a face"):
        converter.target_from_face(tmp_path / "noise.png")


def test_a_pretrained_model_knows_no_faces(tmp_path):
    converter = Converter(checkpoint(tmp_path / "pre", faces=False), "griffin-lim", "cpu")
    with pytest.raises(FaceVCError, match=r"never trained on faces.*--voice"):
        converter.convert((buzz(0.3), 16000), face=FACE)
    with pytest.raises(FaceVCError, match="never trained on faces"):
        converter.prepare_faces()


def test_checkpoints_that_must_be_refused(toy, tmp_path):
    with pytest.raises(FaceVCError, match="expected a checkpoint"):
        Converter(tmp_path, device="cpu")
    with pytest.raises(FaceVCError, match="nothing is there"):
        Converter(toy, str(tmp_path / "vocoder.pkl"), "cpu")

    truncated = checkpoint(tmp_path / "truncated")
    weights = truncated / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(FaceVCError, match=r"expected sha256 .*damaged or was changed"):
        Converter(truncated, device="cpu")

    changed = checkpoint(tmp_path / "changed")
    content = bytearray((changed / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (changed / "model.safetensors").write_bytes(content)
    with pytest.raises(FaceVCError, match="sha256"):
        facevc_cli.load_model(changed)


def test_wrong_shapes_are_named(tmp_path):
    folder = checkpoint(tmp_path / "wrong")
    weights = load_file(folder / "model.safetensors")
    weights["memory.values"] = torch.zeros(3, 256)
    del weights["memory.keys"]
    save_file(weights, folder / "model.safetensors")
    header = yaml.safe_load((folder / "config.yaml").read_text())
    header["weights_sha256"] = hash_file(folder / "model.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump(header))
    with pytest.raises(FaceVCError, match=r"memory\.values \(3, 256\) instead of \(16, 256\).*missing: memory\.keys"):
        Converter(folder, device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(toy):
    with pytest.raises(FaceVCError, match="--device cuda: this machine has 0 CUDA devices"):
        Converter(toy, "griffin-lim", "cuda")


def test_the_python_surface(toy):
    model = facevc_cli.load_model(toy)
    z, _, indices = model.encode_content(torch.zeros(2, 80, 21))
    assert z.shape == (2, 11, 64) and indices.shape == (2, 11)
    assert model.decode(z, torch.zeros(2, 21), torch.zeros(2, 256)).shape == (2, 21, 80)
    assert facevc_cli.Converter is Converter


def test_importing_the_package_loads_no_torch():
    code = "import sys, facevc_cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_stream_ends_with_the_statistics_of_the_whole(converters):
    """Each piece is normalised by what has been heard so far, and no piece is trimmed."""
    converter = converters["starter"]
    whole = np.concatenate([buzz(1.0, level=0.1), buzz(1.0, f0_hz=220.0)])
    running = RunningStatistics(10)
    first, second = (converter.analyse((piece, 16000), running) for piece in np.split(whole, 2))
    alone = converter.analyse((whole[:16000], 16000))
    assert first.rms == pytest.approx(alone.rms, rel=0.02) and first.pitch.mean == pytest.approx(
        alone.pitch.mean, abs=0.01
    )
    entire = converter.analyse((whole, 16000))
    assert second.rms == pytest.approx(entire.rms, rel=0.02) and second.rms > 1.5 * first.rms
    assert (
        second.pitch.mean == pytest.approx(entire.pitch.mean, abs=0.02) and second.pitch.mean > first.pitch.mean + 0.1
    )
    assert (second.start_s, second.seconds) == (0.0, 1.0)
    target = converter.target_from_voice((buzz(0.8), 16000))
    spoken = [converter.speak(source, target) for source in (first, second)]
    assert [len(wav) for wav in spoken] == [converter.rate] * 2
    assert measure_rms(np.concatenate(spoken)) == pytest.approx(entire.rms, rel=0.3)
