"""decode.py OUT TABLE...: store log-mels of conversions, and HiFi-GAN's waveforms of them, for the fine-tuning.

The bundled model converts each recording to the voice of a face in --faces, or else of another recording. So the
vocoder hears what it will get. It goes on where it stopped.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from pieces import MEL, PieceMaker, PieceWriter
from tables import read_recordings
from torch import Tensor

from facevc_cli import Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Store
from facevc_cli.vocoders import Vocoder
from facevc_cli.vocoders.hifigan import load_universal


class LogMelKeeper(Vocoder):
    """Keeps the log-mel that a conversion gives to its vocoder. It makes no sound."""

    def __init__(self) -> None:
        super().__init__("log-mel keeper", MEL.name, None)
        self.kept = torch.zeros(0, MEL.n_mels)

    def synthesise(self, log_mel: Tensor, start_frame: int) -> Tensor:
        self.kept = log_mel.cpu()
        return torch.zeros(len(log_mel) * self.hop_samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("tables", type=Path, nargs="+", help="columns utterance, and path or file")
    parser.add_argument("--splits", type=Path, help="utterance or speaker, split; those of the split test are left out")
    parser.add_argument("--faces", type=Path, help="a store of facevc extract-face, whose voices are spoken in")
    parser.add_argument("--checkpoint", type=Path, help="the model that converts (the bundled one)")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    writer = PieceWriter(given.out)
    recordings = read_recordings(given.tables, given.splits, given.seed + 1)
    maker = PieceMaker(load_universal().to(given.device), given.seed)
    converter, keeper = Converter(given.checkpoint, "griffin-lim", given.device), LogMelKeeper()
    converter.vocoder = keeper
    faces = None
    if given.faces is not None:
        with Store(given.faces, "extract-face") as store:
            faces = store.read_vectors("embedding")
        converter.target_from_embedding(faces[0])  # refuses faces of another embedder

    def make(number: int, utterance: str, path: Path) -> tuple[np.ndarray, np.ndarray, None]:
        rng = np.random.default_rng([given.seed, number])
        if faces is not None:
            target = converter.target_from_embedding(faces[rng.integers(len(faces))])
        else:
            target = converter.target_from_voice(recordings[rng.integers(len(recordings))][1])
        converter.speak(converter.analyse(path), target)
        log_mel = keeper.kept.numpy()
        start, end = maker.choose_frames(utterance, len(log_mel))
        return log_mel[start:end], maker.speak(log_mel, start, end), None

    writer.fill(recordings, given.hours, make)


if __name__ == "__main__":
    try:
        main()
    except FaceVCError as error:
        sys.exit(str(error))
