"""Measure what large corpora cost, and work out on paper what VoxCeleb2 and AVSpeech would cost.

Parts: index (a store of many items in shards), stages (CPU seconds per hour of sound, and per picture), evaluate (many
conversions), paper (the simulation from what the others measured). Each adds its figures to --measured.

    python benchmarks/scale.py stages && python benchmarks/scale.py index && python benchmarks/scale.py evaluate
    python benchmarks/scale.py paper

That is the full run. It takes four minutes, with a million items (0.5 GB in TMPDIR, 1.5 GB of memory) and 100,000
conversions. To try it: stages --seconds 6 --pictures 1, index --items 2000 --shard-items 64, evaluate --conversions
400.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import h5py
import numpy as np

from facevc_cli.corpus.shard_order import RankOrder, ShardOrder
from facevc_cli.corpus.store import Store
from facevc_cli.corpus.store_summary import read_summary
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.files.atomic import write_text

SHARD_BYTES = 256 << 20  # as StoreWriter cuts them
PERSON_ITEMS = 180  # VoxCeleb2 has 1.1 M utterances of 6,100 people
FACE_FRAMES, FACE_NUMBERS = 20, 162  # --max-frames 20, --embedder fused
DVECTOR_BYTES = 256 * 4
BATCH = 256
STEPS = 50  # of a shuffled order
SOURCES = 100  # of the conversions; each person has two pictures
LEAST_CONVERSIONS = 2 * 2 * SOURCES
SIZES = (1_000_000, 10_000_000, 100_000_000)


@dataclass(frozen=True)
class Corpus:
    """Counts that the corpora's authors publish. items of AVSpeech: hours / mean_s, because clips have 3 to 10 s."""

    name: str
    hours: float
    people: int
    items: int
    origin: str


CORPORA = (
    Corpus("VoxCeleb2", 2400, 6100, 1_100_000, "Chung et al. 2018"),
    Corpus("AVSpeech", 4700, 150_000, round(4700 * 3600 / 6.5), "Ephrat et al. 2018; clips of 6.5 s assumed"),
)


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("part", choices=("index", "stages", "evaluate", "paper"))
    parser.add_argument("--items", type=int, default=1_000_000, help="items of the synthetic store")
    parser.add_argument("--shard-items", type=int, default=1024)
    parser.add_argument("--conversions", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the sound that stages work on")
    parser.add_argument("--pictures", type=int, default=8, help="pictures that extract-face works on")
    parser.add_argument("--cores", type=int, default=64, help="of the simulated cluster")
    parser.add_argument("--disk-mb-per-s", type=float, default=500.0, help="of the simulated cluster")
    parser.add_argument("--steps", type=int, default=400_000, help="of a simulated training")
    parser.add_argument("--steps-per-s", type=float, help="as losses.csv of a GPU says; without it no GPU hours")
    parser.add_argument("--measured", type=Path, default=Path("scale.json"))
    args = parser.parse_args()
    check(parser, args)
    measured = json.loads(args.measured.read_text(encoding="utf-8")) if args.measured.is_file() else {}
    if args.part == "paper":
        show_paper(args, measured)
        return
    parts: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
        "index": measure_index,
        "stages": measure_stages,
        "evaluate": measure_evaluate,
    }
    measured[args.part] = parts[args.part](args)
    write_text(args.measured, json.dumps(measured, indent=1) + "\n")
    common.show(f"scale {args.part}", [{"figure": k, "value": v} for k, v in measured[args.part].items()], args.json)


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if min(args.items, args.shard_items, args.pictures, args.cores, args.steps) < 1:
        parser.error("expected numbers from 1 on")
    if args.conversions < LEAST_CONVERSIONS:
        parser.error(f"--conversions {args.conversions}: expected {LEAST_CONVERSIONS} or more, for two people")
    if args.seconds < 1 or args.disk_mb_per_s <= 0:
        parser.error("expected at least one second of sound, and a disk that is read")


@contextmanager
def count_cpu(found: dict[str, float], name: str) -> Iterator[None]:
    """CPU seconds of this process, because a busy machine falsifies all others."""
    before = time.process_time()
    yield
    found[f"{name}, CPU s"] = time.process_time() - before


