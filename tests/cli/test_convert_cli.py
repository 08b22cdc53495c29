"""`facevc convert` and `facevc benchmark` as commands: exit codes, what goes to stdout and what to stderr, pipes."""

import io
import json
import os
import subprocess
import sys

import pytest
import soundfile
from helpers.pictures import save_grey
from helpers.sounds import buzz, recording
from typer.main import get_command
from typer.testing import CliRunner

from facevc_cli.cli.app import app
from facevc_cli.conversion.converter import Converter

pytestmark = pytest.mark.usefixtures("analyser")


@pytest.fixture
def model(toy_model):
    return toy_model


@pytest.fixture
def call(tmp_path, model, monkeypatch):
    """Runs the command in a folder with a source and a face."""
    monkeypatch.chdir(tmp_path)
    recording(tmp_path / "s.wav", 0.2)
    save_grey(tmp_path / "f.png", 90)

    def run(*arguments, given=None, command="convert"):
        return CliRunner().invoke(
            app, [command, *arguments, "--checkpoint", str(model), "--vocoder", "griffin-lim", "-d", "cpu"], input=given
        )

    return run


def test_done_then_skipped(call, tmp_path):
    result = call("s.wav", "--face", "f.png", "-o", "out")
    assert result.exit_code == 0 and result.stdout == ""
    assert (
        "1 done, 0 skipped, 0 failed -> out" in result.stderr
        and "next: facevc evaluate out/manifest.csv" in result.stderr
    )
    assert (tmp_path / "out" / "s__f.wav").is_file()
    again = call("s.wav", "--face", "f.png", "-o", "out")
    assert again.exit_code == 0 and "0 done, 1 skipped" in again.stderr


def test_a_dry_run_lists_its_jobs_on_stdout(call, tmp_path):
    result = call("s.wav", "--face", "f.png", "-o", "out", "-n")
    assert (
        result.exit_code == 0 and result.stdout == "s.wav + f.png -> out/s__f.wav\n" and not (tmp_path / "out").exists()
    )
    as_json = json.loads(call("s.wav", "--face", "f.png", "-o", "out", "-n", "--json").stdout)
    assert as_json["planned"] == [{"converted": "out/s__f.wav", "source": "s.wav", "target": "f.png"}]


def test_a_failed_item_is_exit_code_1(call, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"")
    result = call("bad.wav", "s.wav", "--face", "f.png", "-o", "out", "--json")
    assert result.exit_code == 1
    *items, printed = map(json.loads, result.stdout.splitlines())
    out = tmp_path.joinpath("out").relative_to(tmp_path)
    assert [(item["type"], item["converted"], item["source"], item["target"], item["status"]) for item in items] == [
        ("item", str(out / "bad__f.wav"), "bad.wav", "f.png", "failed"),
        ("item", str(out / "s__f.wav"), "s.wav", "f.png", "done"),
    ]
    assert "zero bytes" in items[0]["reason"] and "reason" not in items[1]
    assert printed["type"] == "summary" and printed["output"] == "out" and printed["skipped"] == 0
    assert (
        printed["done"] == 1
        and printed["failures"][0]["item"] == "bad__f.wav"
        and "zero bytes" in printed["failures"][0]["reason"]
    )
    assert "failed  bad__f.wav" in result.stderr and (tmp_path / "out" / "s__f.wav").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("s.wav", "--face", "f.png"), 2, "--out"),
        (("--face", "f.png", "-o", "out"), 2, "sources"),
        (("s.wav", "-o", "out"), 2, "--voice"),
        (("s.wav", "--face", "f.png", "-o", "out.mp3"), 2, "out.mp3"),
        (("s.wav", "--face", "f.png", "-o", "out", "--temperature", "0"), 2, "--temperature"),
        (("s.wav", "--face", "f.png", "-o", "out", "--limit", "0"), 2, "--limit"),
        (("nowhere.wav", "--face", "f.png", "-o", "out"), 1, "nowhere.wav: no such file"),
    ],
)
def test_exit_codes(call, arguments, code, said):
    result = call(*arguments)
    assert result.exit_code == code and said.lower() in result.stderr.lower() and result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["benchmark", "convert"])
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("s.wav", "--face", "f.png", "-o", "out", "--degrade", "blur=0"), 2, "--degrade"),
        (("s.wav", "--face", "f.png", "-o", "out", "--baseline", "face"), 2, "--baseline"),
        (("s.wav", "--face", "f.png", "-o", "out", "--protocol", "hyface"), 2, "--protocol"),
        (("s.wav", "--face", "f.png", "-o", "-", "--baseline", "source"), 2, "--baseline"),
        (("s.wav", "--face", "f.png", "-o", "out", "--baseline", "shuffled-faces"), 1, "at least two targets"),
        (("s.wav", "--face", "f.png", "-o", "out", "--labels", "nowhere.csv"), 1, "nowhere.csv"),
        (("s.wav", "--face", "f.png", "--baseline", "source"), 2, "--out"),
    ],
)
def test_exit_codes_of_a_benchmark(call, command, arguments, code, said):
    result = call(*arguments, command=command)
    assert result.exit_code == code and said.lower() in result.stderr.lower() and result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["benchmark", "convert"])
