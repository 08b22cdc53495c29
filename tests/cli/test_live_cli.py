"""facevc live: options, the simulated clock, devices, the end by Ctrl-C, and a real PulseAudio without hardware."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from helpers.commands import call
from helpers.fake_portaudio import FakePortAudio, device
from helpers.live import DelayConverter
from helpers.pictures import draw_face
from helpers.pulse import needs_pulse, run_pulseaudio
from helpers.repository import ROOT
from helpers.sounds import recording

from facevc_cli.conversion import converter as converter_module
from facevc_cli.conversion.converter import Converter
from facevc_cli.files.image import save_image
from facevc_cli.live.cards import choose_cards
from facevc_cli.provenance.metadata import read_provenance

FIGURES = {
    "seconds", "latency_p50_ms", "latency_p99_ms", "underruns", "drops", "dropped_s", "device_faults",
    "real_time_factor", "cpu_percent", "step_ms", "stream_latency_ms", "rates", "voices", "course", "threads",
}  # fmt: skip


def replace_streams(patch: pytest.MonkeyPatch, takes_s: float = 0.0) -> list[DelayConverter]:
    """Streams then repeat what they hear. Returns those that are opened."""
    opened = []

    def stream(self, target, rate=None, settings=None):
        step = settings.step_frames * 256
        made = DelayConverter(self.rate, step, 4 * 256, takes_s)
        made.voices.append(target)
        opened.append(made)
        return made

    patch.setattr(Converter, "stream", stream, raising=False)
    return opened


@pytest.fixture
def streams(monkeypatch):
    return replace_streams(monkeypatch)


@pytest.fixture
def live(tmp_path, monkeypatch, analyser, voice_embedder, model, streams):
    monkeypatch.chdir(tmp_path)
    save_image(tmp_path / "face.jpg", draw_face(0))
    save_image(tmp_path / "other.jpg", draw_face(1))
    recording(tmp_path / "in.wav", 1.0, 16000, 120.0)
    return lambda *words: call("live", *words, "--checkpoint", model, "--vocoder", "griffin-lim")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--simulate", "in.wav", "-o", "o.wav"), "needs a face or a voice"),
        (("--face", "face.jpg", "--simulate", "in.wav"), "--simulate needs a file for the result"),
        (("--face", "face.jpg", "-o", "o.wav"), "-o is the file of --simulate"),
        (("--face", "face.jpg", "--simulate", "in.wav", "-o", "o.wav", "--input", "1"), "Leave out --input"),
        (("--face", "face.jpg", "--simulate", "in.wav", "-o", "o.wav", "--virtual-mic"), "Leave out --virtual-mic"),
        (("--face", "face.jpg", "--simulate", "in.wav", "-o", "o.wav", "--seconds", "0"), "--seconds 0"),
        (("--face", "face.jpg", "--simulate", "in.wav", "-o", "o.wav", "--seconds", "nan"), "--seconds nan"),
        (("--face", "face.jpg", "--simulate", "in.wav", "-o", "o.wav", "--gate", "x"), "--gate 'x'"),
        (("--face", "face.jpg", "--simulate", "in.wav", "-o", "o.wav", "--step", "3"), "expected an even number"),
        (("--face", "face.jpg", "--simulate", "in.wav", "-o", "o.wav", "--pitch", "x"), "--pitch"),
        (("--face", "face.jpg", "--virtual-mic", "--output", "1"), "name two places"),
        (("--face", "face.jpg", "--monitor"), "--output or --virtual-mic"),
        (("--face", "face.jpg", "--push-to-talk"), "needs the space bar"),
    ],
)
def test_wrong_values_exit_2(live, words, said):
    result = live(*words)
    assert result.exit_code == 2 and said in result.stderr


def test_files_that_cannot_be_used_exit_1(live):
    assert live("--face", "none.jpg", "--simulate", "in.wav", "-o", "o.wav").exit_code == 1
    assert live("--face", "face.jpg", "--simulate", "none.wav", "-o", "o.wav").exit_code == 1
    result = live("--face", "face.jpg", "--simulate", "in.wav", "-o", "o.mp3")
    assert result.exit_code == 1 and "suffix" in result.stderr
    result = live("--face", "face.jpg", "--simulate", "in.wav", "-o", "in.wav")
    assert result.exit_code == 1 and "exists already" in result.stderr


def test_no_microphone_exits_1(live, monkeypatch):
    sound = FakePortAudio(device("Output", 0, 2))
    monkeypatch.setattr("facevc_cli.live.devices.load_portaudio", lambda: sound)
    result = live("--face", "face.jpg")
    assert result.exit_code == 1 and "no microphone was found" in result.stderr
    assert live("--face", "face.jpg", "--output", "nothing").exit_code == 1  # also the microphone is looked for first


def test_an_unplugged_microphone_exits_1_and_the_record_is_kept(live, monkeypatch, tmp_path):
    sound = FakePortAudio(device("Headset", 1, 2))
    monkeypatch.setattr("facevc_cli.live.devices.load_portaudio", lambda: sound)
    monkeypatch.setattr("facevc_cli.live.devices.SILENT_S", 0.5)
    (tmp_path / "r.wav").write_bytes(b"old")
    result = live("--face", "face.jpg", "--record", "r.wav", "--overwrite")
    assert result.exit_code == 1 and "Headset gives no sound any more. Was it unplugged?" in result.stderr
    assert [stream.state for stream in sound.streams] == ["closed", "closed"]
    assert soundfile.info(tmp_path / "r.wav").frames == 0


def test_a_recording_against_the_clock(live, tmp_path, streams):
    result = live("--face", "face.jpg", "--simulate", "in.wav", "-o", "o.wav", "--gate", "off", "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary.keys() >= FIGURES and summary["output"] == "o.wav" and summary["voices"] == ["face"]
    assert summary["rates"] == [16000, 22050, 16000] and summary["latency_p50_ms"] >= 60
    played, rate = soundfile.read(tmp_path / "o.wav")
    assert rate == 16000 and 1.0 < len(played) / rate < 8 and np.abs(played).max() > 0.05
    made = read_provenance(tmp_path / "o.wav")
    assert made.synthetic and made.source_sha256 and len(made.face_sha256) == 1
    assert "to the face face.jpg" in soundfile.SoundFile(tmp_path / "o.wav").comment
    assert streams[-1].step_samples == 2 * 256  # a converter that only waits is quick enough for the shortest


def test_a_given_step_and_a_calibration(live, streams, monkeypatch):
    heard = []
    monkeypatch.setattr(DelayConverter, "calibrate", lambda self, recording: heard.append(str(recording)))
    words = ("--simulate", "in.wav", "-o", "o.wav", "--step", "6", "--calibrate", "in.wav", "--seconds", "0.3")
    result = live("--face", "face.jpg", "--face", "other.jpg", *words, "--json")
    summary = json.loads(result.stdout)
    assert summary["step_ms"] == pytest.approx(69.7) and summary["voices"] == ["face", "other"]
    assert heard == ["in.wav"] and len(streams) == 1 and 0.3 <= summary["seconds"] < 3


def test_a_slow_computer_is_told(live, monkeypatch):
    replace_streams(monkeypatch, takes_s=0.5)
    result = live("--face", "face.jpg", "--simulate", "in.wav", "-o", "o.wav", "--step", "2", "--seconds", "0.2")
    assert result.exit_code == 0 and "This computer is too slow" in result.stderr


def test_devices_are_listed(monkeypatch):
    devices = (device("Built-in Microphone", 2, 0), device("Headset", 1, 2, rate=44100.0))
    sound = FakePortAudio(*devices, default=(0, 1))
    monkeypatch.setattr("facevc_cli.live.devices.load_portaudio", lambda: sound)
    result = call("live", "--list-devices")
    assert result.exit_code == 0 and "Built-in Microphone" in result.stdout and "44100" in result.stdout
    listed = json.loads(call("live", "--list-devices", "--json").stdout)["devices"]
    assert [(one["number"], one["is_default_input"]) for one in listed] == [(0, True), (1, False)]


def test_the_python_snippet_runs(live, tmp_path, monkeypatch, model, capsys):
    monkeypatch.setattr("facevc_cli.families.checkpoint.find_bundled_checkpoint", lambda: model)
    load = converter_module.load_vocoder
    monkeypatch.setattr(converter_module, "load_vocoder", lambda spec, *given: load("griffin-lim", *given))
    (tmp_path / "in.wav").rename(tmp_path / "speech.wav")
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "live.md").read_text(), flags=re.M | re.S)
    exec(compile(code, "docs/live.md", "exec"), {})
    assert capsys.readouterr().out.strip().isdecimal() and (tmp_path / "live.wav").is_file()


START = """
import sys
sys.path.insert(0, "tests")
import pytest
from cli.test_live_cli import replace_streams
from helpers.networks import FakeAnalyser, replace_face_analyser
from facevc_cli.cli.app import main
with pytest.MonkeyPatch.context() as patch:
    replace_streams(patch)
    replace_face_analyser(patch, FakeAnalyser())
    main()
