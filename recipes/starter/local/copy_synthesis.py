"""copy_synthesis.py SOURCES: measure the vocoder alone: predicted MOS (DistillMOS) of recordings, before and after
vocoding.

SOURCES: recordings, or folders of them. The front-end and the vocoder are the bundled starter's, and the level is the
recording's, as in `facevc convert`.
"""

import statistics
import sys
from pathlib import Path

from facevc_cli import Converter
from facevc_cli.conversion.copy_synthesis import synthesise_copy
from facevc_cli.evaluation.metrics.naturalness import DistillMOS
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.files.inputs import AUDIO_SUFFIXES, list_files


def main(sources: list[Path]) -> None:
    converter, judge = Converter(guidance=0), DistillMOS()  # without guidance no d-vector is needed
    before, after = [], []
    for path in list_files(sources, AUDIO_SUFFIXES):
        wav, rate = load_audio(path)
        heard = converter.hear((wav, rate))
        spoken = synthesise_copy(converter, heard)
        before.append(judge.score(resample(wav, rate, JUDGE_RATE)))
        after.append(judge.score(resample(spoken, converter.rate, JUDGE_RATE)))
    print(
        f"{len(before)} recordings: predicted MOS {statistics.fmean(before):.2f}, vocoded {statistics.fmean(after):.2f}"
    )


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
