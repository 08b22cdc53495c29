"""recipes/vocoder: pieces that survive being stopped, a training that resumes exactly, and the figure for buzz."""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from helpers.recipes import run_recipe, run_script
from helpers.repository import RECIPES
from helpers.vocoders import write_light

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SILENT
from facevc_cli.files.tables import read_table
from facevc_cli.vocoders.hifigan import HifiganGenerator, HifiganSizes
from facevc_cli.vocoders.load import load_vocoder

LOCAL = RECIPES / "vocoder" / "local"
RATE = 22050
pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """A script of the recipe as a module; they import each other by their bare names."""
    import importlib

    monkeypatch.syspath_prepend(str(LOCAL))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (LOCAL / f"{name}.py").is_file():
            del sys.modules[name]


def make_piece(number: int, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(number)
    tone = 0.3 * np.sin(2 * np.pi * (150 + 20 * number) * np.arange(frames * 256) / RATE)
    return rng.normal(-5, 2, (frames, 80)), tone, tone + rng.normal(0, 0.01, len(tone))


def write_pieces(load: Callable[[str], Any], folder: Path, count: int = 60, real: bool = True) -> Path:
    """Names of which one in forty or so are for validation."""
    writer = load("pieces").PieceWriter(folder)
    for number in range(count):
        log_mel, teacher, recording = make_piece(number % 5, 24 + number % 3)
        writer.add(f"u{number}", log_mel, teacher, recording if real else None)
    return folder


# --- pieces -----------------------------------------------------------------------------------------------------------


def test_a_store_without_pieces_or_with_lost_numbers_is_refused(load: Callable[[str], Any], tmp_path: Path):
    pieces = load("pieces")
    with pytest.raises(FaceVCError, match="expected pieces of at least 16 frames in the split 'train', found none"):
        pieces.PieceStore(tmp_path, "train", 16)
    folder = write_pieces(load, tmp_path / "pieces", 2)
    (folder / "teacher.i16").write_bytes(b"")
    with pytest.raises(FaceVCError, match=r"teacher\.i16: expected 25088 bytes for its index, found 0"):
        pieces.PieceWriter(folder)  # (24 + 25) frames of 256 samples of 2 bytes
    (folder / "index.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FaceVCError, match="expected the index of pieces"):
        pieces.read_index(folder)


def test_a_killed_writer_goes_on_where_it_stopped(load: Callable[[str], Any], tmp_path: Path):
    pieces = load("pieces")
    whole, stopped = write_pieces(load, tmp_path / "whole", 3), write_pieces(load, tmp_path / "stopped", 2)
    with open(stopped / "log_mel.f16", "ab") as file:
        file.write(b"half a piece")
    with open(stopped / "index.csv", "a") as file:
        file.write("u2,train,49,2")
    writer = pieces.PieceWriter(stopped)
    assert writer.done == {"u0", "u1"} and writer.hours == 49 * 256 / RATE / 3600
    writer.add("u2", *make_piece(2, 26))
    for path in whole.iterdir():
        assert (stopped / path.name).read_bytes() == path.read_bytes(), path.name


def test_recordings_that_fail_are_named_and_many_in_a_row_end_it(
    load: Callable[[str], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    writer = load("pieces").PieceWriter(tmp_path)
    for number in range(19):
        writer.skip(f"u{number}", FaceVCError("too short"))
    writer.add("good", *make_piece(0, 24))
    for number in range(19):
        writer.skip(f"v{number}", FaceVCError("too short"))
    assert "failed  u0: too short" in capsys.readouterr().err
    with pytest.raises(FaceVCError, match="20 recordings in a row failed; the last one: too short"):
        writer.skip("last", FaceVCError("too short"))


def test_crops_are_those_of_the_waveforms(load: Callable[[str], Any], tmp_path: Path):
    pieces = load("pieces")
    folder = write_pieces(load, tmp_path / "pieces", 30)
    batches = pieces.CropBatches([pieces.PieceStore(folder, "train", 16)], 4, 0)
    batch, again = batches[3], batches[3]
    assert batch["log_mel"].shape == (4, 16, 80) and batch["teacher"].shape == batch["real"].shape == (4, 16 * 256)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert not torch.equal(batch["teacher"], batches[4]["teacher"])
    kept = np.concatenate([make_piece(n % 5, 24 + n % 3)[1] for n in range(30)])
    found = batch["teacher"][0].numpy()
    starts = range(0, len(kept) - len(found) + 1, 256)
    assert min(np.abs(kept[s : s + len(found)] - found).max() for s in starts) < 1 / 32767


def test_the_teacher_speaks_a_piece_as_it_speaks_the_whole(load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch):
    from facevc_cli.vocoders.hifigan import Hifigan, HifiganGenerator, HifiganSizes

    pieces = load("pieces")
    torch.manual_seed(0)
    sizes = HifiganSizes(channels=16, block_kernels=(3,), block_dilations=((1, 3),))
    teacher = Hifigan(HifiganGenerator(sizes), "hifigan")
    log_mel = np.random.default_rng(0).normal(-5, 2, (120, 80)).astype(np.float32)
    whole = teacher(torch.from_numpy(log_mel)).numpy()
    monkeypatch.setattr(pieces, "PIECE_FRAMES", 40)
    maker = pieces.PieceMaker(teacher, 0)
    start, end = maker.choose_frames("a", 120)
    assert end - start == 40 and maker.choose_frames("a", 120) == (start, end) and maker.choose_frames("a", 9) == (0, 9)
    np.testing.assert_allclose(maker.speak(log_mel, start, end), whole[start * 256 : end * 256], atol=1e-6)
    np.testing.assert_allclose(maker.speak(log_mel, 0, 30), whole[: 30 * 256], atol=1e-6)


@pytest.mark.slow
def test_hifigan_speaks_recordings_and_a_broken_one_is_named(load: Callable[[str], Any], tmp_path: Path):
    for number in range(2):
        soundfile.write(tmp_path / f"{number}.wav", make_piece(number, 30)[2], RATE)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    lines = [f"{name},{name}.wav" for name in ("0", "broken", "1")]
    (tmp_path / "speech.csv").write_text("\n".join(["utterance,path", *lines]) + "\n")
    run = run_recipe("vocoder", "--out", tmp_path / "out", "--tables", tmp_path / "speech.csv", "--stop-stage", 1)
    assert run.returncode == 0, run.stderr
    assert "failed  broken: " in run.stderr
    found = load("pieces").read_index(tmp_path / "out" / "pieces")
    assert sorted(piece.utterance for piece in found) == ["0", "1"] and all(piece.real for piece in found)
    waves = [np.fromfile(tmp_path / "out" / "pieces" / name, np.int16) for name in ("teacher.i16", "real.i16")]
    assert len(waves[0]) == len(waves[1]) == sum(piece.frames for piece in found) * 256
    loudness = [np.abs(wave.astype(float)).mean() for wave in waves]
    assert 0.5 < loudness[0] / loudness[1] < 2  # HiFi-GAN speaks a tone as a tone


def test_tables_may_name_paths_or_files_and_splits_hold_out(load: Callable[[str], Any], tmp_path: Path):
    tables = load("tables")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.csv").write_text("utterance,path\nx,x.wav\ny,y.wav\n")
    (tmp_path / "two.csv").write_text("utterance,file\nz,s/z.wav\n")
    (tmp_path / "splits.csv").write_text("utterance,split\nx,train\ny,test\n")
    given, splits = [tmp_path / "a" / "one.csv", tmp_path / "two.csv"], tmp_path / "splits.csv"
    assert dict(tables.read_recordings(given, splits)) == {
        "x": tmp_path / "a" / "x.wav",
        "z": tmp_path / "s" / "z.wav",
    }
    assert [row["utterance"] for row in tables.read_held_out(given, lambda _: "train", splits)] == ["y"]
    (tmp_path / "by_speaker.csv").write_text("speaker,utterance,split\ns,,test\n")
    (tmp_path / "three.csv").write_text("utterance,speaker,path\nu,s,u.wav\nv,t,v.wav\n")
    by_speaker = [tmp_path / "three.csv"], tmp_path / "by_speaker.csv"
    assert [name for name, _ in tables.read_recordings(*by_speaker)] == ["v"]
    assert [row["utterance"] for row in tables.read_held_out(by_speaker[0], str, by_speaker[1])] == ["u"]
    (tmp_path / "by_speaker.csv").write_text("name,split\ns,test\n")
    with pytest.raises(SystemExit, match="expected the columns utterance or speaker, and split"):
        tables.read_recordings(*by_speaker)
    held_out = tables.read_held_out(given, lambda name: "valid" if name == "z" else "train")
    assert [row["utterance"] for row in held_out] == ["z"]
    (tmp_path / "two.csv").write_text("name\nz\n")
    with pytest.raises(SystemExit, match="expected the columns utterance and path, found name"):
        tables.read_recordings(given)


def test_a_pack_comes_back_exactly_and_damage_is_named(load: Callable[[str], Any], tmp_path: Path):
    for name, real in (("pieces", True), ("decoded", False)):
        write_pieces(load, tmp_path / "out" / name, 4, real)
    run_script(LOCAL / "transfer.py", tmp_path / "out", tmp_path / "pack")
    back = (LOCAL / "transfer.py", "--unpack", tmp_path / "pack", tmp_path / "back")
    run_script(*back)
    for path in (tmp_path / "out").rglob("*.*"):
        assert (tmp_path / "back" / path.relative_to(tmp_path / "out")).read_bytes() == path.read_bytes()
    damaged = tmp_path / "pack" / "decoded" / "teacher.i16.000"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    run = run_script(*back, check=False)
    assert run.returncode == 1 and "teacher.i16.000: the file is missing or damaged" in run.stderr


# --- lower ranks ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def teacher() -> HifiganGenerator:
    torch.manual_seed(0)
    dilations = ((1, 3), (1, 3))
    generator = HifiganGenerator(HifiganSizes(channels=256, block_kernels=(3, 7), block_dilations=dilations))
    for weight in generator.parameters():
        weight.data *= 1.5
    return generator.requires_grad_(False)


def make_log_mels(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 80, 40, generator=torch.Generator().manual_seed(seed)) * 2 - 5


def test_whole_ranks_give_the_teacher_itself(load: Callable[[str], Any], teacher: HifiganGenerator):
    log_mels = make_log_mels(8, 1)
    layers = load("layers").measure_layers(teacher, log_mels)
    ranks = load("layers").choose_ranks(layers, 1.0)
    assert ranks == [(layer.conv.in_channels, layer.conv.out_channels) for layer in layers.values()]
    made = load("factor").factor(teacher, layers, ranks, log_mels)
    torch.testing.assert_close(made(log_mels), teacher(log_mels), atol=1e-4, rtol=0)


def test_lower_ranks_cost_less_and_speak_nearly_the_same(load: Callable[[str], Any], teacher: HifiganGenerator):
    log_mels, others = make_log_mels(6, 1), make_log_mels(2, 2)
    layers, errors, costs = load("layers").measure_layers(teacher, log_mels), [], []
    for share in (0.6, 0.3):
        ranks = load("layers").choose_ranks(layers, share)
        made = load("factor").factor(teacher, layers, ranks, log_mels)
        wanted = teacher(others)
        errors.append(float((made(others) - wanted).detach().square().mean() / wanted.var()))
        costs.append(sum(w.numel() for w in made.parameters()) / sum(w.numel() for w in teacher.parameters()))
    assert errors[0] < 0.05 and errors[0] < errors[1] < 0.2
    assert 0.2 < costs[1] < costs[0] < 0.65


def test_an_output_that_nothing_hears_counts_nothing(load: Callable[[str], Any]):
    torch.manual_seed(0)
    generator = HifiganGenerator(HifiganSizes(channels=64, block_kernels=(3,), block_dilations=((1,),)))
    generator.conv_post.weight.data[:, 2:] = 0
    last = list(load("layers").measure_layers(generator, make_log_mels(1, 0)).values())[-1]
    assert last.metric.trace() == pytest.approx(1) and last.metric.diagonal()[2:].sum() < 1e-6
    assert last.weights.shape == (1, 40 * 256) and last.rate == 256


# --- training ---------------------------------------------------------------------------------------------------------


def make_config(load: Callable[[str], Any], **changes: Any) -> Any:
    config = load("training").Config()
    small = {"steps": 6, "batch_size": 2, "crop_frames": 24, "heard_frames": 16, "log_every": 1, "validate_every": 3}
    small |= {"validation_batches": 1, "checkpoint_every": 2, "adversarial": 0.3, "adversarial_from": 0.4}
    return replace(config, train=replace(config.train, **small | changes))


def read_losses(run: Path) -> list[dict[str, str]]:
    return [
        {k: v for k, v in r.items() if k not in ("steps_per_s", "data_wait")} for r in read_table(run / "losses.csv")
    ]


@pytest.mark.parametrize("name", ["train", "finetune"])
def test_the_recipes_settings_are_settings(load: Callable[[str], Any], name: str):
    config = load("train").read_config(LOCAL.parent / "conf" / f"{name}.yaml", None, 8)
    assert config.train.batch_size == 8 and config.train.steps == {"train": 700, "finetune": 400}[name]


def make_light(folder: Path) -> Path:
    return write_light(
        folder, HifiganSizes(channels=16, block_kernels=(3,), block_dilations=((1,),), ranks=((8, 2),) * 12)
    )


def test_the_edges_of_a_crop_are_left_out(load: Callable[[str], Any]):
    training = load("training")
    batch = {"log_mel": torch.full((2, 32, 80), -5.0)} | dict.fromkeys(("teacher", "real"), torch.zeros(2, 32 * 256))
    cut, made = training.LightTask(make_config(load), HifiganSizes(channels=16), 0)._speak(batch)
    assert made.shape == cut["teacher"].shape == (2, 16 * 256)


def test_a_resumed_training_equals_an_uninterrupted_one(load: Callable[[str], Any], tmp_path: Path):
    train, config = load("train"), make_config(load)
    folder, init = write_pieces(load, tmp_path / "pieces", 120), make_light(tmp_path / "init")
    for name, stops in (("whole", (None,)), ("parts", (3, None))):
        for stop in stops:
            train.train(tmp_path / name, init, [folder], config, SILENT, device="cpu", stop_at=stop)
    assert read_losses(tmp_path / "parts") == read_losses(tmp_path / "whole")
    rows = read_losses(tmp_path / "whole")
    assert not rows[0]["discriminators"] and rows[-2]["discriminators"]  # from step 0.4 * 6 on
    assert any(row["valid_loss"] for row in rows)
    last = [tmp_path / name / "checkpoints" / "last" for name in ("whole", "parts")]
    assert (last[0] / "model.safetensors").read_bytes() == (last[1] / "model.safetensors").read_bytes()
    assert load_vocoder(last[0], "hifigan")(torch.full((30, 80), -5.0)).shape == (30 * 256,)
    with pytest.raises(FaceVCError, match=r"holds a run with other settings \(train\.batch_size: 2 there, 4 now\)"):
        train.train(tmp_path / "whole", init, [folder], make_config(load, batch_size=4), SILENT, device="cpu")
    longer = train.train(tmp_path / "whole", init, [folder], make_config(load, steps=8), SILENT, device="cpu")
    assert longer.data["step"] == 8 and read_losses(tmp_path / "whole")[: len(rows) - 1] == rows[:-1]


def test_fine_tuning_begins_from_a_checkpoint_and_hears_conversions(load: Callable[[str], Any], tmp_path: Path):
    train, config = load("train"), make_config(load, adversarial=0.0)
    real, decoded = write_pieces(load, tmp_path / "a"), write_pieces(load, tmp_path / "b", real=False)
    train.train(tmp_path / "first", make_light(tmp_path / "init"), [real], config, SILENT, device="cpu")
    last = tmp_path / "first" / "checkpoints" / "last"
    pieces = load("pieces")
    stores = [pieces.PieceStore(path, "train", 24) for path in (real, decoded)]
    assert 60 < sum(float(pieces.CropBatches(stores, 16, 0)[step]["is_real"].sum()) for step in range(10)) < 100
    still = replace(
        config, train=replace(config.train, steps=1, optimiser=replace(config.train.optimiser, learning_rate=1e-9))
    )
    train.train(tmp_path / "second", last, [real, decoded], still, SILENT, device="cpu")
    before, after = (load_vocoder(path, "hifigan") for path in (last, tmp_path / "second" / "checkpoints" / "last"))
    for name, value in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], value, atol=1e-6, rtol=0)
    load("export")
    run_script(LOCAL / "export.py", tmp_path / "second", tmp_path / "light")
    assert (tmp_path / "light" / "model.safetensors").stat().st_size < 0.6 * (last / "model.safetensors").stat().st_size
    assert load_vocoder(tmp_path / "light", "hifigan").name.startswith("light ")


def test_losses_of_equal_waveforms_are_nothing(load: Callable[[str], Any]):
    losses = load("losses")
    wav = 0.1 * torch.randn(2, 4096, generator=torch.Generator().manual_seed(0))
    magnitudes, phases = losses.StftLoss()(wav, wav)
    assert float(magnitudes) == 0 and float(phases) == 0
    magnitudes, phases = losses.StftLoss()(-wav, wav)
    assert float(magnitudes) < 1e-5 and float(phases) > 4  # only the phases differ: 2 |S| in each of four resolutions
    mel = losses.MelLoss()
    assert float(mel(wav, wav * math.e, torch.tensor([1.0, 1.0]))) == pytest.approx(1, abs=0.01)
    half = torch.stack([wav[0], wav[1] * math.e])
    assert float(mel(wav, half, torch.tensor([1.0, 0.0]))) == 0
    assert float(mel(wav, half, torch.tensor([0.0, 0.0]))) == 0


# --- buzz -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def speech() -> np.ndarray:
    """Two vowels of half a second with a pause of half a second between them, and silence around them."""
    time = np.arange(RATE // 2) / RATE
    vowel = 0.3 * sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    nothing = np.zeros(RATE // 2)
    return np.concatenate([nothing, vowel, nothing, vowel, nothing])


def test_a_clean_pause_does_not_buzz(load: Callable[[str], Any], speech: np.ndarray):
    buzz = load("buzz").measure_buzz(speech, speech, RATE)
    assert buzz.level_db == -100 and buzz.share == 0
    assert 30 < buzz.pause_frames < 45  # half a second in steps of 12 ms, less the frames that touch a vowel


@pytest.mark.parametrize("hz", [86.13, 150.0])
@pytest.mark.parametrize("level_db", [-40.0, -55.0])
def test_a_hum_in_the_pauses_is_measured(load: Callable[[str], Any], speech: np.ndarray, hz: float, level_db: float):
    power = np.mean(speech[RATE // 2 : RATE] ** 2)
    pulses = sum(np.cos(2 * np.pi * hz * k * np.arange(len(speech)) / RATE) for k in range(1, 12))
    hum = pulses * math.sqrt(power / np.mean(pulses**2)) * 10 ** (level_db / 20)
    buzz = load("buzz").measure_buzz(speech + hum, speech, RATE)
    assert buzz.level_db == pytest.approx(level_db, abs=1.5) and buzz.share == 1


def test_noise_in_the_pauses_is_no_buzz(load: Callable[[str], Any], speech: np.ndarray):
    noise = 0.002 * np.random.default_rng(0).standard_normal(len(speech))
    buzz = load("buzz").measure_buzz(speech + noise, speech, RATE)
    assert buzz.level_db == -100 and buzz.share == 0 and buzz.pause_frames > 0


def test_speech_without_pauses_and_silence_have_no_buzz(load: Callable[[str], Any], speech: np.ndarray):
    measure = load("buzz").measure_buzz
    for wav in (speech[RATE // 2 : RATE], np.zeros(RATE), np.zeros(10)):
        assert measure(wav, wav, RATE).pause_frames == 0


# --- run.sh -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--hours", "four"), "--hours 'four': expected a number"),
        (("--steps", "0"), "--steps '0': expected a whole number from 1 on"),
        ((), "--tables '': expected one or more tables"),
        (("--tables", "none.csv"), "--tables 'none.csv': no such table"),
        (("--splits", "none.csv"), "--splits 'none.csv': no such file"),
    ],
)
def test_wrong_values_are_usage_errors(tmp_path: Path, options: tuple[str, ...], message: str):
    run = run_recipe("vocoder", "--out", tmp_path / "out", *options)
    assert run.returncode == 2 and message in run.stderr
