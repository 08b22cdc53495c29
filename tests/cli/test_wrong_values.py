"""Every wrong value of an option ends with exit code 2 and one paragraph that names the option."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.checkpoints import checkpoint
from helpers.speech_engines import replace_engine
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from facevc_cli.cli.app import app

EXTRACT = {
    "extract-wav": "speech.wav -o wavs",
    "extract-features": "speech.wav -o features.h5",
    "extract-face": "face.png -o faces.h5",
    "extract-spkemb": "speech.wav -o voices.h5",
}
TRAIN = {
    "pretrain": "features.h5 --voices voices.h5 -o run",
    "train": "features.h5 --faces faces.h5 --voices voices.h5 --init run -o run2",
}
REST = {
    "distill": "features.h5 -o run3",
    "import-checkpoint": "published.pt --stats stats.npy -o model",
    "benchmark": "speech.wav --face face.png -o out",
    "convert": "speech.wav --face face.png -o out",
    "speak": "Hi. --face face.png -o out",
    "live": "--face face.png --simulate speech.wav -o live.wav",
    "restyle": "face.png --register 0.5 -o restyled",
    "imagine": "speech.wav -o imagined",
    "sample": "-o pairs",
    "export": "--onnx exported",
    "voice-card": "face.png -o card.safetensors",
    "nearest": "face.png --voice speech.wav",
    "serve": "--no-browser",
    "evaluate": "manifest.csv --no-naturalness",
}
COMMANDS = EXTRACT | TRAIN | REST  # with right values, as far as the command needs them
BENCHMARK = "--labels labels.csv --sources sources.csv"
ENGINES = ("spark", "local://here", "ray://head", "slurm://gpu")
ODD_SEEDS = ("-1", "1e3", "99999999999999999999")

# command -> option -> values that are wrong
WRONG: dict[str, dict[str, tuple[str, ...]]] = {
    **{
        command: {
            "--shard": ("3/2", "0/2", "half"),
            "--speaker-pattern": ("(", "[a-z]+"),
            "--engine": ENGINES,
            "--jobs": ("-1", "all"),
            "--limit": ("0",),
            "--root": ("http://example.org", "absent"),
            **({} if command == "extract-wav" else {"--keep-shards": ("0", "-1", "many")}),
        }
        for command in EXTRACT
    },
    **{
        command: {
            "--preset": ("toys", ""),
            "--set": ("pretrain.steps=-5", "train.optimiser.schedule=cosin", "model.slots", "model.slotz=3"),
            "--precision": ("fp16", "BF16"),
            "--device": ("gpu", "cuda:x", "cuda:99"),
            "--seed": ODD_SEEDS,
            "--stop-at": ("0",),
        }
        for command in TRAIN
    },
    "distill": {
        "--set": ("distill.steps=-5", "model.slotz=3", "model.stream_encoder.width=-1"),
        "--precision": ("fp16",),
        "--device": ("gpu", "cuda:99"),
        "--seed": ODD_SEEDS,
        "--stop-at": ("0",),
    },
    "import-checkpoint": {"--preset": ("toys",), "--set": ("model.slots=0", "model.pitch=absolute")},
    "benchmark": {
        "--seed": ODD_SEEDS,
        "--baseline": ("noise",),
        "--degrade": ("fog=2", "blur=much"),
        "--protocol": ("papre",),
    },
    "convert": {
        "--device": ("gpu", "cuda:99"),
        "--limit": ("0",),
        "--batch-size": ("0",),
        "--vocoder": ("hifi-gan",),
        "--temperature": ("0", "-1", "nan", "warm"),
        "--guidance": ("9", "-1", "nan"),
        "--on-many": ("all", "Largest"),
        "--pitch": ("high", "5hz", "+99"),
        "--name": ("{who}.wav", "{source}{face}.xyz", "../{source}{face}.wav", "/tmp/{source}{face}.wav"),
        "--register": ("high", "2", "nan"),
        "--age": ("old", "5", "nan"),
        "--sweep": ("1", "3"),
        "--mix": ("face.png=1", "face.png=.5 face.png=x"),
        "--engine": ENGINES,
        "--jobs": ("-1", "many"),
    },
    "voice-card": {
        "--out": ("card.txt",),
        "--register": ("high",),
        "--age": ("old",),
        "--temperature": ("0", "nan"),
        "--on-many": ("all",),
        "--device": ("gpu",),
        "--mix": ("face.png=1",),
    },
    "live": {
        "--device": ("gpu", "cuda:99"),
        "--vocoder": ("hifi-gan",),
        "--temperature": ("0", "nan"),
        "--guidance": ("9", "nan"),
        "--on-many": ("all",),
        "--pitch": ("high", "+99"),
        "--register": ("high",),
        "--age": ("old",),
        "--sweep": ("1",),
        "--mix": ("face.png=1",),
        "--step": ("0", "3", "many"),
        "--seconds": ("0", "-1", "nan"),
        "--gate": ("loud",),
    },
    "restyle": {
        "--register": ("high", "2"),
        "--age": ("old", "5"),
        "--strength": ("-1", "nan", "9"),
        "--limit": ("0",),
        "--on-many": ("all",),
    },
    "imagine": {
        "--register": ("high",),
        "--age": ("old",),
        "--samples": ("0", "many"),
        "--size": ("1", "99999"),
        "--seed": ODD_SEEDS,
        "--limit": ("0",),
        "--device": ("gpu", "cuda:99"),
    },
    "sample": {
        "--count": ("0", "many"),
        "--size": ("1", "99999"),
        "--seed": ODD_SEEDS,
        "--device": ("gpu",),
        "--engine": ("nobody", "command:"),
        "--vocoder": ("hifi-gan",),
    },
    "export": {"--on-many": ("all",), "--temperature": ("0", "nan"), "--vocoder": ("wavenet",)},
    "nearest": {"--top": ("0",), "--on-many": ("all",), "--device": ("gpu", "cuda:99")},
    "serve": {
        "--host": ("nowhere.invalid",),
        "--port": ("70000", "-1", "http"),
        "--max-seconds": ("0", "nan", "inf"),
        "--max-mb": ("-1",),
        "--device": ("gpu",),
        "--vocoder": ("wavenet",),
    },
    "evaluate": {
        "--pattern": ("{what}.wav", "{source}.wav"),
        "--by": ("shoe size",),
        "--metric": ("loudness", "SHO"),
        "--speaker-judge": ("ears",),
        "--recogniser": ("siri",),
        "--language": ("klingon",),
        "--grid": ("-1",),
        "--listening-items": ("0",),
        "--question": ("looks",),
        "--seed": ODD_SEEDS,
        "--engine": ENGINES,
        "--jobs": ("-1",),
        "--limit": ("0",),
        "--system": ("=runs/a",),
    },
}
WRONG["extract-wav"] |= {"--rate": ("10", "fast")}
WRONG["extract-features"] |= {
    "--mel": ("hifi",),
    "--valid-share": ("1", "-0.1", "nan"),
    "--device": ("gpu", "cuda:99"),
    "--seed": ODD_SEEDS,
}
WRONG["extract-face"] |= {
    "--detector": ("yolo",),
    "--embedder": ("arcface",),
    "--on-many": ("all",),
    "--every": ("0",),
    "--max-frames": ("0",),
    "--store-crops": ("63", "257"),
    "--device": ("gpu",),
}
WRONG["extract-spkemb"] |= {"--device": ("gpu", "cuda:99")}
WRONG["benchmark"] = WRONG["convert"] | WRONG["benchmark"]
WRONG["speak"] = WRONG["convert"] | {
    "--seed": ODD_SEEDS,
    "--protocol": ("papre",),
    "--engine": ("nobody", "command:"),
    "--language": ("de",),
    "--speed": ("0.4", "9", "nan", "fast"),
    "--pause": ("-1", "nan", "99"),
    "--how": ("magic", "Both"),
}
CASES = [
    (command, option, value)
    for command, options in WRONG.items()
    for option, values in options.items()
    for value in values
]
# what takes any text, or names files; a file that is missing is no wrong value
FREE = {
    "--out",
    "--speakers",
    "--split",
    "--teacher",
    "--save-crops",
    "--voices",
    "--faces",
    "--config",
    "--encoder-init",
    "--init",
    "--content",
    "--aligned",
    "--sampling-weights",
    "--association",
    "--pairs",
    "--stats",
    "--origin",
    "--face",
    "--person",
    "--voice",
    "--checkpoint",
    "--labels",
    "--sources",
    "--system",
    "--calibrate",
    "--candidates",
    "--input",
    "--output",
    "--record",
    "--simulate",
    "--onnx",
    "--portraits",
    "--fid-network",
    "--lpips-network",
    "--answers",
    "--listening-test",
    "--crops",
    "--engine-voice",
    "--text",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the commands name before they look at a value."""
    folder = tmp_path_factory.mktemp("values")
    soundfile.write(folder / "speech.wav", 0.1 * np.sin(np.arange(8000) / 10), 16000)
    Image.new("RGB", (40, 40)).save(folder / "face.png")
    (folder / "published.pt").write_bytes(b"none")
    (folder / "labels.csv").write_text("target,gender\nface,female\n")
    (folder / "sources.csv").write_text("source_id,gender\nspeech,male\n")
    (folder / "manifest.csv").write_text(
        "converted,source,source_id,target,face\nspeech.wav,speech.wav,speech,face,face.png\n"
    )
    checkpoint(folder / "run", faces=False)
    return folder