def test_a_benchmark(call, tmp_path, command):
    """`convert` passes a benchmark's command line on, and says so once."""
    (tmp_path / "labels.csv").write_text("target,gender\nf,female\n")
    more = (
        "--baseline",
        "mean-face",
        "--baseline",
        "source",
        "--degrade",
        "blur=1,dark=0",
        "--degrade",
        "jpeg=50",
        "--labels=labels.csv",
    )
    result = call("s.wav", "--face", "f.png", "-o", "out", "--system", "ours", *more, command=command)
    assert (
        result.exit_code == 1
        and "4 done, 0 skipped, 1 failed" in result.stderr
        and "failed  degraded/dark=0/s__f.wav" in result.stderr
    )
    rows = (tmp_path / "out" / "manifest.csv").read_text().splitlines()[1:]
    assert len(rows) == 6 and all(",ours," in row and ",female," in row for row in rows)
    told = "--system, --baseline, --degrade, --labels: now options of 'facevc benchmark'"
    assert result.stderr.count(told) == (command == "convert") and result.stderr.count("benchmark'") == (
        command == "convert"
    )


def test_a_benchmark_goes_on_in_the_folder_of_plain_conversions(call, tmp_path):
    assert "1 done" in call("s.wav", "--face", "f.png", "-o", "out").stderr
    (tmp_path / "sources.csv").write_text("source_id,transcript\ns,hello\n")
    result = call(
        "s.wav", "--face", "f.png", "-o", "out", "--sources", "sources.csv", "--baseline", "source", command="benchmark"
    )
    assert result.exit_code == 0 and "0 done, 1 skipped" in result.stderr
    rows = (tmp_path / "out" / "manifest.csv").read_text().splitlines()
    assert len(rows) == 3 and all(row.endswith(",hello") for row in rows[1:])


@pytest.mark.parametrize("command", ["benchmark", "convert"])
def test_the_table_of_sources_under_its_old_name(call, tmp_path, command):
    (tmp_path / "sources.csv").write_text("source_id,transcript\ns,hello\n")
    result = call("s.wav", "--face", "f.png", "-o", "out", "--sources-table=sources.csv", command=command)
    assert result.exit_code == 0 and (tmp_path / "out" / "manifest.csv").read_text().endswith(",hello\n")
    assert "--sources-table is now called --sources" in result.stderr
    quiet = call("s.wav", "--face", "f.png", "-o", "out", "--sources-table", "sources.csv", "-q", command=command)
    assert quiet.exit_code == 0 and quiet.stderr == ""


def test_convert_shows_no_option_of_a_benchmark():
    commands = get_command(app).commands  # type: ignore[attr-defined]
    taken = {
        name: {option for parameter in commands[name].params for option in parameter.opts}
        for name in ("convert", "benchmark")
    }
    assert taken["benchmark"] - taken["convert"] == {
        "--baseline",
        "--degrade",
        "--labels",
        "--sources",
        "--protocol",
        "--system",
        "--seed",
    }
    assert taken["convert"] <= taken["benchmark"]
    shown = CliRunner().invoke(app, ["convert", "--help"], env={"COLUMNS": "200"}).stdout
    assert "--baseline" not in shown and "--pairs" in shown


def test_control_c_is_130_and_keeps_what_is_done(call, tmp_path, monkeypatch):
    recording(tmp_path / "t.wav", 0.2)
    speak, spoken = Converter.speak_many, []

    def interrupted(self, pairs):
        if spoken:
            raise KeyboardInterrupt
        spoken.append(1)
        return speak(self, pairs)

    monkeypatch.setattr(Converter, "speak_many", interrupted)
    result = call("s.wav", "t.wav", "--face", "f.png", "-o", "out")
    assert result.exit_code == 130 and "run the same command again" in result.stderr
    assert "s__f.wav,done" in (tmp_path / "out" / "manifest.csv").read_text()


def test_pipes(call, tmp_path):
    wav = io.BytesIO()
    soundfile.write(wav, buzz(0.25, 22050), 22050, format="WAV", subtype="PCM_16")
    streamed = bytearray(wav.getvalue())
    at = streamed.find(b"data") + 4
    streamed[4:8] = streamed[at : at + 4] = b"\xff\xff\xff\xff"  # a writer that could not seek back
    result = call("-", "--face", "f.png", "-o", "-", "--json", given=bytes(streamed))
    assert result.exit_code == 0
    spoken, rate = soundfile.read(io.BytesIO(result.stdout_bytes))
    assert rate == 16000 and len(spoken) == 4000
    assert "tmp" not in result.stderr.lower()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.png", "s.wav"]
    assert call("-", "--face", "f.png", "-o", "-", given=b"").exit_code == 1


def test_quiet_and_debug(call):
    assert call("s.wav", "--face", "f.png", "-o", "out", "-q").stderr == ""
    result = call("s.wav", "--face", "f.png", "-o", "other", "--temperature", "-1", "--debug")
    assert result.exit_code == 1 and type(result.exception).__name__ == "UsageError"


def test_help_is_quick():
    """No torch behind --help; half a second is checked where machines are idle."""
    code = (
        "import sys\nfrom facevc_cli.cli.app import app\ntry: app(['convert', '--help'])\nexcept SystemExit: "
        "pass\nsys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'librosa')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}
    )
    assert done.returncode == 0 and "--temperature" in done.stdout
