"""Shared by the benchmarks: generated inputs, medians, and one way to show figures."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facevc_cli.corpus.store import Item
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.files.audio import load_audio, save_audio
from facevc_cli.voices.dvector import VOICE_DIM

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SPEECH, FACE = EXAMPLES / "speech.wav", EXAMPLES / "face.jpg"
CONTENT_RATE = 50  # Hz, a teacher's frames


def make_parser(description: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return made


def use_cores(count: int) -> int:
    """Limit this process and its children to `count` cores.

    Call it before torch is imported. Return the number of cores.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))[:count]
        os.sched_setaffinity(0, cores)
        count = len(cores)
    os.environ["OMP_NUM_THREADS"] = str(count)
    return count


@dataclass(frozen=True)
class UsedByCommand:
    """What a process and its children used. peak_mb: resident memory of the largest."""

    wall_s: float
    cpu_s: float
    peak_mb: float


class Interval(NamedTuple):
    """A figure and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def run_command(command: Sequence[str]) -> UsedByCommand:
    """Run a command, and ask the system what it used (not on Windows).

    A new process counts the memory of the one that started it as its own. So a small one stands between.
    """
    between = (
        "import json, resource, subprocess, sys, time; started = time.perf_counter(); "
        "subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr); seconds = time.perf_counter() - started; "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]))"
    )
    done = subprocess.run([sys.executable, "-c", between, *command], check=True, stdout=subprocess.PIPE, text=True)
    wall_s, cpu_s, peak = json.loads(done.stdout)
    return UsedByCommand(wall_s, cpu_s, peak / (2**20 if sys.platform == "darwin" else 2**10))


def describe_machine() -> dict[str, Any]:
    """Describe the machine that the figures come from."""
    import torch

    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": model,
        "cores": cores,
        "gpu": gpu,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def summarise_runs(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum of several runs."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def show(title: str, rows: Sequence[Mapping[str, Any]], as_json: bool, **about: Any) -> None:
    """Write the figures to stdout as a Markdown table, or everything as one JSON object."""
    about = {"machine": describe_machine(), **about}
    if as_json:
        sys.stdout.write(json.dumps({"benchmark": title, **about, "figures": list(rows)}) + "\n")
        return
    sys.stdout.write(f"{title}\n" + "".join(f"  {name}: {value}\n" for name, value in about.items()) + "\n")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns), *([_format_cell(row.get(name, "")) for name in columns] for row in rows)]
    sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines))


def _format_cell(value: Any) -> str:
    if isinstance(value, Interval):
        return f"{value.value:.3g} ({value.low:.3g} to {value.high:.3g})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def make_speech(seconds: float, source: Path = SPEECH) -> tuple[np.ndarray, int]:
    """Repeat or cut a recording to a length -> (n,), rate."""
    wav, rate = load_audio(source)
    return np.resize(wav, round(seconds * rate)), rate


def make_recordings(folder: Path, minutes: float, seconds: float = 5.0) -> Path:
    """Make a folder of utterances of `seconds`, about `minutes` in total: the example, shifted and a little noisy."""
    rng = np.random.default_rng(0)
    wav, rate = make_speech(seconds)
    for i in range(max(2, round(minutes * 60 / seconds))):
        varied = np.roll(wav, int(rng.integers(len(wav)))) + 0.001 * rng.standard_normal(len(wav)).astype(np.float32)
        save_audio(folder / f"speaker{i % 8}" / f"{i:05}.wav", varied, rate)
    return folder


def make_stores(
    folder: Path,
    mel: str,
    *,
    utterances: int,
    seconds: float,
    content_dim: int | None = None,
    face_dim: int | None = None,
) -> dict[str, Path]:
    """Make features.h5, voices.h5 and (with a face_dim) faces.h5 of 16 speakers: random numbers in the
    stages' layout.
    """
    rng = np.random.default_rng(0)
    definition = MEL_DEFINITIONS[mel]
    settings = {"mel": mel, "trim_db": 60.0, "peak": None, "definition": definition.as_settings(), "teacher": None}
    ids = {f"s{i % 16}/{i:05}": f"s{i % 16}" for i in range(utterances)}
    paths = {name: folder / f"{name}.h5" for name in ("features", "voices", "faces")}
    columns = {"seconds": seconds, "log_f0_mean": 5.0, "log_f0_std": 0.2, "voiced_share": 0.5}
    with StoreWriter(paths["features"], "extract-features", settings) as writer:
        for name, speaker in ids.items():
            length = round(seconds * float(definition.frame_rate) * rng.uniform(0.5, 1.5))
            f0 = np.where(rng.random(length) < 0.5, rng.uniform(90, 250, length), 0.0).astype(np.float32)
            frames = {"mel": rng.standard_normal((length, 80), dtype=np.float32), "f0": f0}
            if content_dim:
                count = round(length / float(definition.frame_rate) * CONTENT_RATE)
                frames["content"] = rng.standard_normal((count, content_dim), dtype=np.float32).astype(np.float16)
            writer.add(Item(name, speaker, frames, columns=dict(columns)))
        split = {name: "valid" if speaker == "s0" else "train" for name, speaker in ids.items()}
        statistics_of = {"mel_mean": np.zeros(80, np.float32), "mel_std": np.ones(80, np.float32)}
        writer.merge(list(ids), {"split": split}, statistics_of)
    with StoreWriter(paths["voices"], "extract-spkemb", {"embedder": "random"}) as writer:
        for name, speaker in ids.items():
            writer.add(Item(name, speaker, vectors={"dvector": rng.standard_normal(VOICE_DIM).astype(np.float32) / 16}))
        writer.merge(list(ids))
    if face_dim:
        with StoreWriter(paths["faces"], "extract-face", {"detector": "dlib", "embedder": "dlib"}) as writer:
            for speaker in sorted(set(ids.values())):
                vector = rng.standard_normal(face_dim).astype(np.float32) / 10
                writer.add(Item(f"{speaker}/face", speaker, {"embedding": vector[None]}, {"embedding": vector}))
            writer.merge([])
    return paths
