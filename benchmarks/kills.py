"""Kills each stage at random moments, runs the same command again, and holds its output against that of a run that nobody disturbed.

Then Ctrl-C once, and twice: how the process leaves, how soon, and what is said. The exit code is 1 where anything is not as it should be.
"""

import argparse
import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = {
    "extract-wav": "wav", "extract-features": "features", "extract-face": "faces", "extract-spkemb": "voices", "pretrain": "pretrain", "train": "train",
    "convert": "converted", "evaluate": "evaluated",
}  # fmt: skip
STAGES = tuple(OUTPUT)
IGNORED = {"run.json", "losses.png"}  # when and by which command line, and a picture of losses.csv
FREE_COLUMNS = {"steps_per_s", "data_wait"}  # of losses.csv
PATIENCE_S = 60.0  # for a process that was asked to leave
BETWEEN_S = 0.5  # the two of a double Ctrl-C
TEMPORARY_AGE_S = 3600.0
INPUTS_AGE_S = 2.5  # a younger file's stamp is left out of the tables, so that the first run would differ from all others


@dataclass
class Counts:
    """What happened to one stage."""

    kills: int = 0
    late: int = 0  # the stage was done before the signal came
    unequal: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # reruns that did not end with 0
    once_s: list[float] = field(default_factory=list)
    twice_s: list[float] = field(default_factory=list)
    codes: list[int | str] = field(default_factory=list)  # of processes that were interrupted; 130 is right
    survivors: int = 0  # groups in which a process lived on


class Bench:
    """Inputs, the outputs of undisturbed runs below `whole`, and one output at a time below `out`."""

    def __init__(self, base: Path, seed: int):
        self.base, self.whole, self.out = base, base / "whole", base / "out"
        self.random = random.Random(seed)
        self.seconds: dict[str, float] = {}
        self.running: Running | None = None

    def command(self, stage: str) -> list[str]:
        """The stage's own command line; what it reads comes from undisturbed runs."""
        w = {name: self.whole / output for name, output in OUTPUT.items()}
        o = self.out / OUTPUT[stage]
        clips = self.base / "clips"
        stores = (w["extract-features"] / "features.h5", w["extract-face"] / "faces.h5", w["extract-spkemb"] / "voices.h5")
        small = {"pretrain": _make_small_training("pretrain", steps=12, every=4), "train": _make_small_training("train", steps=24, every=8)}
        arguments: dict[str, list[Any]] = {
            "extract-wav": [clips, "-o", o, "--jobs", 2],
            "extract-features": [w["extract-wav"], "-o", o / "features.h5", "--jobs", 2],
            "extract-face": [clips, "-o", o / "faces.h5", "--every", 10, "--jobs", 2],
            "extract-spkemb": [w["extract-wav"], "-o", o / "voices.h5", "--jobs", 2],
            "pretrain": [stores[0], "--voices", stores[2], "-o", o, "--device", "cpu", *small["pretrain"]],
            "train": [stores[0], "--faces", stores[1], "--voices", stores[2], "--init", w["pretrain"], "-o", o, "--device", "cpu", *small["train"]],
            "convert": [
                w["extract-wav"], "--face", self.base / "faces", "-o", o, "--checkpoint", w["train"], "--vocoder", "griffin-lim", "--device", "cpu",
            ],
            "evaluate": [o, "-o", o / "evaluation", "--recogniser", "none", "--no-naturalness", "--jobs", 2],
        }  # fmt: skip
        return [sys.executable, "-m", "facevc_cli", stage, *map(str, arguments[stage])]

    def fresh(self, stage: str) -> Path:
        """An empty output; of `evaluate` the conversions lie in it, for it remembers beside them what it heard."""
        output = self.out / OUTPUT[stage]
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        if stage == "evaluate":
            shutil.copytree(self.whole / "converted", output, dirs_exist_ok=True)  # as deep as it was: its paths are relative
        return output

    def start(self, stage: str) -> "Running":
        self.running = Running(self.command(stage), self.base / "log.txt")
        return self.running

    def stop(self) -> None:
        """Leaves no process behind, however this ends."""
        if self.running is not None:
            self.running.signal_group(signal.SIGKILL)

    def run_whole(self, stage: str) -> None:
        """The undisturbed run: its output and how long it took."""
        output = self.fresh(stage)
        started = time.monotonic()
        running = self.start(stage)
        code = running.wait(600)
        self.seconds[stage] = time.monotonic() - started
        if code != 0:
            raise SystemExit(f"{stage} did not end well when nobody disturbed it: exit code {code}\n{running.text()[-3000:]}")
        shutil.rmtree(self.whole / OUTPUT[stage], ignore_errors=True)
        shutil.copytree(output, self.whole / OUTPUT[stage])
        time.sleep(INPUTS_AGE_S)

    def finish(self, stage: str, counts: Counts, what: str) -> None:
        """Runs the stage to its end and compares."""
        output = self.out / OUTPUT[stage]
        age_temporary_files(output)
        running = self.start(stage)
        code = running.wait(600)
        text = running.text()
        if code != 0:
            counts.failed.append(f"{what}: exit code {code}: {text.strip()[-200:]}")
        if "Traceback" in text:
            counts.tracebacks.append(f"{what}, the run after: {read_last_line(text)}")
        unequal, left = compare(self.whole / OUTPUT[stage], output)
        counts.unequal += [f"{what}: {name}" for name in unequal]
        counts.left_over += [f"{what}: {name}" for name in left]


