"""Measure live conversion over minutes: latency, underruns, drops, CPU and memory.

Two ways, each a process of `facevc live` of its own:

simulate: a recording against the clock, with one sound card's clock and no card.
pulse: PulseAudio without hardware. The speech is played into a null sink, whose monitor is the microphone.

--svg draws the latency of each second. Linux only. Let nothing else run meanwhile.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import common
import numpy as np

from facevc_cli.evaluation.report.svg import FIRST, LINE, SECOND, open_figure, to_svg
from facevc_cli.files.audio import load_audio, resample, save_audio

WAYS = ("simulate", "pulse")
ENVELOPE_HZ = 500  # of the envelopes that are compared
LONGEST_LAG_S = 1.0
SETTLED_S = 20.0  # memory counts from then on, when everything is loaded
GOAL_P50_MS, GOAL_P99_MS = 150, 200
Course = list[list[float]]  # second, p50 and p99 in ms


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["simulate"])
    parser.add_argument("--source", type=Path, default=common.SPEECH, help="is repeated")
    parser.add_argument("--face", type=Path, default=common.FACE)
    parser.add_argument("--checkpoint", type=Path, help="default: the bundled starter")
    parser.add_argument("--vocoder", default="fast")
    parser.add_argument("--step", type=int, help="frames; default: as facevc live chooses")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--svg", type=Path, help="draw the course of the latency into this file")
    args = parser.parse_args()
    cores = common.use_cores(args.cores)
    rows, courses = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        for way in args.ways:
            folder = Path(temporary) / way
            folder.mkdir()
            measure = measure_simulated if way == "simulate" else measure_pulse
            row, courses[way] = measure(args, folder)
            rows.append({"way": way, **row})
    if args.svg:
        args.svg.write_text(draw_courses(courses), encoding="utf-8")
    about = {"cores": cores, "minutes": args.minutes, "vocoder": args.vocoder}
    common.show("live conversion", rows, args.json, **about)


def measure_simulated(args: Any, folder: Path) -> tuple[dict[str, Any], Course]:
    source, result = folder / "source.wav", folder / "live.wav"
    save_audio(source, *common.make_speech(60 * args.minutes, args.source))
    figures, memory = run_live(args, ["--simulate", str(source), "-o", str(result)], os.environ)
    lag = measure_lag(source, result)
    return summarise(figures, memory) | {"lag of the envelope, ms": round(1000 * lag)}, figures["course"]


def measure_pulse(args: Any, folder: Path) -> tuple[dict[str, Any], Course]:
    source = folder / "source.wav"
    save_audio(source, *common.make_speech(60 * args.minutes + 60, args.source))
    with ExitStack() as stack:
        environment = stack.enter_context(run_pulseaudio(folder))
        player = subprocess.Popen(["paplay", "--device=microphone", str(source)], env=environment)
        stack.callback(player.wait)
        stack.callback(player.kill)
        words = ["--input", "pulse", "--output", "pulse", "--seconds", str(60 * args.minutes)]
        figures, memory = run_live(args, words, environment)
    return summarise(figures, memory), figures["course"]


@contextmanager
def run_pulseaudio(folder: Path) -> Iterator[dict[str, str]]:
    """Run a server with two null sinks, and yield the environment in which a program uses it."""
    if not shutil.which("pulseaudio"):
        sys.exit("pulseaudio is not installed: 'sudo apt install pulseaudio pulseaudio-utils libasound2-plugins'.")
    command = ["pulseaudio", "--daemonize=no", "-n", "--exit-idle-time=-1", "--use-pid-file=no", "--log-level=error"]
    for module in (
        f"module-native-protocol-unix socket={folder / 'native'} auth-anonymous=1",
        "module-null-sink sink_name=microphone rate=48000",
        "module-null-sink sink_name=loudspeaker rate=48000",
    ):
        command += ["--load", module]
    environment = os.environ | {
        "XDG_RUNTIME_DIR": str(folder),
        "PULSE_RUNTIME_PATH": str(folder),
        "PULSE_SERVER": f"unix:{folder / 'native'}",
        "PULSE_SOURCE": "microphone.monitor",
        "PULSE_SINK": "loudspeaker",
    }
    server = subprocess.Popen(command, env=environment)
    try:
        while not (folder / "native").exists():
            if server.poll() is not None:
                sys.exit("pulseaudio does not start.")
            time.sleep(0.05)
        yield environment
    finally:
        server.terminate()
        server.wait()


def run_live(args: Any, words: list[str], environment: Any) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """Run the command -> its figures, and its memory: seconds since the start, and MB."""
    command = [
        sys.executable,
        "-m",
        "facevc_cli",
        "live",
        "--face",
        str(args.face),
        "--vocoder",
        args.vocoder,
        "--json",
    ]
    command += ["--checkpoint", str(args.checkpoint)] if args.checkpoint else []
    command += ["--step", str(args.step)] if args.step else []
    memory: list[tuple[float, float]] = []
    process = subprocess.Popen([*command, *words], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    began = time.monotonic()
    while process.poll() is None:
        if megabytes := read_memory(process.pid):
            memory.append((time.monotonic() - began, megabytes))
        time.sleep(1.0)
    out = process.stdout.read() if process.stdout else b""
    if process.returncode:
        sys.exit(f"facevc live ended with {process.returncode}.")
    return json.loads(out), memory


def read_memory(pid: int) -> float | None:
    """The resident memory of a process in MB. None if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), None)


