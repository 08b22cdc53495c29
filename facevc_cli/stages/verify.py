"""`verify`: finds out if facevc converted sound files, by their metadata and their watermark."""

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
    """Summary.data["files"]: one description per readable file, in order. An unreadable file is a failure."""
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
    """Returns {file, synthetic, metadata, watermark}. FaceVCError if the file holds no readable sound.

    synthetic: True if the metadata or the watermark say so. False proves nothing: both can be removed, and synthetic
    speech of other programs has neither.
    """
    wav, rate = load_audio(path, DETECTION_RATE)
    made, mark = read_provenance(path), detect(wav, rate)
    return {
        "file": str(path),
        "synthetic": made is not None or mark.marked is True,
        "metadata": made.as_dict() if made else None,
        "watermark": {
            "found": mark.marked,
            "verdict": mark.verdict,
            "score": round(mark.score, 2),
            "p_value": mark.p_value,
            "share": round(mark.share, 3),
        },
    }