@pytest.mark.parametrize(("command", "option", "value"), CASES)
def test_a_wrong_value_is_a_wrong_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, option: str, value: str
):
    if option == "--recogniser":
        pytest.importorskip("faster_whisper")
    if command == "serve" and option in ("--host", "--vocoder"):  # looked at when the page is built
        pytest.importorskip("gradio")
    if command == "speak" and option != "--engine":
        replace_engine(monkeypatch)
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())
    known = COMMANDS[command].split()
    if option == "--out":
        known = known[: known.index("-o")]
    if option == "--pattern":
        known[0] = "."
    if option == "--protocol" and command == "benchmark":
        known += BENCHMARK.split()
    found = CliRunner().invoke(
        app, [command, *known, f"{option}={value}"], env={"COLUMNS": "400", "TERMINAL_WIDTH": "400"}
    )
    said = f"{found.output}{found.exception}"
    code = (
        found.exit_code if isinstance(found.exception, SystemExit | None) else getattr(found.exception, "exit_code", 1)
    )
    assert code == 2, said
    assert option in said and "Traceback" not in said
    assert set(folder.iterdir()) == before  # nothing was begun


def test_every_option_with_a_value_is_tried():
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        taking = {max(p.opts, key=len) for p in command.params if p.opts[0].startswith("-") and not p.is_flag}
        assert taking - FREE <= set(WRONG.get(name.replace("extract-voice", "extract-spkemb"), ())), name


def test_the_process_itself_ends_with_2():
    command = [sys.executable, "-m", "facevc_cli", "nearest", "face.png", "--voice", "speech.wav", "--device", "gpu"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})
    assert (found.returncode, found.stdout) == (2, "")
    assert (
        "--device" in found.stderr
        and "expected auto, cpu, cuda, cuda:N or mps" in found.stderr
        and "Traceback" not in found.stderr
    )


def test_a_missing_file_is_no_wrong_value(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    for arguments in (
        "convert nowhere.wav --face face.png -o out",
        "pretrain none.h5 --voices none.h5 -o run",
        "evaluate none.csv",
    ):
        assert CliRunner().invoke(app, arguments.split()).exit_code == 1, arguments
    for given in (f"--protocol nowhere.yaml {BENCHMARK}", "--vocoder nowhere.pkl"):
        found = CliRunner().invoke(app, f"convert speech.wav --face face.png -o out {given}".split())
        assert found.exit_code == 1 and "nowhere" in found.output
