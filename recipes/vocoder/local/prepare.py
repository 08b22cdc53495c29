"""prepare.py OUT TABLE...: let HiFi-GAN speak pieces of the recordings, and store them for the training.

Of each recording the script takes one piece of at most 8 s, until there are --hours. It goes on where it stopped.
An hour of sound takes 370 MB, and 15 to 30 minutes of two cores.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from pieces import MEL, PieceMaker, PieceWriter
from tables import read_recordings

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.files.audio import load_audio
from facevc_cli.vocoders.hifigan import load_universal

QUIETEST_DB, LOUDEST_DB = -12.0, 0.0  # range of the gain that each piece gets, because not all speech is levelled


def draw_gain(utterance: str, seed: int) -> float:
    rng = np.random.default_rng([seed, *utterance.encode()])
    return float(10 ** (rng.uniform(QUIETEST_DB, LOUDEST_DB) / 20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("tables", type=Path, nargs="+", help="columns utterance, and path or file")
    parser.add_argument("--splits", type=Path, help="utterance or speaker, split; those of the split test are left out")
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    writer, frontend = PieceWriter(given.out), Frontend.standard("hifigan")
    recordings = read_recordings(given.tables, given.splits, given.seed)
    maker = PieceMaker(load_universal().to(given.device), given.seed)

    def make(number: int, utterance: str, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sound = frontend.prepare(load_audio(path, MEL.rate)[0]) * np.float32(draw_gain(utterance, given.seed))
        return maker.cut_sound(utterance, sound)

    writer.fill(recordings, given.hours, make)


if __name__ == "__main__":
    try:
        main()
    except FaceVCError as error:
        sys.exit(str(error))
