"""Measure random crops per second: one HDF5 store against one .npy file per utterance.

Both read the same crops, in turns.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import common
import numpy as np

Crop = tuple[int, int]  # utterance, first frame


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--utterances", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=4.0, help="mean length of an utterance")
    parser.add_argument("--mel", default="fvmvc")
    parser.add_argument("--crop-frames", type=int, default=128)
    parser.add_argument("--crops", type=int, default=2000, help="crops per round")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    from facevc_cli.corpus.store import Store

    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = Store(
            common.make_stores(folder, args.mel, utterances=args.utterances, seconds=args.seconds)["features"]
        )
        files = []
        for i in range(len(store)):
            files.append(folder / f"{i}.npy")
            np.save(files[-1], store.read_frames("mel", i))
        lengths = store.read_lengths("mel")
        usable = np.flatnonzero(lengths > args.crop_frames)
        if not len(usable):
            parser.error(f"no utterance is longer than {args.crop_frames} frames: raise --seconds")
        frames = args.crop_frames
        readers: dict[str, Callable[[Crop], np.ndarray]] = {
            "HDF5 store": lambda crop: store.read_frames("mel", crop[0], crop[1], crop[1] + frames),
            ".npy, loaded": lambda crop: np.load(files[crop[0]])[crop[1] : crop[1] + frames],
            ".npy, mapped": lambda crop: np.array(np.load(files[crop[0]], mmap_mode="r")[crop[1] : crop[1] + frames]),
        }
        rates: dict[str, list[float]] = {name: [] for name in readers}
        for turn in range(args.rounds + 1):
            chosen = rng.choice(usable, args.crops)
            crops = [(int(i), int(rng.integers(lengths[i] - frames + 1))) for i in chosen]
            order = list(readers) if turn % 2 else list(readers)[::-1]
            sums = {}
            for name in order:
                seconds, sums[name] = time_reads(readers[name], crops)
                if turn:  # the first round fills the page cache
                    rates[name].append(args.crops / seconds)
            if len(set(sums.values())) != 1:
                raise SystemExit(f"the readers do not read the same: {sums}")
        store.close()
    base = common.summarise_runs(rates["HDF5 store"])["median"]
    rows = []
    for name, values in rates.items():
        ratios = [h / v for h, v in zip(rates["HDF5 store"], values, strict=True)]
        found = common.summarise_runs(values)
        rows.append(
            {
                "reader": name,
                "crops a second": found["median"],
                "min": found["min"],
                "max": found["max"],
                "store is faster by": common.summarise_runs(ratios)["median"],
                "MB a second": found["median"] * frames * 80 * 4 / 1e6,
            }
        )
    about = {"utterances": args.utterances, "crop_frames": frames, "crops_a_round": args.crops, "rounds": args.rounds}
    common.show(f"random crops ({base:.0f} a second from the store)", rows, args.json, **about)


def time_reads(read: Callable[[Crop], np.ndarray], crops: list[Crop]) -> tuple[float, float]:
    """Time all crops in seconds. A checksum shows that they were read."""
    total = 0.0
    started = time.perf_counter()
    for crop in crops:
        total += float(read(crop)[0, 0])
    return time.perf_counter() - started, total


if __name__ == "__main__":
    main()