def _make_small_training(stage: str, steps: int, every: int) -> list[str]:
    """A training of preset toy that saves and validates three times."""
    settings = {"steps": steps, "checkpoint_every": every, "validate_every": every, "log_every": every // 2}
    return ["--preset", "toy", *(word for name, value in settings.items() for word in ("--set", f"{stage}.{name}={value}"))]


class Running:
    """A command in a process group of its own, whose words go into a file."""

    def __init__(self, command: Sequence[str], log: Path):
        self.log = log
        with open(log, "w") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True, cwd=log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, preexec_fn=heed_interrupts,
            )  # fmt: skip

    def wait(self, longest_s: float) -> int | str:
        """The exit code as a shell has it, or "hangs" for a process that does not leave, which is then killed with its group."""
        try:
            code = self.process.wait(longest_s)
            return 128 - code if code < 0 else code
        except subprocess.TimeoutExpired:
            self.signal_group(signal.SIGKILL)
            self.process.wait()
            return "hangs"

    def signal_group(self, number: int) -> None:
        if is_group_alive(self.process.pid):
            os.killpg(self.process.pid, number)

    def clear_group(self, longest_s: float = 10.0) -> bool:
        """Waits for the workers of a dead process to leave; True where some had to be killed."""
        until = time.monotonic() + longest_s
        while is_group_alive(self.process.pid):
            if time.monotonic() > until:
                self.signal_group(signal.SIGKILL)
                return True
            time.sleep(0.05)
        return False

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def heed_interrupts() -> None:
    """A shell starts what is in the background deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def is_group_alive(group: int) -> bool:
    """Whether any process of the group is there and no zombie."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                return True
    return False


def age_temporary_files(folder: Path) -> None:
    """What a killed process left looks an hour old: younger files might be in the hands of another process, and are let be."""
    then = time.time() - TEMPORARY_AGE_S
    for path in [*folder.rglob("*.tmp*"), *folder.rglob(".*.tmp*")]:
        os.utime(path, (then, then))


def read_last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if re.match(r"\w+(\.\w+)*(Error|Exception|Interrupt)\b", line)), "Traceback")[:160]


# --- is it the same? ---------------------------------------------------------------------------------------------------


def compare(whole: Path, found: Path) -> tuple[list[str], list[str]]:
    """Names of files that are missing or hold something else, and of files that only the second has."""
    wanted, there = _list_files(whole), _list_files(found)
    unequal = [name for name in sorted(wanted) if name not in there or not has_same_content(wanted[name], there[name])]
    return unequal, sorted(set(there) - set(wanted))


def _list_files(folder: Path) -> dict[str, Path]:
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.name not in IGNORED and (p.is_file() or not any(p.iterdir()))}


def has_same_content(one: Path, other: Path) -> bool:
    """Whether two outputs say the same: the same ids and numbers, whatever the order in a file of a format that has none."""
    if one.is_dir() or other.is_dir():
        return one.is_dir() and other.is_dir()
    readers: Mapping[str, Callable[[Path], Any]] = {".h5": _read_store, ".npz": _read_arrays, ".csv": _read_rows}
    read = readers.get(one.suffix)
    return read(one) == read(other) if read else one.read_bytes() == other.read_bytes()


def _read_rows(path: Path) -> Any:
    with open(path, newline="", encoding="utf-8") as file:
        rows = [{k: v for k, v in row.items() if k not in FREE_COLUMNS} for row in csv.DictReader(file)]
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def _read_arrays(path: Path) -> Any:
    with np.load(path) as file:
        return {key: row.tobytes() for key, row in zip(file["keys"].tolist(), file["rows"], strict=True)}


def _read_store(path: Path) -> Any:
    from facevc_cli.corpus.store import Store

    with Store(path) as store:
        items = [store.item(i) for i in range(len(store))]
        arrays = {name: store.statistics(name).tobytes() for name in store.statistics_names}
        return store.attributes, arrays, [
            (item.id, item.speaker, {k: v.tobytes() for k, v in {**item.frames, **item.vectors}.items()}, item.columns) for item in items
        ]


# --- trials ------------------------------------------------------------------------------------------------------------


def kill_once(bench: Bench, stage: str, counts: Counts) -> None:
    bench.fresh(stage)
    moment = bench.random.uniform(0, bench.seconds[stage])
    running = bench.start(stage)
    time.sleep(moment)
    counts.late += running.process.poll() is not None
    running.process.kill()
    running.process.wait()
    counts.survivors += running.clear_group()
    counts.kills += 1
    bench.finish(stage, counts, f"killed at {moment:.2f} s")


