"""Many conversions at once: batches equal single ones, errors stay with their item, and whatever stops a run leaves
whole files.
"""

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.conversions import config
from helpers.pictures import save_grey
from helpers.repository import TESTS
from helpers.sounds import buzz, recording

from facevc_cli.batch import pipeline
from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SilentReporter
from facevc_cli.dsp import mel as mel_module
from facevc_cli.dsp import pitch as pitch_module
from facevc_cli.dsp.level import measure_rms
from facevc_cli.dsp.mel import MEL_DEFINITIONS, compute_log_mel, find_sound_bounds
from facevc_cli.dsp.pitch import extract_f0
from facevc_cli.families.fvmvc import convolutional_decoder, distilled_content
from facevc_cli.families.fvmvc.distilled_content import DistilledContentEncoder
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.files.image import save_image
from facevc_cli.files.tables import read_table
from facevc_cli.manifest.contract import MANIFEST
from facevc_cli.provenance import saving
from facevc_cli.provenance.metadata import read_key
from facevc_cli.stages.convert import run
from facevc_cli.vocoders.hifigan import Hifigan, HifiganGenerator, HifiganSizes


def tiny_hifigan() -> Hifigan:
    torch.manual_seed(1)
    sizes = HifiganSizes(
        channels=16, rates=(8, 8, 4), kernels=(16, 16, 8), block_kernels=(3,), block_dilations=((1, 3),)
    )
    generator = HifiganGenerator(sizes)
    for name, weights in generator.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.normal_(weights, std=1.5 / weights[0].numel() ** 0.5)
    return Hifigan(generator, "hifigan")


@pytest.fixture(autouse=True)
def quick(analyser, monkeypatch):
    """No dlib, and a small vocoder in windows."""
    vocoder = tiny_hifigan()
    vocoder.window_frames = 64
    monkeypatch.setattr("facevc_cli.conversion.converter.load_vocoder", lambda *_, **__: vocoder)


@pytest.fixture
def inputs(tmp_path):
    for name, seconds, f0_hz in (("a", 0.3, 110), ("b", 1.7, 150), ("c", 0.9, 200)):
        recording(tmp_path / "wavs" / f"{name}.wav", seconds, f0_hz=f0_hz)
    for name, value in {"eve": 90, "bob": 160}.items():
        save_grey(tmp_path / "faces" / f"{name}.png", value)
    return tmp_path


def table(folder):
    return read_table(folder / MANIFEST)


ORDER = [f"{source}__{face}.wav" for source in "abc" for face in ("bob", "eve")]


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_errors_stay_with_their_item_and_in_order(inputs, model, batch_size, monkeypatch):
    (inputs / "wavs" / "b.wav").write_bytes(b"")
    save_image(inputs / "faces" / "nobody.png", np.zeros((40, 40, 3), np.uint8))
    save = saving.save_audio

    def full(path, *rest, **named):
        if path.name == "c__eve.wav":
            raise FaceVCError(f"{path} could not be written: No space left on device.")
        save(path, *rest, **named)

    monkeypatch.setattr(saving, "save_audio", full)
    seen = []

    class Noting(SilentReporter):
        def record(self, data):
            seen.append((Path(data["converted"]).name, data["status"]))

    summary = run(config(inputs, model, batch_size=batch_size), Noting())
    failed = {
        "a__nobody": "expected a face",
        "b__bob": "zero bytes",
        "b__eve": "zero bytes",
        "b__nobody": "expected a face",
        "c__eve": "No space left",
        "c__nobody": "expected a face",
    }
    assert [item for item, _ in summary.failures] == [f"{name}.wav" for name in failed] and summary.done == 3
    assert all(reason in summary.failures[i][1] for i, reason in enumerate(failed.values()))
    every = [f"{source}__{face}.wav" for source in "abc" for face in ("bob", "eve", "nobody")]
    assert [row["converted"] for row in table(inputs / "out")] == [name for name, _ in seen] == every
    assert {name for name, status in seen if status == "failed"} == {f"{name}.wav" for name in failed}


