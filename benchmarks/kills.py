"""Kill each stage at random moments, run the same command again, and compare its output with that of an undisturbed
run.

Then press Ctrl-C once, and twice: check how the process exits, how soon, and what it prints. The exit code is 1 if
anything is wrong.
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
    "extract-wav": "wav",
    "extract-features": "features",
    "extract-face": "faces",
    "extract-spkemb": "voices",
    "pretrain": "pretrain",
    "train": "train",
    "convert": "converted",
    "evaluate": "evaluated",
}
STAGES = tuple(OUTPUT)
IGNORED = {"run.json", "losses.png"}  # they hold the time, the command line, and a picture of losses.csv
FREE_COLUMNS = {"steps_per_s", "data_wait"}  # columns of losses.csv
PATIENCE_S = 60.0  # time for a process to exit after a signal
BETWEEN_S = 0.5  # between the two signals of a double Ctrl-C
TEMPORARY_AGE_S = 3600.0
INPUTS_AGE_S = 2.5  # tables leave out the stamps of younger files, so the first run would differ from all others


@dataclass
class Counts:
    """What happened to one stage."""

    kills: int = 0
    late: int = 0  # the stage ended before the signal
    unequal: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # reruns that did not exit with 0
    once_s: list[float] = field(default_factory=list)
    twice_s: list[float] = field(default_factory=list)
    codes: list[int | str] = field(default_factory=list)  # exit codes of interrupted processes; 130 is right
    survivors: int = 0  # process groups in which a process survived


class Bench:
    """Inputs, the outputs of undisturbed runs below `whole`, and one output at a time below `out`."""

    def __init__(self, base: Path, seed: int):
        self.base, self.whole, self.out = base, base / "whole", base / "out"
        self.random = random.Random(seed)
        self.seconds: dict[str, float] = {}
        self.running: Running | None = None

    def command(self, stage: str) -> list[str]:
        """Make the stage's command line. Its inputs come from undisturbed runs."""
        w = {name: self.whole / output for name, output in OUTPUT.items()}
        o = self.out / OUTPUT[stage]
        clips = self.base / "clips"
        stores = (
            w["extract-features"] / "features.h5",
            w["extract-face"] / "faces.h5",
            w["extract-spkemb"] / "voices.h5",
        )
        small = {
            "pretrain": _make_small_training("pretrain", steps=12, every=4),
            "train": _make_small_training("train", steps=24, every=8),
        }
        arguments: dict[str, list[Any]] = {
            "extract-wav": [clips, "-o", o, "--jobs", 2],
            "extract-features": [w["extract-wav"], "-o", o / "features.h5", "--jobs", 2],
            "extract-face": [clips, "-o", o / "faces.h5", "--every", 10, "--jobs", 2],
            "extract-spkemb": [w["extract-wav"], "-o", o / "voices.h5", "--jobs", 2],
            "pretrain": [stores[0], "--voices", stores[2], "-o", o, "--device", "cpu", *small["pretrain"]],
            "train": [
                stores[0],
                "--faces",
                stores[1],
                "--voices",
                stores[2],
                "--init",
                w["pretrain"],
                "-o",
                o,
                "--device",
                "cpu",
                *small["train"],
            ],
            "convert": [
                w["extract-wav"],
                "--face",
                self.base / "faces",
                "-o",
                o,
                "--checkpoint",
                w["train"],
                "--vocoder",
                "griffin-lim",
                "--device",
                "cpu",
            ],
            "evaluate": [
                *(o, "-o", o / "evaluation", "--recogniser", "none", "--no-naturalness", "--no-independent-judges"),
                *("--jobs", 2),
            ],
        }
        return [sys.executable, "-m", "facevc_cli", stage, *map(str, arguments[stage])]

    def fresh(self, stage: str) -> Path:
        """Make an empty output. For `evaluate` it holds the conversions, because the cache is beside them."""
        output = self.out / OUTPUT[stage]
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        if stage == "evaluate":
            shutil.copytree(
                self.whole / "converted", output, dirs_exist_ok=True
            )  # as deep as it was: its paths are relative
        return output

    def start(self, stage: str) -> "Running":
        self.running = Running(self.command(stage), self.base / "log.txt")
        return self.running

    def stop(self) -> None:
        """Stop all processes, however this script ends."""
        if self.running is not None:
            self.running.signal_group(signal.SIGKILL)

    def run_whole(self, stage: str) -> None:
        """Run the stage undisturbed: keep its output and its duration."""
        output = self.fresh(stage)
        started = time.monotonic()
        running = self.start(stage)
        code = running.wait(600)
        self.seconds[stage] = time.monotonic() - started
        if code != 0:
            raise SystemExit(
                f"{stage} did not end well when nobody disturbed it: exit code {code}\n{running.text()[-3000:]}"
            )
        shutil.rmtree(self.whole / OUTPUT[stage], ignore_errors=True)
        shutil.copytree(output, self.whole / OUTPUT[stage])
        time.sleep(INPUTS_AGE_S)

    def finish(self, stage: str, counts: Counts, what: str) -> None:
        """Run the stage to its end, and compare the output."""
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
    """Make a training of preset toy that saves and validates three times."""
    settings = {"steps": steps, "checkpoint_every": every, "validate_every": every, "log_every": every // 2}
    return [
        "--preset",
        "toy",
        *(word for name, value in settings.items() for word in ("--set", f"{stage}.{name}={value}")),
    ]


class Running:
    """A command in its own process group. Its output is written to a file."""

    def __init__(self, command: Sequence[str], log: Path):
        self.log = log
        with open(log, "w") as file:
            self.process = subprocess.Popen(
                command,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                preexec_fn=heed_interrupts,
            )

    def wait(self, longest_s: float) -> int | str:
        """Wait for the exit code, as a shell gives it. If the process hangs, kill its group and return "hangs"."""
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
        """Wait until the workers of a dead process exit. True if some had to be killed."""
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
    """Handle Ctrl-C again. A shell starts background processes so that they ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def is_group_alive(group: int) -> bool:
    """Whether any process of the group exists and is not a zombie."""
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
    """Make leftovers of a killed process look an hour old.

    Younger files may belong to a running process and are kept.
    """
    then = time.time() - TEMPORARY_AGE_S
    for path in [*folder.rglob("*.tmp*"), *folder.rglob(".*.tmp*")]:
        os.utime(path, (then, then))


def read_last_line(text: str) -> str:
    return next(
        (line for line in reversed(text.splitlines()) if re.match(r"\w+(\.\w+)*(Error|Exception|Interrupt)\b", line)),
        "Traceback",
    )[:160]


# --- is it the same?
# ---------------------------------------------------------------------------------------------------


def compare(whole: Path, found: Path) -> tuple[list[str], list[str]]:
    """List files that are missing or differ, and files that only the second output has."""
    wanted, there = _list_files(whole), _list_files(found)
    unequal = [name for name in sorted(wanted) if name not in there or not has_same_content(wanted[name], there[name])]
    return unequal, sorted(set(there) - set(wanted))


def _list_files(folder: Path) -> dict[str, Path]:
    return {
        p.relative_to(folder).as_posix(): p
        for p in folder.rglob("*")
        if p.name not in IGNORED and (p.is_file() or not any(p.iterdir()))
    }


def has_same_content(one: Path, other: Path) -> bool:
    """Whether two files have the same ids and numbers. Order counts only in formats that define one."""
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
        items = [store.read_item(i) for i in range(len(store))]
        arrays = {name: store.read_statistics(name).tobytes() for name in store.statistics_names}
        return (
            store.attributes,
            arrays,
            [
                (
                    item.id,
                    item.speaker,
                    {k: v.tobytes() for k, v in {**item.frames, **item.vectors}.items()},
                    item.columns,
                )
                for item in items
            ],
        )


# --- trials
# ------------------------------------------------------------------------------------------------------------


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
    """Send Ctrl-C to the whole group, as a terminal does."""
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
    """Make clips of drawn, speaking faces: two clips and a picture of each of four people."""
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
    parser.add_argument(
        "--stages",
        nargs="+",
        default=list(STAGES),
        choices=STAGES,
        metavar="STAGE",
        help=f"of {', '.join(STAGES)} (all)",
    )
    parser.add_argument("--count", type=int, default=40, help="kills of each stage (40)")
    parser.add_argument(
        "--interrupts", type=int, default=3, help="trials of each stage with one Ctrl-C, and with two (3)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (0)")
    parser.add_argument("--seconds", type=float, default=1.6, help="length of a clip (1.6)")
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
    common.show(
        "kills", rows, args.json, seconds=round(time.monotonic() - started), **({"faults": bad} if args.json else {})
    )
    return 1 if bad else 0


def make_row(stage: str, whole_s: float, c: Counts) -> dict[str, Any]:
    disturbed = c.kills + len(c.codes)
    wrong = len({text.partition(":")[0] for text in (*c.unequal, *c.failed)})
    return {
        "stage": stage,
        "seconds": round(whole_s, 1),
        "kills": c.kills,
        "of them too late": c.late,
        "output equal": f"{disturbed - wrong} of {disturbed}",
        "left-over files": len(c.left_over),
        "tracebacks": len(c.tracebacks),
        "exit codes of Ctrl-C": " ".join(map(str, sorted(set(c.codes), key=str))),
        "seconds to leave": _format_range(c.once_s),
        "on the second Ctrl-C": _format_range(c.twice_s),
        "processes left": c.survivors,
    }


def list_faults(c: Counts) -> list[str]:
    slow = [f"left {s:.1f} s after the second Ctrl-C" for s in c.twice_s if s > 2]
    codes = [f"exit code {code} after Ctrl-C" for code in c.codes if code != 130]
    alive = [f"{c.survivors} times a process lived on"] if c.survivors else []
    kinds = {
        "unequal": c.unequal,
        "left over": c.left_over,
        "traceback": c.tracebacks,
        "failed": c.failed,
        "late": slow,
        "code": codes,
        "alive": alive,
    }
    return [f"{kind}: {text}" for kind, found in kinds.items() for text in found]


def _format_range(values: Sequence[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}" if values else ""


if __name__ == "__main__":
    sys.exit(main())
