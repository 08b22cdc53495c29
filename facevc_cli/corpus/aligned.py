"""Finds utterances that say the same words at the same moments, so that one is the right answer for another's voice."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Store
from facevc_cli.files.names import index_by_name


def find_partners(
    table: Sequence[Mapping[str, str]], features: Store, rows: np.ndarray, path: Path
) -> dict[int, np.ndarray]:
    """Returns row of the features store -> the rows that are aligned with it, for utterances that have any.

    table: utterance, text_id. Utterances of one text are aligned frame by frame. FaceVCError if two of them differ in
    length, or no utterance of `rows` has a partner.
    """
    text_of = index_by_name((row["utterance"], row["text_id"].strip()) for row in table)
    groups: dict[str, list[int]] = defaultdict(list)
    for row in map(int, rows):
        if text := text_of.get(features.ids[row]):
            groups[text].append(row)
    lengths = features.read_lengths("mel")
    partners: dict[int, np.ndarray] = {}
    for text, group in groups.items():
        frames = {int(lengths[row]) for row in group}
        if len(frames) > 1:
            raise FaceVCError(
                f"{path}: the utterances of text {text!r} have {min(frames)} to {max(frames)} frames in "
                f"{features.path}, so they are not aligned. Give another text_id to utterances that differ. If only "
                "their silence differs, which extraction trims, cut them as recipes/parallel/local/cut.py does."
            )
        for row in group if len(group) > 1 else ():
            partners[row] = np.array([other for other in group if other != row])
    if not partners:
        raise FaceVCError(
            f"{path}: no two utterances of {features.path} share a text_id, so nothing is aligned. The column "
            f"utterance holds ids such as {features.ids[int(rows[0])]!r}."
        )
    return partners