def test_an_item_that_the_vocoder_refuses_does_not_take_its_batch_along(inputs, model, monkeypatch):
    decode = FaceVC.decode

    def sick(self, *given):
        mels = decode(self, *given)
        return mels * float("nan") if mels.shape[1] > 100 else mels  # the longest source's

    monkeypatch.setattr(FaceVC, "decode", sick)
    summary = run(config(inputs, model, batch_size=6))
    assert summary.done == 4 and [item for item, _ in summary.failures] == ["b__bob.wav", "b__eve.wav"]
    assert all("NaN" in reason for _, reason in summary.failures)


@pytest.mark.parametrize("batch_size", [1, 6])
def test_an_input_that_is_too_large_for_the_memory_fails_alone(inputs, model, batch_size, monkeypatch):
    """Where it is heard (b) and where it is spoken (c)."""
    analyse, decode = Converter.analyse, FaceVC.decode

    def hungry_ears(self, source):
        if Path(source).stem == "b":
            np.ones((10**7, 10**8))
        return analyse(self, source)

    def hungry_decoder(self, *given):
        mels = decode(self, *given)
        if mels.shape[1] > 50:
            torch.ones(10**7, 10**8)
        return mels

    monkeypatch.setattr(Converter, "analyse", hungry_ears)
    monkeypatch.setattr(FaceVC, "decode", hungry_decoder)
    summary = run(config(inputs, model, batch_size=batch_size))
    assert summary.done == 2 and [item for item, _ in summary.failures] == ORDER[2:]
    assert all("it needs more memory than there is" in reason for _, reason in summary.failures)
    assert [row["status"] for row in table(inputs / "out")] == ["done"] * 2 + ["failed"] * 4


def test_fail_fast_stops_there(inputs, model):
    (inputs / "wavs" / "b.wav").write_bytes(b"")
    with pytest.raises(FaceVCError, match="zero bytes"):
        run(config(inputs, model, fail_fast=True, batch_size=2))
    assert [row["converted"] for row in table(inputs / "out")] == [*ORDER[:2], "b__bob.wav"]
    assert not list((inputs / "out").glob("c*"))


def test_an_error_of_ours_in_a_thread_is_not_hidden(inputs, model, monkeypatch):
    for target, name in ((Converter, "hear"), (saving, "save_audio")):
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(target, name, lambda *_, **__: 1 / 0)
            run(config(inputs, model, overwrite=True))


# --- what stops a run -------------------------------------------------------------------------------------------------

COMMAND = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
sys.path[:0] = {path!r}
import numpy as np
from helpers.networks import FakeAnalyser
from facevc_cli.conversion.converter import Converter
from facevc_cli.faces import analyser
from facevc_cli.provenance import saving
analyser.make_analyser = lambda *_: FakeAnalyser()
speak, save = Converter.speak_many, saving.save_audio
def slow(self, pairs):
    time.sleep(0.05)
    return speak(self, pairs)
def slow_save(path, *rest, **named):
    save(path, *rest, **named)
    print(path.name, flush=True)
