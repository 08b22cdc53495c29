"""`verify`: whether sound files say, or bear the mark, that facevc converted them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.files.audio import load_audio
from facevc_cli.files.inputs import AUDIO_SUFFIXES, VIDEO_SUFFIXES, list_files
from facevc_cli.provenance.metadata import read_provenance
from facevc_cli.provenance.watermark import DETECTION_RATE, detect

STAGE = "verify"


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    files: tuple[str | Path, ...]  # files, folders, @lists


def run(config: VerifyConfig, reporter: Reporter = SILENT) -> Summary:
    """Summary.data["files"]: one description a file that could be read, in order. A file that could not is a failure."""
    paths = list_files(config.files, AUDIO_SUFFIXES | VIDEO_SUFFIXES, reporter)
    tally = Tally(reporter)
    reporter.begin(len(paths), "files", STAGE)
    found = []
    for path in paths:
        try:
            with report_memory_errors(str(path)):
                found.append(verify(path))
            tally.complete(str(path))
        except FaceVCError as error:
            tally.fail(str(path), str(error))
    return tally.summarise(files=found)


def verify(path: Path) -> dict[str, Any]:
    """{file, synthetic, metadata, watermark}; FaceVCError where the file is no sound that can be read.

    synthetic: True where the metadata or the watermark say so. False says only that neither was found: both can be removed, and
    speech made otherwise never had them.
    """
    wav, rate = load_audio(path, DETECTION_RATE)
    made, mark = read_provenance(path), detect(wav, rate)
    return {
        "file": str(path),
        "synthetic": made is not None or mark.marked is True,
        "metadata": made.as_dict() if made else None,
        "watermark": {
            "found": mark.marked, "verdict": mark.verdict, "score": round(mark.score, 2), "p_value": mark.p_value, "share": round(mark.share, 3),
        },
    }  # fmt: skip
