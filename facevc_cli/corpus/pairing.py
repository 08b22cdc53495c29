"""Pairs faces with utterances: by a table, else by the same clip, else by the same person."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Store
from facevc_cli.files.inputs import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from facevc_cli.files.names import normalise_name


def pair_faces(
    features: Store, rows: np.ndarray, faces: Store, table: Sequence[Mapping[str, str]] | None
) -> dict[int, np.ndarray]:
    """Returns row of the features store -> rows of the faces store, at least one.

    Utterances without a face are left out.

    table: rows with `face` (a face's id or person) and `utterance` or `speaker`. Without a table, a face belongs to the
    utterance with the same id, else to all utterances of the same person. FaceVCError if no pair is found.
    """
    of_person: dict[str, list[int]] = defaultdict(list)
    # ids that are unique only with their suffix: a live photo's picture and film
    of_clip: dict[str, list[int]] = defaultdict(list)
    for i, (face, person) in enumerate(zip(faces.ids, faces.speakers, strict=True)):
        of_person[person].append(i)
        if PurePosixPath(face).suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
            of_clip[PurePosixPath(face).with_suffix("").as_posix()].append(i)
    joined: dict[str, list[int]] = defaultdict(list)
    unknown: list[str] = []
    for line in table or ():
        key = line.get("utterance", "").strip() or line.get("speaker", "").strip()
        face = normalise_name(line["face"])
        face = face if face in faces.position or face in of_person else face.strip()
        found = [faces.position[face]] if face in faces.position else of_person.get(face, [])
        joined[key].extend(found)
        if not found:
            unknown.append(face)
    pairs = {}
    for row in rows.tolist():
        utterance, speaker = features.ids[row], features.speakers[row]
        if table is not None:
            found = joined.get(utterance.strip(), []) or joined.get(speaker.strip(), [])
        else:
            found = (
                [faces.position[utterance]]
                if utterance in faces.position
                else of_clip.get(utterance) or of_person.get(speaker, [])
            )
        if found:
            pairs[row] = np.array(found)
    if not pairs:
        if unknown:
            advice = f"The table names faces that the store lacks, such as {unknown[0]!r}."
        elif table is not None:
            advice = (
                "The table names none of these utterances or their speakers but, for example, "
                f"{next(iter(joined), 'nothing')!r}."
            )
        else:
            advice = "Pass --pairs TABLE.csv that joins them."
        raise FaceVCError(
            f"{features.path} and {faces.path}: no utterance has a face ({len(rows)} utterances such as "
            f"{features.ids[int(rows[0])]!r}, {len(faces)} faces such as {faces.ids[0] if faces.ids else '-'!r}). "
            f"{advice}"
        )
    return pairs