def find_peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# A store of many items


def measure_index(args: argparse.Namespace) -> dict[str, float]:
    """The index of --items synthetic utterances of a few rows each. Its costs do not depend on the rows."""
    found: dict[str, float] = {"items": args.items, "items of a shard": args.shard_items}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "features.h5"
        writer = StoreWriter(path, "extract-features", {"rate": 22050}, keep_shards=args.shard_items)
        for number, first in enumerate(range(0, args.items, args.shard_items)):
            _write_shard(writer, number, first, min(args.items, first + args.shard_items))
        ids = [_name(n) for n in range(args.items)]
        before = find_peak_mb()
        with count_cpu(found, "merge: write the index"):
            writer.merge(ids, {"split": dict.fromkeys(ids, "train")})
        found["merge, peak MB more"] = find_peak_mb() - before
        found["bytes of the index"] = path.stat().st_size
        del writer, ids
        with count_cpu(found, "info: read the summary"):
            summary = read_summary(str(path))
        assert summary is not None and summary["items"] == args.items
        found["open, MB of memory"] = _open_alone(path)
        with count_cpu(found, "open the store"):
            store = Store(path)
        _measure_order(store, found)
        store.close()
    return found


def _open_alone(path: Path) -> float:
    """The memory that opening the store takes in a process of its own, as a training has many."""
    code = (
        "import sys; from pathlib import Path; from facevc_cli.corpus.store import Store\n"
        "read = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
        "before = read(); store = Store(sys.argv[1]); print(read() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 2**20


def _name(number: int) -> str:
    return f"id{number // PERSON_ITEMS:05d}/{number * 7919 % 10**9:011x}/{number % PERSON_ITEMS:05d}"


def _write_shard(writer: StoreWriter, number: int, first: int, stop: int) -> None:
    """Writes a shard at once, in the layout of schema 1. Item by item it would take minutes per million."""
    count = stop - first
    writer.parts.mkdir(parents=True, exist_ok=True)
    names = [_name(n) for n in range(first, stop)]
    with h5py.File(writer.parts / f"part-t{number:020d}-bench.h5", "w") as file:
        file.attrs.update(schema=1, stage=writer.stage, version="0", settings_hash=writer.hash)
        file.attrs["settings"] = json.dumps(writer.settings, sort_keys=True)
        file.attrs["content_sha256"] = f"{number:064x}"
        text = h5py.string_dtype("utf-8")
        file["index/id"] = np.array(names, text)
        file["index/speaker"] = np.array([name.partition("/")[0] for name in names], text)
        for column in ("seconds", "log_f0_mean", "log_f0_std", "voiced_share"):
            file[f"index/{column}"] = np.linspace(1.0, 9.0, count)
        for name, shape, kind in (("mel", (80,), "f4"), ("f0", (), "f4")):
            file[f"index/offset/{name}"] = np.arange(count, dtype=np.int64)
            file[f"index/length/{name}"] = np.ones(count, np.int64)
            file[f"frames/{name}"] = np.zeros((count, *shape), kind)


def _measure_order(store: Store, found: dict[str, float]) -> None:
    """What shuffling costs, and reading a batch from the shards of a window or from any shard."""
    shards = store.shard_numbers
    assert shards is not None
    with count_cpu(found, "shuffle: begin"):
        order = RankOrder(ShardOrder(shards, 0), BATCH)
        order.find_items(0)
    with count_cpu(found, "shuffle: a batch"):
        for step in range(1, STEPS + 1):
            order.find_items(step)
    found["shuffle: a batch, CPU s"] /= STEPS
    for step in range(4):  # opens and checks the shards of the window
        for item, _ in order.find_items(step):
            store.read_frames("mel", item)
    with count_cpu(found, "read a batch, shards of a window"):
        for item, _ in order.find_items(4):
            store.read_frames("mel", item)
    rng = np.random.default_rng(0)
    with count_cpu(found, "read a batch, any shards"):
        for item in rng.integers(len(store), size=BATCH).tolist():
            store.read_frames("mel", item)


# Stages


def measure_stages(args: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of one process and one thread, without its start."""
    import torch

    from facevc_cli.dsp.frontend import Frontend
    from facevc_cli.faces.analyser import FaceAnalyser
    from facevc_cli.files.audio import resample
    from facevc_cli.files.image import load_image
    from facevc_cli.voices.dvector import VOICE_RATE, VoiceEmbedder

    torch.set_num_threads(1)
    found: dict[str, float] = {"seconds of sound": args.seconds, "pictures": args.pictures}
    wav, rate = common.make_speech(args.seconds)
    for mel in ("fvmvc", "hifigan"):
        frontend = Frontend.standard(mel)
        pieces = np.array_split(resample(wav, rate, frontend.definition.rate), max(1, round(args.seconds / 6)))
        frontend.extract_features(frontend.prepare(pieces[0]))
        with count_cpu(found, f"extract-features --mel {mel}, an hour of sound"):
            for piece in pieces:
                frontend.extract_features(frontend.prepare(piece))
        found[f"extract-features --mel {mel}, an hour of sound, CPU s"] *= 3600 / args.seconds
    embedder = VoiceEmbedder("cpu")
    pieces = np.array_split(resample(wav, rate, VOICE_RATE), max(1, round(args.seconds / 6)))
    embedder.embed(pieces[0])
    with count_cpu(found, "extract-spkemb, an hour of sound"):
        for piece in pieces:
            embedder.embed(piece)
    found["extract-spkemb, an hour of sound, CPU s"] *= 3600 / args.seconds
    picture = load_image(common.FACE)
    for name in ("dlib", "fused"):
        analyser = FaceAnalyser("dlib", name)
        analyser.analyse(picture)
        with count_cpu(found, f"extract-face --embedder {name}, a picture"):
            for _ in range(args.pictures):
                analyser.analyse(picture)
        found[f"extract-face --embedder {name}, a picture, CPU s"] /= args.pictures
    found["pixels of a picture"] = float(picture.shape[0] * picture.shape[1])
    return found


# Evaluation


def measure_evaluate(args: argparse.Namespace) -> dict[str, float]:
    """All figures of --conversions conversions whose voices are known: 100 sources to people with two pictures each."""
    from facevc_cli.evaluation.evaluation import measure
    from facevc_cli.evaluation.metrics.evidence import Evidence
    from facevc_cli.evaluation.metrics.gender import PitchGenderJudge
    from facevc_cli.evaluation.metrics.voices import HeardVoice
    from facevc_cli.manifest.conversion import Conversion

    rng = np.random.default_rng(0)
    people, genders = args.conversions // (2 * SOURCES), ("female", "male")
    voices: dict[str, HeardVoice] = {}

    def speak(name: str) -> str:
        vector = rng.standard_normal(256, dtype=np.float32)
        voices[name] = HeardVoice(vector / np.linalg.norm(vector), 150.0, 5.0)
        return name

    conversions = []
    for source in range(SOURCES):
        recording = speak(f"source{source}.wav")
        for person in range(people):
            references = tuple(f"real{person}-{n}.wav" for n in range(2))
            if source == 0:
                for name in references:
                    speak(name)
            for face in range(2):
                name = speak(f"{source}-{person}-{face}.wav")
                conversions.append(
                    Conversion(
                        "system",
                        name,
                        f"source{source}",
                        f"person{person}",
                        f"person{person}-{face}.png",
                        source=recording,
                        gender=genders[person % 2],
                        source_gender=genders[source % 2],
                        source_speaker=f"speaker{source}",
                        references=references,
                    )
                )
    found: dict[str, float] = {"conversions": len(conversions), "people": people, "MB before": find_peak_mb()}
    with count_cpu(found, "all figures"):
        evaluation = measure(conversions, Evidence(voices, 0.5, PitchGenderJudge()))
    found["peak MB more"] = find_peak_mb() - found["MB before"]
    figure = evaluation.systems["system"]["SDO"]
    found |= {"SDO": figure.value, "pairs of SDO": figure.n}
    for note in evaluation.notes:
        print(note)
    return found


# On paper


def show_paper(args: argparse.Namespace, measured: dict[str, dict[str, float]]) -> None:
    for part in ("index", "stages"):
        if part not in measured:
            raise SystemExit(f"{args.measured}: the part {part} is missing. Run it first.")
    rows = [row for corpus in CORPORA for row in simulate_corpus(corpus, measured["stages"], args)]
    common.show("stages", rows, args.json, measured=str(args.measured), cores=args.cores)
    common.show("stores", [row for corpus in CORPORA for row in simulate_stores(corpus, args)], args.json)
    common.show("index", simulate_index(measured["index"]), args.json, items=measured["index"]["items"])
    if "evaluate" in measured:
        common.show("evaluate", [{"figure": k, "value": v} for k, v in measured["evaluate"].items()], args.json)


def simulate_corpus(corpus: Corpus, stages: dict[str, float], args: argparse.Namespace) -> list[dict[str, Any]]:
    """CPU hours of each stage, and hours on the cluster if all cores are busy."""
    hour, picture = "an hour of sound, CPU s", "a picture, CPU s"
    work = {
        "extract-features --mel hifigan": corpus.hours * stages[f"extract-features --mel hifigan, {hour}"],
        "extract-spkemb": corpus.hours * stages[f"extract-spkemb, {hour}"],
        f"extract-face --embedder fused --max-frames {FACE_FRAMES}": corpus.items
        * FACE_FRAMES
        * stages[f"extract-face --embedder fused, {picture}"],
        "extract-face --embedder fused --max-frames 1": corpus.items
        * stages[f"extract-face --embedder fused, {picture}"],
    }
    rows = [
        {"corpus": corpus.name, "stage": name, "CPU h": cpu_s / 3600, f"h on {args.cores}": cpu_s / 3600 / args.cores}
        for name, cpu_s in work.items()
    ]
    if args.steps_per_s:
        rows.append(
            {
                "corpus": corpus.name,
                "stage": f"pretrain, {args.steps:,} steps",
                "GPU h": args.steps / args.steps_per_s / 3600,
            }
        )
    return rows


def simulate_stores(corpus: Corpus, args: argparse.Namespace) -> list[dict[str, Any]]:
    definition = MEL_DEFINITIONS["hifigan"]
    seconds = corpus.hours * 3600
    frames = seconds * float(definition.frame_rate)
    stores = {
        "features, without a teacher": frames * 81 * 4,
        "features, with Whisper base": frames * 81 * 4 + seconds * common.CONTENT_RATE * 512 * 2,
        "voices": corpus.items * DVECTOR_BYTES,
        f"faces, {FACE_FRAMES} frames of a clip": corpus.items * (FACE_FRAMES + 1) * FACE_NUMBERS * 4.0,
        "faces, crops of 128 px, one of a clip": corpus.items * 128 * 128 * 3.0,
    }
    return [
        {
            "corpus": corpus.name,
            "store": name,
            "GB": size / 1e9,
            "shards of 256 MB or 1024 items": max(size / SHARD_BYTES, corpus.items / 1024),
            "h to read once": size / 1e6 / args.disk_mb_per_s / 3600,
        }
        for name, size in stores.items()
    ]


def simulate_index(index: dict[str, float]) -> list[dict[str, Any]]:
    """The measured costs, in proportion to the items. A batch costs the same at any size."""
    rows: list[dict[str, Any]] = []
    growing = {
        "GB of the index": index["bytes of the index"] / 1e9,
        "merge: write the index, CPU s": index["merge: write the index, CPU s"],
        "merge: memory, GB": index["merge, peak MB more"] / 1e3,
        "open, CPU s": index["open the store, CPU s"],
        "open: memory of each process, GB": index["open, MB of memory"] * 2**20 / 1e9,
        "shuffle: begin, CPU s": index["shuffle: begin, CPU s"],
        "shards of 1024 items": index["items"] / 1024,
    }
    for name, value in growing.items():
        rows.append({"cost": name, **{f"{size:,}": value * size / index["items"] for size in SIZES}})
    for name in ("info: read the summary", "shuffle: a batch", "read a batch, shards of a window"):
        rows.append(
            {"cost": f"{name}, CPU s", **dict.fromkeys((f"{size:,}" for size in SIZES), index[f"{name}, CPU s"])}
        )
    return rows


if __name__ == "__main__":
    main()
