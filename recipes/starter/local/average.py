"""average.py OUT SHARE RUN [SHARE RUN ...]: average the weights of runs that started from one another.

    python3 average.py exp/starter/pretrained .7 exp/starter/refine/checkpoints/last .3
    exp/starter/verify/checkpoints/last

OUT is a checkpoint folder with the first run's settings. Such an average often sounds better than either run.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

from facevc_cli.families.checkpoint import load_checkpoint, save_checkpoint


def main(out: Path, shares: list[float], runs: list[str]) -> None:
    checkpoints = [load_checkpoint(run) for run in runs]
    states = [checkpoint.model.state_dict() for checkpoint in checkpoints]
    if any({k: v.shape for k, v in state.items()} != {k: v.shape for k, v in states[0].items()} for state in states):
        sys.exit(f"{', '.join(runs)}: expected models of one shape, found several")

    def average(name: str) -> Tensor:
        return sum(
            (share / sum(shares) * state[name].double() for share, state in zip(shares, states, strict=True)),
            torch.zeros(()).double(),
        )

    first = checkpoints[0]
    first.model.load_state_dict(
        {
            name: average(name).to(value.dtype) if value.is_floating_point() else value
            for name, value in states[0].items()
        }
    )
    save_checkpoint(out, first)


if __name__ == "__main__":
    given = sys.argv[2:]
    if len(given) < 4 or len(given) % 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [float(share) for share in given[::2]], given[1::2])
