"""copy_synthesis.py SOURCES: measure the vocoder alone: predicted MOS (DistillMOS) of recordings, before and after
vocoding.

SOURCES: recordings, or folders of them. The front-end and the vocoder are the bundled starter's, and the level is the
recording's, as in `facevc convert`.
"""

import statistics
import sys
from pathlib import Path

import numpy as np
import torch

from facevc_cli import Converter
from facevc_cli.conversion.speech import SpeechFeatures
from facevc_cli.dsp.level import match_loudness
from facevc_cli.evaluation.metrics.naturalness import DistillMOS
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.files.inputs import AUDIO_SUFFIXES, list_files
from facevc_cli.vocoders import vocode_long


def vocode(converter: Converter, heard: SpeechFeatures) -> np.ndarray:
    """Make the waveform of a recording's own log-mel: (n,) at the converter's rate."""
    with torch.inference_mode():
        return vocode_long(converter.vocoder, torch.from_numpy(heard.mel).to(converter.device)).numpy()


def main(sources: list[Path]) -> None:
    converter, judge = Converter(guidance=0), DistillMOS()  # without guidance no d-vector is needed
    before, after = [], []
    for path in list_files(sources, AUDIO_SUFFIXES):
        wav, rate = load_audio(path)
        heard = converter.hear((wav, rate))
        spoken = vocode(converter, heard)
        before.append(judge.score(resample(wav, rate, JUDGE_RATE)))
        after.append(judge.score(resample(match_loudness(spoken, heard.rms), converter.rate, JUDGE_RATE)))
    print(
        f"{len(before)} recordings: predicted MOS {statistics.fmean(before):.2f}, vocoded {statistics.fmean(after):.2f}"
    )


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
