"""How long a conversion takes: cold, from the start of the process to the file, and warm, as a real-time factor by step."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, help="default: the bundled starter, else random weights of its size")
    parser.add_argument("--vocoder", default="auto")
    parser.add_argument("--source", type=Path, default=common.SPEECH)
    parser.add_argument("--face", type=Path, default=common.FACE)
    parser.add_argument("--seconds", type=float, default=5.0, help="the source is repeated or cut to this length")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-cold", action="store_true", help="leave the cold runs out")
    args = parser.parse_args()
    cores = common.use_cores(args.cores)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        checkpoint, origin = find_checkpoint(args.checkpoint, folder)
        from facevc_cli.io.audio import save_audio

        source = folder / "source.wav"
        save_audio(source, *common.speech(args.seconds, args.source))
        rows = [] if args.no_cold else [cold(args, checkpoint, source, folder)]
        rows += warm(args, checkpoint, source)
    about = {"cores": cores, "device": args.device, "checkpoint": origin, "vocoder": args.vocoder}
    common.show(f"conversion of {args.seconds:g} s", rows, args.json, **about)


def find_checkpoint(given: Path | None, folder: Path) -> tuple[Path, str]:
    """The checkpoint to time, and what it is; random weights take as long as trained ones."""
    from facevc_cli.errors import FaceVCError
    from facevc_cli.io.checkpoint import bundled_checkpoint

    if given is not None:
        return given, str(given)
    try:
        return bundled_checkpoint(), "bundled starter"
    except FaceVCError:
        from facevc_cli.config import load_config
        from facevc_cli.features.frontend import Frontend
        from facevc_cli.io.checkpoint import Checkpoint, save_checkpoint
        from facevc_cli.models.facevc import FaceVC

        config = load_config("starter")
        embedders = {"face": {"detector": "dlib", "embedder": "dlib"}}
        made = Checkpoint(FaceVC(config.model), config, Frontend.standard(config.model.mel), "train", embedders=embedders)
        save_checkpoint(folder / "random", made)
        return folder / "random", "random weights of preset starter"


def cold(args, checkpoint: Path, source: Path, folder: Path) -> dict:
    """Whole processes through the command line, seconds; the first one may read from a cold disk."""
    seconds = []
    for i in range(args.runs):
        command = [sys.executable, "-m", "facevc_cli", "convert", str(source), "--face", str(args.face), "-o", str(folder / f"{i}.wav")]
        command += ["--checkpoint", str(checkpoint), "--vocoder", args.vocoder, "-d", args.device, "-q"]
        started = time.perf_counter()
        subprocess.run(command, check=True, env=os.environ)
        seconds.append(time.perf_counter() - started)
    return {"step": "cold: process start to file", "seconds": common.spread(seconds)["median"], **_range(seconds), "first": seconds[0]}


def warm(args, checkpoint: Path, source: Path) -> list[dict]:
    """One loaded Converter, by step; the first, unmeasured, conversion loads what loads late."""
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
        median = common.spread(seconds)["median"]
        rows.append({"step": step, "seconds": median, **_range(seconds), "real-time factor": median / args.seconds})
    known = [w - f for w, f in zip(whole, steps["face"], strict=True)]
    median = common.spread(known)["median"]
    return [*rows, {"step": "warm: whole, face known", "seconds": median, **_range(known), "real-time factor": median / args.seconds}]


def _range(seconds: list[float]) -> dict[str, float]:
    return {"min": min(seconds), "max": max(seconds)}


if __name__ == "__main__":
    main()