"""


def start(model, tmp_path, *words: str) -> "subprocess.Popen[str]":
    save_image(tmp_path / "face.jpg", draw_face(0))
    command = [sys.executable, "-c", START, "live", "--face", str(tmp_path / "face.jpg"), *words]
    return subprocess.Popen(
        [*command, "--checkpoint", str(model), "--vocoder", "griffin-lim", "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(process: "subprocess.Popen[str]", text: str) -> None:
    said = ""
    while text not in said:
        line = process.stderr.readline()
        assert line, said
        said += line


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_the_record_and_the_figures(model, tmp_path, number):
    recording(tmp_path / "long.wav", 30.0, 16000, 120.0)
    process = start(model, tmp_path, "--simulate", str(tmp_path / "long.wav"), "-o", str(tmp_path / "o.wav"))
    wait_for(process, "live: unknown number of s")
    time.sleep(2.0)
    process.send_signal(number)
    out, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number, said
    figures = json.loads(out)
    assert figures["stopped"] and figures.keys() >= FIGURES and "Traceback" not in said
    assert soundfile.info(tmp_path / "o.wav").duration > 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.jpg", "long.wav", "o.wav"]


@pytest.mark.slow
@needs_pulse
def test_into_a_virtual_microphone_and_ctrl_c(model, tmp_path):
    """What is played into the loop is heard by other programs at the virtual microphone."""
    import pulsectl

    recording(tmp_path / "tone.wav", 20.0, 48000, 120.0)
    with run_pulseaudio(tmp_path), pulsectl.Pulse("test") as pulse:
        process = start(model, tmp_path, "--virtual-mic", "--gate", "off", "--input", "pulse")
        wait_for(process, "live: unknown number of s")
        player = subprocess.Popen(["paplay", "--device=loop", str(tmp_path / "tone.wav")])
        time.sleep(1.0)
        source = f"facevc_mic_{process.pid}"
        listener = subprocess.Popen(
            ["parec", f"--device={source}", "--format=float32le", "--channels=1", "--rate=22050"],
            stdout=subprocess.PIPE,
        )
        heard = np.frombuffer(listener.stdout.read(4 * 22050 * 3), np.float32)
        listener.kill()
        listener.wait()
        assert np.sqrt(np.mean(heard[22050:] ** 2)) > 0.01
        assert any(one.name == source for one in pulse.source_list())
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=30)
        player.kill()
        player.wait()
        assert process.returncode == 130, said
        assert json.loads(out)["latency_p50_ms"] > 20
        assert [one.name for one in pulse.source_list() if one.name.startswith("facevc")] == []


@needs_pulse
def test_devices_of_pulseaudio_are_listed_and_chosen_by_name(tmp_path):
    with run_pulseaudio(tmp_path):
        listed = json.loads(call("live", "--list-devices", "--json").stdout)["devices"]
        chosen = choose_cards("monitor of", "null out", False, False)
    names = {one["name"]: one for one in listed if one["host"] == "PulseAudio"}
    assert set(names) == {"Null Output", "Monitor of Null Output"}
    assert (chosen.microphone.pulse_name, chosen.loudspeaker.pulse_name) == ("loop.monitor", "loop")
    assert chosen.loudspeaker.number == names["Null Output"]["number"] != chosen.loudspeaker.portaudio_number
    assert len({one["number"] for one in listed}) == len(listed)


@pytest.mark.slow
@needs_pulse
def test_a_device_that_disappears(model, tmp_path):
    import pulsectl

    with run_pulseaudio(tmp_path) as server:
        process = start(model, tmp_path, "--input", "pulse", "--output", "pulse")
        with pulsectl.Pulse("test") as pulse:
            while not (pulse.source_output_list() and pulse.sink_input_list()):  # both devices are open
                assert process.poll() is None
                time.sleep(0.1)
        time.sleep(1.0)
        server.kill()
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1 and "Was it unplugged" in said and "Traceback" not in said
    assert os.path.exists(tmp_path / "face.jpg")