def interrupt(bench: Bench, stage: str, counts: Counts, times: int) -> None:
    """Ctrl-C goes to the whole group, as a terminal sends it."""
    bench.fresh(stage)
    moment = bench.random.uniform(0.2, 0.9) * bench.seconds[stage]
    running = bench.start(stage)
    time.sleep(moment)
    if running.process.poll() is not None:
        counts.late += 1
        return
    running.signal_group(signal.SIGINT)
    if times == 2:
        time.sleep(BETWEEN_S)
        running.signal_group(signal.SIGINT)
    sent = time.monotonic()
    code = running.wait(PATIENCE_S)
    (counts.once_s if times == 1 else counts.twice_s).append(time.monotonic() - sent)
    counts.codes.append(code)
    counts.survivors += running.clear_group()
    text = running.text()
    what = f"{times} x Ctrl-C at {moment:.2f} s"
    if "Traceback" in text:
        counts.tracebacks.append(f"{what}: {read_last_line(text)}")
    bench.finish(stage, counts, what)


def try_stage(bench: Bench, stage: str, count: int, interrupts: int) -> Counts:
    counts = Counts()
    for _ in range(count):
        kill_once(bench, stage, counts)
    for times in (1, 2):
        for _ in range(interrupts):
            interrupt(bench, stage, counts, times)
    return counts


def make_inputs(base: Path, seconds: float) -> None:
    """Clips of drawn faces that speak, four people with two each, and a picture of each."""
    recipe = ROOT / "recipes" / "toy" / "local" / "make_clips.py"
    made = [sys.executable, recipe, base / "clips", "--people", "4", "--seconds", str(seconds)]
    subprocess.run(made, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    (base / "clips" / "people.csv").unlink()
    (base / "faces").mkdir()
    for name in ("face_man.jpg", "face_woman.jpg"):
        shutil.copy(common.EXAMPLES / name, base / "faces" / name)


def main() -> int:
    parser = common.make_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES, metavar="STAGE", help=f"of {', '.join(STAGES)} (all)")
    parser.add_argument("--count", type=int, default=40, help="kills of each stage (40)")
    parser.add_argument("--interrupts", type=int, default=3, help="trials of one Ctrl-C, and of two, of each stage (3)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--seconds", type=float, default=1.6, help="of a clip (1.6)")
    args = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary).resolve(), args.seed)
        make_inputs(bench.base, args.seconds)
        time.sleep(INPUTS_AGE_S)
        needed = STAGES[: max(STAGES.index(stage) for stage in args.stages) + 1]
        tried: dict[str, Counts] = {}
        try:
            for stage in needed:
                bench.run_whole(stage)
                sys.stderr.write(f"{stage}: {bench.seconds[stage]:.1f} s when nobody disturbs it\n")
                if stage in args.stages:
                    tried[stage] = try_stage(bench, stage, args.count, args.interrupts)
                    sys.stderr.write("".join(f"  {text}\n" for text in list_faults(tried[stage])))
        finally:
            bench.stop()
    rows = [make_row(stage, bench.seconds[stage], counts) for stage, counts in tried.items()]
    bad = {stage: found for stage, counts in tried.items() if (found := list_faults(counts))}
    common.show("kills", rows, args.json, seconds=round(time.monotonic() - started), **({"faults": bad} if args.json else {}))
    return 1 if bad else 0


def make_row(stage: str, whole_s: float, c: Counts) -> dict[str, Any]:
    disturbed = c.kills + len(c.codes)
    wrong = len({text.partition(":")[0] for text in (*c.unequal, *c.failed)})
    return {
        "stage": stage, "seconds": round(whole_s, 1), "kills": c.kills, "of them too late": c.late, "output equal": f"{disturbed - wrong} of {disturbed}",
        "left-over files": len(c.left_over), "tracebacks": len(c.tracebacks), "exit codes of Ctrl-C": " ".join(map(str, sorted(set(c.codes), key=str))),
        "seconds to leave": _format_range(c.once_s), "on the second Ctrl-C": _format_range(c.twice_s), "processes left": c.survivors,
    }  # fmt: skip


def list_faults(c: Counts) -> list[str]:
    slow = [f"left {s:.1f} s after the second Ctrl-C" for s in c.twice_s if s > 2]
    codes = [f"exit code {code} after Ctrl-C" for code in c.codes if code != 130]
    alive = [f"{c.survivors} times a process lived on"] if c.survivors else []
    kinds = {"unequal": c.unequal, "left over": c.left_over, "traceback": c.tracebacks, "failed": c.failed, "late": slow, "code": codes, "alive": alive}
    return [f"{kind}: {text}" for kind, found in kinds.items() for text in found]


def _format_range(values: Sequence[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}" if values else ""


if __name__ == "__main__":
    sys.exit(main())