def summarise(figures: dict[str, Any], memory: list[tuple[float, float]]) -> dict[str, Any]:
    settled = [megabytes for second, megabytes in memory if second >= SETTLED_S] or [
        megabytes for _, megabytes in memory
    ]
    tenth = max(1, len(settled) // 10)
    return {
        "seconds": figures["seconds"],
        "p50, ms": figures["latency_p50_ms"],
        "p99, ms": figures["latency_p99_ms"],
        "underruns": figures["underruns"],
        "drops": figures["drops"],
        "dropped, s": figures["dropped_s"],
        "CPU, % of a core": figures["cpu_percent"],
        "real-time factor": figures["real_time_factor"],
        "step, ms": figures["step_ms"],
        "stream's own latency, ms": figures["stream_latency_ms"],
        "MB at first": round(float(np.median(settled[:tenth]))),
        "MB at last": round(float(np.median(settled[-tenth:]))),
        "MB at most": round(max(megabytes for _, megabytes in memory)),
    }


def measure_lag(source: Path, result: Path) -> float:
    """By how many seconds the result's loudness follows the source's: what a listener would say the latency is."""
    spoken, heard = (measure_envelope(path) for path in (source, result))
    count = min(len(spoken), len(heard))
    size = 1 << (2 * count).bit_length()
    products = np.fft.irfft(np.fft.rfft(heard[:count], size) * np.conj(np.fft.rfft(spoken[:count], size)), size)
    return int(np.argmax(products[: round(LONGEST_LAG_S * ENVELOPE_HZ)])) / ENVELOPE_HZ


def measure_envelope(path: Path) -> np.ndarray:
    """(n,) at ENVELOPE_HZ: the level in steps, without its mean."""
    wav = resample(*load_audio(path), ENVELOPE_HZ * 40)
    level = np.sqrt(np.mean(np.square(wav[: len(wav) // 40 * 40].reshape(-1, 40)), axis=1))
    return np.asarray(level - level.mean())


def draw_courses(courses: dict[str, Course]) -> str:
    """Draw the p50 and p99 of each second, one panel for each way."""
    with open_figure(9.0, 2.6 * len(courses)) as figure:
        panels = figure.subplots(len(courses), 1, squeeze=False)[:, 0]
        for panel, (way, course) in zip(panels, courses.items(), strict=True):
            seconds, p50, p99 = np.array(course or [[0.0, 0.0, 0.0]]).T
            panel.plot(seconds, p99, color=SECOND, linewidth=1, label="p99 of each second")
            panel.plot(seconds, p50, color=FIRST, linewidth=1.5, label="p50 of each second")
            panel.axhline(GOAL_P99_MS, color=LINE, linewidth=0.8, linestyle=":")
            panel.axhline(GOAL_P50_MS, color=LINE, linewidth=0.8, linestyle=":")
            panel.set_title(f"{way}: from the microphone to the loudspeaker")
            panel.set_ylim(0, max(1.2 * GOAL_P99_MS, float(p99.max()) * 1.05))
            panel.set_xlabel("seconds")
            panel.set_ylabel("ms")
            panel.legend(loc="lower right")
        return to_svg(figure, "The latency of live conversion over time: p50 and p99 of each second.")


if __name__ == "__main__":
    main()
