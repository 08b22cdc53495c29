"""Damage every kind of file that facevc reads, in seeded ways, and read it.

Bad input must give one clear error and nothing else.

A case is `read`, `refused` (a FaceVCError), or bad: TRACEBACK (any other error), OPENED (a playlist or a program's file
was opened as a medium), CRASH (the process died), HANG (over 10 s), FAT (over 2 GB of memory). The exit code is 1 if
any case is bad.
"""

import argparse
import faulthandler
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

OUTCOMES = ("read", "refused", "TRACEBACK", "OPENED", "CRASH", "HANG", "FAT")
LONGEST_S, GRACE_S, START_S = 10, 3, 300  # for a case; until the parent ends it; for imports
FATTEST = 2 << 30  # bytes resident
# bytes: the parent kills a process above the first; no process can allocate more than the second
KILL_AT, ROOM = 3 << 30, 8 << 30


class Hang(BaseException):
    """The case took too long."""


# --- the worker: one process, one kind, many cases
# ---------------------------------------------------------------------


def work(kind_name: str, first: int, last: int, base: Path, scratch: Path, longest_s: int, keep: Path | None) -> None:
    """Print a line when a case starts and one when it ends."""
    out = os.fdopen(os.dup(1), "w")
    log = os.open(scratch / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable(log)
    started = _plant_interpreter(scratch / "programs")
    from fuzz_faults import damage, is_disguise
    from fuzz_kinds import KINDS, make_seed

    def ring(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, ring)
    kind = KINDS[kind_name]
    whole = (base / kind.folder / kind.file).read_bytes()
    folder = _copy_input(base / kind.folder, scratch / "warm")
    kind.read(folder)  # imports everything, and shows that the undamaged input is good
    room = _read_status("VmSize") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    for number in range(first, last):
        data = damage(kind.format, whole, make_seed(kind_name, number))
        if keep:
            keep.write_bytes(data)
        folder = _copy_input(base / kind.folder, scratch / f"case-{number}")
        (folder / kind.file).write_bytes(data)
        if kind.repair:
            kind.repair(folder)
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak
        out.write(json.dumps({"begin": number}) + "\n")
        out.flush()
        result = _read(kind.read, folder, longest_s, kind.format in ("medium", "png") and is_disguise(data))
        if started.exists():
            started.unlink()
            result = {**result, "outcome": "OPENED", "text": "Ghostscript was started"}
        fat = _read_status("VmHWM")
        if fat > FATTEST and result["outcome"] in ("read", "refused", "TRACEBACK"):
            result = {**result, "outcome": "FAT"}
        out.write(json.dumps({"end": number, "peak": fat, **result}) + "\n")
        out.flush()
        shutil.rmtree(folder, ignore_errors=True)


def _plant_interpreter(folder: Path) -> Path:
    """Put a fake Ghostscript first on the path, and return the file that it would write. No picture may start it."""
    folder.mkdir()
    (folder / "gs").write_text(f"#!/bin/sh\necho 10.0\ncase $1 in --version) ;; *) touch {folder}/started ;; esac\n")
    (folder / "gs").chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return folder / "started"


def _copy_input(whole: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(whole, folder))


def _read(read: Any, folder: Path, longest_s: int, disguised: bool) -> dict[str, Any]:
    from facevc_cli.core.errors import FaceVCError

    started = time.perf_counter()
    signal.alarm(longest_s)
    try:
        try:
            read(folder)
            found = {"outcome": "OPENED" if disguised else "read"}
        finally:
            signal.alarm(0)
    except FaceVCError as error:
        found = {"outcome": "refused", "text": str(error)[:300]}
    except Hang as error:
        found = {"outcome": "HANG", "where": _find_place(error)}
    except BaseException as error:
        memory = isinstance(error, MemoryError) or "allocate memory" in str(error)
        outcome = "FAT" if memory else "TRACEBACK"
        found = {
            "outcome": outcome,
            "where": _find_place(error),
            "text": f"{type(error).__name__}: {error}"[:160],
            "trace": traceback.format_exc()[-4000:],
        }
    return {**found, "seconds": round(time.perf_counter() - started, 2)}


def _find_place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "facevc_cli" in frame.filename]
    return f"{frames[-1].filename.rpartition('facevc_cli/')[2]}:{frames[-1].lineno}" if frames else "outside"