Converter.speak_many, saving.save_audio = slow, slow_save
from facevc_cli.cli.app import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_process_leaves_whole_files_and_goes_on(inputs, model, how):
    for i in range(20):
        recording(inputs / "many" / f"{i:02}.wav", 0.2)
    script = inputs / "convert.py"
    script.write_text(COMMAND.format(path=[str(TESTS)]))
    arguments = [
        "convert",
        str(inputs / "many"),
        "--face",
        str(inputs / "faces"),
        "-o",
        str(inputs / "out"),
        "--vocoder",
        "griffin-lim",
        "-d",
        "cpu",
    ]
    command = [sys.executable, str(script), *arguments, "--checkpoint", str(model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(4):
            assert process.stdout.readline().strip().endswith(".wav")
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    made = sorted((inputs / "out").glob("*.wav"))
    assert 4 <= len(made) < 40
    assert all(abs(soundfile.info(path).duration - 0.2) < 0.001 and read_key(path) for path in made)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert re.search(r"\nStopped\. .*run the same command again to go on\.\s*$", said)
        assert not list((inputs / "out").glob(".*"))  # no half-written file either
        assert [row["converted"] for row in table(inputs / "out")] == [
            path.name for path in made
        ]  # all that is there is in the manifest
    before = {path: path.stat().st_mtime_ns for path in made}
    rest = run(config(inputs, model, sources=(inputs / "many",), vocoder="griffin-lim"))
    assert rest.failures == [] and rest.done + rest.skipped == 40 and len(list((inputs / "out").glob("*.wav"))) == 40
    assert {row["status"] for row in table(inputs / "out")} == {"done"} and len(table(inputs / "out")) == 40
    if how == signal.SIGINT:
        assert rest.skipped == len(made) and all(path.stat().st_mtime_ns == when for path, when in before.items())


# --- the same as one by one -------------------------------------------------------------------------------------------


def test_batches_equal_single_conversions(inputs, model):
    run(config(inputs, model, output=inputs / "one", batch_size=1))
    run(config(inputs, model, output=inputs / "many", batch_size=4))
    assert (
        [row["converted"] for row in table(inputs / "one")]
        == [row["converted"] for row in table(inputs / "many")]
        == ORDER
    )
    for name in ORDER:
        one, many = (soundfile.read(inputs / folder / name)[0] for folder in ("one", "many"))
        assert one.std() > 0.01 and one.shape == many.shape and np.abs(one - many).max() < 2 / 32768
    assert {row["key"] for row in table(inputs / "one")} == {
        row["key"] for row in table(inputs / "many")
    }  # a batch is no setting


def test_an_utterance_in_windows_equals_the_whole(model, monkeypatch):
    """Through everything after the front-end: 3.5 s with windows of half a second, and with none."""
    converter = Converter(model, device="cpu")
    source, target = (
        converter.analyse((buzz(3.5, 22050), 22050)),
        converter.target_from_face(np.full((40, 40, 3), 90, np.uint8)),
    )
    monkeypatch.setattr(convolutional_decoder, "FRAMES_AT_ONCE", 60)
    windowed = converter.speak(source, target)
    monkeypatch.setattr(convolutional_decoder, "FRAMES_AT_ONCE", 10_000)
    monkeypatch.setattr(converter.vocoder, "window_frames", 10_000)
    whole = converter.speak(source, target)
    assert whole.std() > 0.01 and np.abs(windowed - whole).max() < 1e-4


@pytest.mark.parametrize("frames", [861, 862, 2001])  # 10 s and 23 s
def test_content_block_by_block_is_that_of_the_whole(frames, monkeypatch):
    torch.manual_seed(0)
    encoder = DistilledContentEncoder(22050 / 256, "ln", 80, 8, dim=16, layers=1, heads=2).eval()
    mel = torch.randn(1, 80, frames, generator=torch.Generator().manual_seed(frames))
    monkeypatch.setattr(distilled_content, "WINDOWS_AT_ONCE", 3)
    with torch.no_grad():
        whole = encoder(mel)
        monkeypatch.setattr(distilled_content, "LONG_S", 5.0)
        blocks = encoder(mel)
    assert blocks.z.shape == whole.z.shape == (1, (frames + 1) // 2, 8)
    assert (
        whole.z_before.std() > 0.1
        and (blocks.z_before - whole.z_before).abs().max() < 1e-4
        and (blocks.z - whole.z).abs().max() < 1e-3
    )
    assert encoder(mel).context.shape[-1] == 16  # with gradients, as in training, all is kept


def test_features_in_blocks_are_those_of_the_whole(monkeypatch):
    wav = np.concatenate([np.zeros(9000), buzz(6.0, 22050), np.zeros(4000)]).astype(np.float32)
    for name, definition in MEL_DEFINITIONS.items():
        whole, bounds = compute_log_mel(wav, definition), find_sound_bounds(wav)
        monkeypatch.setattr(mel_module, "FRAMES_AT_ONCE", 50)
        assert np.abs(compute_log_mel(wav, definition) - whole).max() < 1e-5, name
        assert find_sound_bounds(wav) == bounds and bounds[0] > 6000 and bounds[1] < len(wav)
        monkeypatch.undo()


def test_pitch_in_windows_is_that_of_the_whole(monkeypatch):
    pieces = [
        part
        for f0_hz in (110, 150, 220, 130, 180, 100)
        for part in (buzz(1.5, 22050, f0_hz), np.zeros(8000, np.float32))
    ]
    wav = np.concatenate(pieces) + 1e-4 * np.random.default_rng(0).standard_normal(sum(map(len, pieces))).astype(
        np.float32
    )
    whole = extract_f0(wav, 22050, 256)
    monkeypatch.setattr(pitch_module, "F0_WINDOW_S", 4.0)
    monkeypatch.setattr(pitch_module, "F0_OVERLAP_S", 1.0)
    windowed = extract_f0(wav, 22050, 256)
    assert windowed.shape == whole.shape and (whole > 0).mean() > 0.6
    assert np.mean((windowed > 0) == (whole > 0)) > 0.995
    both = (windowed > 0) & (whole > 0)
    assert np.quantile(np.abs(np.log(windowed[both] / whole[both])), 0.995) < 0.01


def test_the_level_is_added_up_in_blocks(monkeypatch):
    wav = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    monkeypatch.setattr("facevc_cli.dsp.level.BLOCK_SAMPLES", 64)
    assert measure_rms(wav) == pytest.approx(float(np.sqrt((wav.astype(float) ** 2).mean())), rel=1e-6)


# --- what runs beside the network -------------------------------------------------------------------------------------


def test_hearing_runs_ahead_by_one_and_writing_behind(inputs, model, monkeypatch):
    main, heard, lock = threading.get_ident(), [], threading.Lock()
    hear, speak, save = Converter.hear, Converter.speak_many, saving.save_audio
    threads: dict[str, set[int]] = {"hear": set(), "speak": set(), "save": set()}
    before: list[list[str]] = []

    def hearing(self, source, *rest):
        threads["hear"].add(threading.get_ident())
        with lock:
            heard.append(source.stem)
        return hear(self, source, *rest)

    def speaking(self, pairs):
        threads["speak"].add(threading.get_ident())
        time.sleep(0.2)
        with lock:
            before.append(list(heard))
        return speak(self, pairs)

    def writing(*given, **named):
        threads["save"].add(threading.get_ident())
        save(*given, **named)

    monkeypatch.setattr(Converter, "hear", hearing)
    monkeypatch.setattr(Converter, "speak_many", speaking)
    monkeypatch.setattr(saving, "save_audio", writing)
    run(config(inputs, model, faces=(inputs / "faces" / "eve.png",)))
    assert before == [["a", "b"], ["a", "b", "c"], ["a", "b", "c"]]  # the next one, and no more
    assert threads["speak"] == {main} and main not in threads["hear"] | threads["save"]


def test_slow_writes_hold_the_network_back(inputs, model, monkeypatch):
    """What waits for the disk is bounded, in files and in seconds of sound."""
    for files, seconds in ((1, 600.0), (100, 0.5)):
        monkeypatch.setattr(pipeline, "WRITES_AHEAD", files)
        monkeypatch.setattr(pipeline, "WRITES_AHEAD_S", seconds)
        gap, spoken, written = [], [], []
        speak, save = Converter.speak_many, saving.save_audio
        with monkeypatch.context() as patch:
            patch.setattr(
                Converter,
                "speak_many",
                lambda self, pairs: (spoken.append(1), gap.append(len(spoken) - len(written)), speak(self, pairs))[2],  # noqa: B023
            )
            patch.setattr(
                saving,
                "save_audio",
                lambda *given, **named: (time.sleep(0.1), save(*given, **named), written.append(1)),  # noqa: B023
            )
            run(config(inputs, model, overwrite=True))
        assert len(written) == 6 and max(gap) <= 3


def test_long_sources_make_small_batches(inputs, model, monkeypatch):
    monkeypatch.setattr(pipeline, "BATCH_FRAMES", 120)  # b alone has 146
    sizes = []
    speak = Converter.speak_many
    monkeypatch.setattr(
        Converter,
        "speak_many",
        lambda self, pairs: (sizes.append([p[0].lf0.shape[1] for p in pairs]), speak(self, pairs))[1],
    )
    run(config(inputs, model, batch_size=10))
    assert [len(size) for size in sizes] == [2, 1, 1, 1, 1] and all(
        len(size) == 1 or sum(size) <= 120 for size in sizes
    )
