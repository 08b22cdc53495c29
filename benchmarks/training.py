"""Measure pretraining and face training on random stores: steps per second, and the share of time that
waits for data.
"""

import tempfile
import time
from pathlib import Path

import common


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--preset", default="starter")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="no", help="no or bf16")
    parser.add_argument("--steps", type=int, default=60, help="steps of each training")
    parser.add_argument("--batch-size", type=int, help="default: the preset's")
    parser.add_argument("--workers", type=int, help="default: the preset's")
    parser.add_argument("--utterances", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=4.0, help="mean length of an utterance")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="other settings")
    parser.add_argument("--only", choices=("pretrain", "train"), help="train still pretrains for two steps")
    args = parser.parse_args()
    from facevc_cli.families.presets import load_config

    config = load_config(args.preset, None, args.set)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = common.make_stores(
            folder,
            config.model.mel,
            utterances=args.utterances,
            seconds=args.seconds,
            face_dim=config.model.face_dim,
            content_dim=config.model.content_encoder.teacher_dim if config.pretrain.distillation > 0 else None,
        )
        steps = 2 if args.only == "train" else args.steps
        rows = [time_pretrain(args, paths, folder / "pretrain", steps)]
        rows = [] if args.only == "train" else rows
        if args.only != "pretrain":
            rows.append(time_train(args, paths, folder / "pretrain", folder / "train"))
    about = {"device": args.device, "precision": args.precision, "utterances": args.utterances}
    common.show(f"training, preset {args.preset}", rows, args.json, **about)


def time_pretrain(args, paths: dict[str, Path], output: Path, steps: int) -> dict:
    from facevc_cli.stages.pretrain import PretrainStageConfig, run

    stage = PretrainStageConfig(
        features=paths["features"],
        voices=paths["voices"],
        output=output,
        preset=args.preset,
        overrides=make_overrides(args, "pretrain", steps),
        device=args.device,
        precision=args.precision,
    )
    return time_run("pretrain", lambda: run(stage), output, steps)


def time_train(args, paths: dict[str, Path], init: Path, output: Path) -> dict:
    from facevc_cli.stages.train import TrainStageConfig, run

    stage = TrainStageConfig(
        stores=(paths["features"],),
        faces=paths["faces"],
        voices=paths["voices"],
        init=init,
        output=output,
        overrides=make_overrides(args, "train", args.steps),
        device=args.device,
        precision=args.precision,
    )
    return time_run("train", lambda: run(stage), output, args.steps)


def make_overrides(args, stage: str, steps: int) -> tuple[str, ...]:
    """Make the settings of a short run: it logs six times, then validates and saves once at its end."""
    run = {
        "steps": steps,
        "log_every": max(1, steps // 6),
        "validate_every": steps,
        "checkpoint_every": steps,
        "validation_batches": 1,
    }
    run |= {
        name: value for name, value in (("batch_size", args.batch_size), ("workers", args.workers)) if value is not None
    }
    return (*args.set, *(f"{stage}.{name}={value}" for name, value in run.items()))


def time_run(name: str, work, output: Path, steps: int) -> dict:
    """Read the figures from losses.csv, without its first line: during it readers start and kernels are chosen."""
    from facevc_cli.files.tables import read_table

    started = time.perf_counter()
    work()
    wall = time.perf_counter() - started
    logged = [row for row in read_table(output / "losses.csv") if row["steps_per_s"]]
    kept = logged[1:] or logged
    rates, waits = [float(row["steps_per_s"]) for row in kept], [float(row["data_wait"]) for row in kept]
    return {
        "stage": name,
        "steps": steps,
        "steps a second": common.summarise_runs(rates)["median"],
        "slowest": min(rates),
        "fastest": max(rates),
        "waiting for data": common.summarise_runs(waits)["median"],
        "most waiting": max(waits),
        "wall s": wall,
    }


if __name__ == "__main__":
    main()