def _read_status(name: str, process: int | str = "self") -> int:
    """Read a figure of /proc/PID/status in bytes. 0 if the process is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), 0)


# --- the parent
# --------------------------------------------------------------------------------------------------------


def fuzz_kind(kind: str, first: int, last: int, base: Path, longest_s: int, keep: Path | None) -> list[dict[str, Any]]:
    """Run the cases from `first` up to `last`.

    If a process dies or is killed, its case is bad, and another process continues.
    """
    results: list[dict[str, Any]] = []
    while first < last:
        found, begun = _run_worker(kind, first, last, base, longest_s, keep)
        results += found
        if begun is None and not found:
            raise SystemExit(f"{kind}: the process of the cases ended before the first. Is the whole input read?")
        first = results[-1]["end"] + 1
    return results


def _run_worker(
    kind: str, first: int, last: int, base: Path, longest_s: int, keep: Path | None
) -> tuple[list[dict[str, Any]], int | None]:
    results: list[dict[str, Any]] = []
    begun: int | None = None
    with tempfile.TemporaryDirectory(dir=base) as scratch:
        command = [
            sys.executable,
            __file__,
            "--worker",
            kind,
            str(first),
            str(last),
            str(base),
            scratch,
            str(longest_s),
            *([str(keep)] if keep else []),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True)
        why, since = "CRASH", time.monotonic()
        assert process.stdout is not None
        lines = _Lines(process.stdout.fileno())
        while True:
            for line in lines.read(0.1):
                if "begin" in line:
                    begun = line["begin"]
                else:
                    results.append({"kind": kind, **line})
                    begun = None
                since = time.monotonic()
            if lines.ended:
                break
            fat = _read_status("VmRSS", process.pid) > KILL_AT
            if fat or time.monotonic() - since > (longest_s + GRACE_S if begun is not None else START_S):
                why = "FAT" if fat else "HANG"
                os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        log = (Path(scratch) / "log.txt").read_text(errors="replace") if (Path(scratch) / "log.txt").is_file() else ""
    if begun is not None:
        last_frame = next((line.strip() for line in log.splitlines()[::-1] if "facevc_cli" in line), "")
        results.append(
            {
                "kind": kind,
                "end": begun,
                "outcome": why,
                "text": f"exit code {code}",
                "where": last_frame[-80:],
                "trace": log[-3000:],
                "seconds": 0,
            }
        )
    elif not results:
        sys.stderr.write(log[-3000:])
    return results, begun


class _Lines:
    """JSON lines from a pipe, as they arrive."""

    def __init__(self, pipe: int):
        self.pipe, self.rest, self.ended = pipe, b"", False

    def read(self, timeout_s: float) -> list[dict[str, Any]]:
        if not select.select([self.pipe], [], [], timeout_s)[0]:
            return []
        data = os.read(self.pipe, 1 << 16)
        self.ended = not data
        *whole, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(line) for line in whole]


def main() -> int:
    if sys.argv[1:2] == ["--worker"]:
        kind, first, last, base, scratch, longest_s, *keep = sys.argv[2:]
        work(kind, int(first), int(last), Path(base), Path(scratch), int(longest_s), Path(keep[0]) if keep else None)
        return 0
    import common

    parser = common.make_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--count", type=int, default=400, help="cases of each kind (400)")
    parser.add_argument("--kinds", nargs="+", default=[], help="kinds to try (all; --list names them)")
    parser.add_argument("--list", action="store_true", help="list the kinds and exit")
    parser.add_argument("--first", type=int, default=0, help="the first case's seed (0)")
    parser.add_argument("--jobs", type=int, default=2, help="kinds that run in parallel (2)")
    parser.add_argument(
        "--longest",
        type=int,
        default=LONGEST_S,
        metavar="SECONDS",
        help="most time for a case (10); use more on a busy machine",
    )
    parser.add_argument("--only", metavar="KIND", help="run one case only, with --seed, and show its traceback")
    parser.add_argument("--seed", type=int, default=0, help="seed of --only")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="save the damaged file of --only here")
    args = parser.parse_args()
    from fuzz_inputs import make_inputs
    from fuzz_kinds import KINDS, choose_kinds

    if args.list:
        sys.stdout.write("".join(f"{name}: {kind.folder}/{kind.file}\n" for name, kind in KINDS.items()))
        return 0
    kinds = choose_kinds([args.only] if args.only else args.kinds)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        make_inputs(base)
        if args.only:
            return _show_case(fuzz_kind(args.only, args.seed, args.seed + 1, base, args.longest, args.keep)[0])
        results = _fuzz_all(kinds, args.first, args.count, base, args.jobs, args.longest)
    rows = [_make_row(kind, [result for result in results if result["kind"] == kind]) for kind in kinds]
    bad = [result for result in results if result["outcome"] not in ("read", "refused")]
    rows.append(
        {
            "kind": "all",
            **{name: sum(row[name] for row in rows) for name in OUTCOMES},
            "slowest s": max(row["slowest s"] for row in rows),
        }
    )
    more = {"bad": [{k: v for k, v in result.items() if k != "trace"} for result in bad]} if args.json else {}
    common.show("fuzz", rows, args.json, seconds=round(time.monotonic() - started), **more)
    if not args.json:
        _show_bad(bad)
    return 1 if bad else 0


def _fuzz_all(kinds: list[str], first: int, count: int, base: Path, jobs: int, longest_s: int) -> list[dict[str, Any]]:
    lock = threading.Lock()

    def one(kind: str) -> list[dict[str, Any]]:
        begun = time.monotonic()
        found = fuzz_kind(kind, first, first + count, base, longest_s, None)
        bad = [result for result in found if result["outcome"] not in ("read", "refused")]
        with lock:
            sys.stderr.write(f"{kind}: {len(found)} cases, {len(bad)} bad, {time.monotonic() - begun:.0f} s\n")
            sys.stderr.write("".join(f"  {line}\n" for line in _format_bad(bad)))
        return found

    with ThreadPoolExecutor(jobs) as pool:
        return [result for found in pool.map(one, kinds) for result in found]


def _make_row(kind: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(result["outcome"] for result in results)
    peaks = [result["peak"] for result in results if "peak" in result]
    return {
        "kind": kind,
        **{name: counts[name] for name in OUTCOMES},
        "slowest s": max(result["seconds"] for result in results),
        "most MB": round(max(peaks, default=0) / 1e6),
    }


def _format_bad(bad: list[dict[str, Any]]) -> list[str]:
    """Format bad cases. Similar ones share a line with all their seeds."""
    groups: dict[tuple[str, str, str, str], list[dict[str, Any]]] = {}
    for result in bad:
        text = result.get("text", "").partition(":")[0]
        groups.setdefault((result["kind"], result["outcome"], result.get("where", ""), text), []).append(result)
    return [
        (
            f"{kind} {outcome} at {where}: {alike[0].get('text', '')[:120]!r}, seeds "
            f"{' '.join(str(result['end']) for result in alike)}"
        )
        for (kind, outcome, where, _), alike in groups.items()
    ]


def _show_bad(bad: list[dict[str, Any]]) -> None:
    sys.stdout.write("".join(f"\n{line}" for line in _format_bad(bad)) + "\n" * bool(bad))
    if bad:
        sys.stdout.write(
            f"\nOne again: python benchmarks/fuzz.py --only {bad[0]['kind']} --seed {bad[0]['end']} --keep FILE\n"
        )


def _show_case(result: dict[str, Any]) -> int:
    sys.stdout.write(
        f"{result['kind']} seed {result['end']}: {result['outcome']}\n{result.get('trace') or result.get('text', '')}\n"
    )
    return 0 if result["outcome"] in ("read", "refused") else 1


if __name__ == "__main__":
    sys.exit(main())
