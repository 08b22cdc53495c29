"""Measure how long a conversion takes: cold, from process start to file, and warm, as a real-time factor per step.

--compare measures many conversions, and compares them with a plain run of the same model and with a Parallel WaveGAN.
--long measures a long recording, and its memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import common

COMPARED = ("plain", "parallel-wavegan")
WAYS = {"convert": "convert", "plain": "plain", "parallel-wavegan": "parallel-wavegan, vocoder alone"}


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, help="default: the bundled starter, else random weights of its size")
    parser.add_argument("--vocoder", default="auto")
    parser.add_argument("--source", type=Path, default=common.SPEECH)
    parser.add_argument("--face", type=Path, default=common.FACE)
    parser.add_argument("--seconds", type=float, default=5.0, help="the source is repeated or cut to this length")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-cold", action="store_true", help="leave the cold runs out")
    parser.add_argument("--no-warm", action="store_true", help="leave the warm runs out")
    parser.add_argument(
        "--compare", nargs="*", choices=COMPARED, help=f"with {' and '.join(COMPARED)}; nothing named means all"
    )
    parser.add_argument("--sources", type=int, default=10, help="of --compare, about --seconds long, no two alike")
    parser.add_argument(
        "--long", type=float, metavar="MINUTES", help="convert a recording of this length, whole process"
    )
    args = parser.parse_args()
    cores = common.use_cores(args.cores)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        checkpoint, origin = find_checkpoint(args.checkpoint, folder)
        from facevc_cli.files.audio import save_audio

        source = folder / "source.wav"
        save_audio(source, *common.make_speech(args.seconds, args.source))
        rows = [] if args.no_cold else [time_cold(args, checkpoint, source, folder)]
        rows += [] if args.no_warm else time_warm(args, checkpoint, source)
        if args.compare is not None:
            rows += compare(args, checkpoint, folder, args.compare or COMPARED)
        if args.long:
            rows.append(time_long(args, checkpoint, folder))
    about = {"cores": cores, "device": args.device, "checkpoint": origin, "vocoder": args.vocoder}
    common.show(f"conversion of {args.seconds:g} s", rows, args.json, **about)


def find_checkpoint(given: Path | None, folder: Path) -> tuple[Path, str]:
    """Find the checkpoint to time, and describe it. Random weights take as long as trained ones."""
    from facevc_cli.core.errors import FaceVCError
    from facevc_cli.families.checkpoint import find_bundled_checkpoint

    if given is not None:
        return given, str(given)
    try:
        return find_bundled_checkpoint(), "bundled starter"
    except FaceVCError:
        from facevc_cli.dsp.frontend import Frontend
        from facevc_cli.families.checkpoint import Checkpoint, save_checkpoint
        from facevc_cli.families.fvmvc.model import FaceVC
        from facevc_cli.families.presets import load_config

        config = load_config("starter")
        embedders = {"face": {"detector": "dlib", "embedder": "dlib"}}
        made = Checkpoint(
            FaceVC(config.model), config, Frontend.standard(config.model.mel), "train", embedders=embedders
        )
        save_checkpoint(folder / "random", made)
        return folder / "random", "random weights of preset starter"


def time_cold(args, checkpoint: Path, source: Path, folder: Path) -> dict:
    """Time whole processes of the command line, in seconds. The first one may read from a cold disk."""
    seconds = []
    for i in range(args.runs):
        command = [
            sys.executable,
            "-m",
            "facevc_cli",
            "convert",
            str(source),
            "--face",
            str(args.face),
            "-o",
            str(folder / f"{i}.wav"),
        ]
        command += ["--checkpoint", str(checkpoint), "--vocoder", args.vocoder, "-d", args.device, "-q"]
        started = time.perf_counter()
        subprocess.run(command, check=True, env=os.environ)
        seconds.append(time.perf_counter() - started)
    return {
        "step": "cold: process start to file",
        "seconds": common.summarise_runs(seconds)["median"],
        **_find_range(seconds),
        "first": seconds[0],
    }


def time_warm(args, checkpoint: Path, source: Path) -> list[dict]:
    """Time one loaded Converter by step. A first conversion, which is not measured, loads what is loaded late."""
    from facevc_cli import Converter

    started = time.perf_counter()
    converter = Converter(checkpoint, args.vocoder, args.device)
    loading = time.perf_counter() - started
    converter.convert(source, face=args.face)
    whole: list[float] = []
    steps: dict[str, list[float]] = {}
    for _ in range(args.runs):
        converter.timings = {}
        started = time.perf_counter()
        converter.convert(source, face=args.face)
        whole.append(time.perf_counter() - started)
        for step, seconds in converter.timings.items():
            steps.setdefault(step, []).append(seconds)
    rows = [{"step": "loading model and vocoder, once", "seconds": loading}]
    for step, seconds in {**{f"warm: {name}": values for name, values in steps.items()}, "warm: whole": whole}.items():
        median = common.summarise_runs(seconds)["median"]
        rows.append(
            {"step": step, "seconds": median, **_find_range(seconds), "real-time factor": median / args.seconds}
        )
    known = [w - f for w, f in zip(whole, steps["face"], strict=True)]
    median = common.summarise_runs(known)["median"]
    return [
        *rows,
        {
            "step": "warm: whole, face known",
            "seconds": median,
            **_find_range(known),
            "real-time factor": median / args.seconds,
        },
    ]


def compare(args, checkpoint: Path, folder: Path, others) -> list[dict]:
    """Time all ways on sources of new lengths, with one face, including writing files.

    The ways take turns, each in a process of its own, because kernels that one compiles evict another's. ratio: time as
    a multiple of ours.
    """
    from facevc_cli.files.audio import save_audio

    ways = ["convert", *others]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    totals = []
    with ExitStack() as stack:
        processes = {name: stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for name in ways}
        for round_ in range(args.runs + 1):  # the first round is not measured; it loads what is loaded late
            sources, total = [], 0.0
            for i in range(args.sources):
                length = args.seconds * (0.5 + (i + round_ / (args.runs + 1)) / args.sources)
                sources.append(folder / f"compared{i}.wav")
                save_audio(sources[-1], *common.make_speech(length, args.source))
                total += length
            for name, process in processes.items():
                taken = process.submit(
                    time_turn, name, checkpoint, args.vocoder, args.device, args.face, sources, folder
                ).result()
                if round_:
                    seconds[name].append(taken)
            totals += [total] if round_ else []
    rows = []
    for name, values in seconds.items():
        ratios = [other / own for other, own in zip(values, seconds["convert"], strict=True)]
        factors = [value / total for value, total in zip(values, totals, strict=True)]
        figures = {"seconds": values, "real-time factor": factors, "ratio": ratios}
        medians = {column: common.summarise_runs(measured)["median"] for column, measured in figures.items()}
        rows.append({"step": f"{args.sources} files: {WAYS[name]}", **_find_range(values), **medians})
    return rows


def time_turn(
    name: str, checkpoint: Path, vocoder: str, device: str, face: Path, sources: list[Path], folder: Path
) -> float:
    """Time one way on the sources, in seconds, after it is loaded."""
    way = make_way(name, checkpoint, vocoder, device)
    started = time.perf_counter()
    way(face, sources, folder)
    return time.perf_counter() - started


@cache
def make_way(name: str, checkpoint: Path, vocoder: str, device: str):
    if name == "parallel-wavegan":
        return make_parallel_wavegan(device)
    from facevc_cli import Converter

    converter = Converter(checkpoint, vocoder, device)
    if name == "plain":
        make_plain(converter.vocoder)
    return partial(convert_one_by_one if name == "plain" else convert_batch, converter)


def make_plain(vocoder) -> None:
    """Set conversion up in this process as the papers' code runs it: float32, each utterance whole."""
    from facevc_cli.families.fvmvc import distilled_content

    vocoder.window_frames, vocoder.steady = 10**9, False
    if hasattr(vocoder, "in_bfloat16"):
        vocoder.in_bfloat16 = False
    distilled_content.prefers_bfloat16 = lambda device: False


