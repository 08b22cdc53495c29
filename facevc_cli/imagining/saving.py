"""Writes imagined faces and their sheets, each marked as synthetic."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from facevc_cli.files.hashes import hash_file
from facevc_cli.imagining.sheet import PAIR_SENTENCE, SENTENCE, draw_sheet
from facevc_cli.imagining.styled import AnyPortrait, AnyVoice
from facevc_cli.provenance.pictures import PictureRecord, read_picture_mark, save_marked_picture, shorten_hash

IMAGINED, SAMPLED = "imagined", "sampled"
PAIR = "a face and a voice of nobody that fit each other"


def make_record(
    key: str, model: str, model_sha256: str, voice: Path | str, settings: str = "", faces: str = "composites"
) -> PictureRecord:
    """Describes a picture that is drawn today for a voice: a file, or its sha256. FaceVCError if it cannot be read.

    faces: what is mixed.
    """
    return PictureRecord(
        made=IMAGINED,
        key=key,
        model=f"{faces}, chosen by {model}",
        model_sha256=shorten_hash(model_sha256),
        voice_sha256=(shorten_hash(voice if isinstance(voice, str) else hash_file(voice)),),
        settings=settings,
    )


def save_portrait(path: Path, picture: np.ndarray, record: PictureRecord, voice: Path) -> None:
    """Writes (H, W, 3) uint8 with its mark. The suffix gives the format."""
    save_marked_picture(path, picture, record, f"a face that fits the voice {voice.name}, not the speaker's")


def save_sheet(
    path: Path,
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    voice: Path,
    record: PictureRecord,
    across: int | None = None,
    sentence: str = SENTENCE,
) -> None:
    """Writes pictures side by side with their captions. A sheet has no key, because it is drawn again at will."""
    sheet = draw_sheet(pictures, captions, f"Voice: {voice.name}", across=across, sentence=sentence)
    save_portrait(path, sheet, replace(record, key=""), voice)


def save_pair_face(path: Path, picture: np.ndarray, record: PictureRecord) -> None:
    """Writes the face of a drawn pair."""
    save_marked_picture(path, picture, replace(record, made=SAMPLED), PAIR)


def save_pair_sheet(path: Path, pictures: Sequence[np.ndarray], captions: Sequence[str], title: str) -> None:
    """Writes the faces of drawn pairs side by side."""
    sheet = draw_sheet(pictures, captions, title, sentence=PAIR_SENTENCE)
    record = PictureRecord(made=SAMPLED, key="", model="composites", model_sha256="", settings=title)
    save_marked_picture(path, sheet, record, PAIR)


def read_portrait_key(path: Path) -> str | None:
    """Reads the key of a picture. None if the picture is not one of ours."""
    record = read_picture_mark(path)
    return record.key if record is not None else None


def describe_portrait(
    voice: AnyVoice, portrait: AnyPortrait, ranks: Mapping[int, int] = MappingProxyType({})
) -> dict[str, str]:
    """Returns the columns of `portraits.csv` that say what was heard, chosen and seen.

    ranks: by the numbers of the mixed pictures, if their ranks are told instead.
    """
    return {
        "feminine": f"{voice.feminine:.3f}",
        "age": "" if voice.age_years is None else f"{voice.age_years:.0f}",
        "score": f"{portrait.scores['total']:.3f}",
        **portrait.judged.describe(),
        "parts": " ".join(f"{ranks.get(number, number)}={share:.3f}" for number, share in portrait.parts),
    }