def convert_batch(converter, face: Path, sources: list[Path], folder: Path) -> None:
    """Convert as `facevc convert` does with a loaded model: prefetch sources, write files in the background."""
    from facevc_cli.batch.jobs import Job
    from facevc_cli.batch.pipeline import convert_jobs
    from facevc_cli.batch.utterance import RecordingFile
    from facevc_cli.conversion.resolver import VoiceResolver
    from facevc_cli.conversion.voice_spec import VoiceSpec
    from facevc_cli.files.audio import save_audio

    spec = VoiceSpec.from_file("face", face)
    jobs = [Job(RecordingFile(path, path.stem), spec, folder / f"{path.stem}.out.wav", path.stem) for path in sources]
    resolver = VoiceResolver(converter)
    convert_jobs(
        jobs, converter, resolver, lambda job, wav: save_audio(job.output, wav, converter.rate), lambda *_: None
    )


def convert_one_by_one(converter, face: Path, sources: list[Path], folder: Path) -> None:
    from facevc_cli.files.audio import save_audio

    target = converter.target_from_face(face)
    for source in sources:
        save_audio(
            folder / f"{source.stem}.plain.wav", converter.speak(converter.analyse(source), target), converter.rate
        )


def make_parallel_wavegan(device: str):
    """Make a vocoder run: version 1's generator at the paper's mel, with random weights, on log-mels as long as the
    sources.
    """
    import soundfile
    import torch

    from facevc_cli.vocoders import vocode_long
    from facevc_cli.vocoders.parallel_wavegan import ParallelWavegan, ParallelWaveganGenerator, ParallelWaveganSizes

    generator = ParallelWaveganGenerator(ParallelWaveganSizes(rates=(4, 4, 10)))
    for weights in generator.parameters():
        torch.nn.init.normal_(weights, std=0.05)
    vocoder = ParallelWavegan(generator, "fvmvc", torch.zeros(80), torch.ones(80)).to(device)

    def run(face: Path, sources: list[Path], folder: Path) -> None:
        for source in sources:
            vocode_long(vocoder, torch.randn(round(soundfile.info(source).duration * 100), 80))

    return run


def time_long(args, checkpoint: Path, folder: Path) -> dict:
    """Time one process, and read its peak resident memory from the system (not on Windows)."""
    from facevc_cli.files.audio import save_audio

    source, out = folder / "long.wav", folder / "long.out.wav"
    save_audio(source, *common.make_speech(60 * args.long, args.source))
    command = [sys.executable, "-m", "facevc_cli", "convert", str(source), "--face", str(args.face), "-o", str(out)]
    command += ["--checkpoint", str(checkpoint), "--vocoder", args.vocoder, "-d", args.device, "-q"]
    used = common.run_command(command)
    return {
        "step": f"{args.long:g} minutes, whole process",
        "seconds": used.wall_s,
        "real-time factor": used.wall_s / (60 * args.long),
        "peak MB": used.peak_mb,
    }


def _find_range(seconds: list[float]) -> dict[str, float]:
    return {"min": min(seconds), "max": max(seconds)}


if __name__ == "__main__":
    main()
