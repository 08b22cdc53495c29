"""The listening test: write an HTML page that asks people what judges cannot know, and read their answers.

MOS: one recording, "how natural does it sound?", from 1 (bad) to 5 (excellent). This is the absolute category rating of
ITU-T P.800, averaged. Real sources are among the recordings, unmarked. Their rating, under the name `source`, shows
what these listeners give real speech.

CPR: a face and two recordings of one sentence, "which voice fits the face better?". One is the system's; the other is
from a baseline of that system or from another system. The figure is the share of choices for the system. "No
preference" counts half, so chance is 50 %.

CPR faces: the other way round. A recording and two faces, "which face fits the voice better?". The voice was made for
one face, or that face for the voice. The other face is another person's. There is no "no preference".

Papers report a CPR (XFaVoT: correspondence preference ratio) but do not define it in the texts at hand. These
definitions are OURS.
"""

import base64
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.bootstrap import Figure, Terms, estimate_figure
from facevc_cli.evaluation.listening_items import (
    ANCHOR,
    CPR,
    CPR_FACES,
    MOS,
    Item,
    draw_items,
    hash_parts,
    list_items,
    share_out,
)
from facevc_cli.evaluation.report.media import encode_audio, encode_image
from facevc_cli.files.atomic import write_text
from facevc_cli.files.tables import read_table
from facevc_cli.manifest.conversion import Conversion

RATINGS = {str(rating): float(rating) for rating in range(1, 6)}
FORCED = {"system": 1.0, "other": 0.0}  # an answer -> what it counts for the system
VALUES = {MOS: RATINGS, CPR: {**FORCED, "none": 0.5}, CPR_FACES: FORCED}
COLUMNS = ("listener", "trial", "kind", "item", "system", "other", "source_id", "target", "answer", "seconds")
KBIT_S = 128  # high, so that listeners do not rate the encoding
FACE_SIZE = 288  # pixels
THINKING_S = 5.0  # per trial, besides the length of its recordings


def write_listening_test(
    conversions: Sequence[Conversion],
    path: Path,
    *,
    items: int,
    seed: int,
    kinds: Sequence[str] = (MOS, CPR),
    imagined: bool = False,
) -> list[str]:
    """Write the page. Return one line for each part that had to be left out.

    Listeners get `items` questions of each of the `kinds`, or all if there are fewer. `seed` draws them evenly
    over systems, sources and targets. Rated are the systems, their baseline `voice`, and as many real sources as
    recordings of one system. Compared is each system with each of its baselines and with each other system. A system
    without the baseline shuffled-faces is compared with its own conversions of the same source for other people, which
    is equivalent. Faces are those of two such conversions. Degraded faces are left out.

    imagined: the faces were drawn for the voices, not the voices made for the faces. Then every choice is forced.

    The page needs no network. Each listener gets an order of their own, derived from their name or code, and saves a
    CSV of answers for `read_answers`. FaceVCError if there is nothing to judge, or a recording or picture cannot be
    read.
    """
    if items < 1:
        raise FaceVCError(f"listening test: expected one item or more, found {items}. Ask for 30, say.")
    shown = (
        [item for item in group if all(Path(name).is_file() for name in item.faces)]
        for group in list_items(conversions)
    )
    pool = [group for group in shown if group]
    parts = [[group for group in pool if group[0].kind == kind] for kind in kinds]
    shares = [
        (group, share)
        for groups in parts
        for group, share in zip(groups, share_out([len(g) for g in groups], items), strict=True)
    ]
    drawn = sorted(
        (item for group, share in shares for item in draw_items(group, share, seed)), key=lambda item: item.id
    )
    if not drawn:
        raise FaceVCError(
            "listening test: the manifest has no conversions by clean faces or voices, so there is nothing to judge."
        )
    recordings = {
        name: f"r{i}" for i, name in enumerate(dict.fromkeys(name for item in drawn for name in item.recordings))
    }
    faces = {name: f"f{i}" for i, name in enumerate(dict.fromkeys(name for item in drawn for name in item.faces))}
    sound = {name: encode_audio(name, kbit_s=KBIT_S) for name in recordings}
    media = {recordings[name]: uri for name, uri in sound.items()} | {
        faces[name]: encode_image(name, FACE_SIZE) for name in faces
    }
    trials = [
        {
            "item": item.id,
            "kind": item.kind,
            "recordings": [recordings[name] for name in item.recordings],
            "faces": [faces[name] for name in item.faces],
        }
        for item in drawn
    ]
    # base64 hides the names from listeners who glance at the page's source; it is not secret
    names = base64.b64encode(json.dumps({item.id: item.key for item in drawn}).encode()).decode()
    played_s = sum(_find_duration_s(sound[name]) for item in drawn for name in item.recordings)
    page = Environment(
        loader=PackageLoader("facevc_cli.evaluation.report"), autoescape=True, undefined=StrictUndefined
    ).get_template("listening_test.html.j2")
    test = {
        "id": hash_parts(str(seed), json.dumps(trials), *media.values())[:16],
        "trials": trials,
        "names": names,
        "columns": COLUMNS,
        "forced": imagined,
    }
    counts = Counter(item.kind for item in drawn)
    about = {
        "mos": counts[MOS],
        "cpr": counts[CPR],
        "cpr_faces": counts[CPR_FACES],
        "anchors": any(item.system == ANCHOR for item in drawn),
        "imagined": imagined,
    }
    write_text(
        path, page.render(test=test, media=media, minutes=math.ceil((played_s + THINKING_S * len(drawn)) / 60), **about)
    )
    return _note_left_out(
        conversions, kinds, [group for group, _ in shares], [group for group, share in shares if not share]
    )


def read_answers(paths: Sequence[Path], conversions: Sequence[Conversion]) -> dict[str, dict[str, Figure]]:
    """Read the listeners' CSV files -> label -> kind -> figure. A label that nobody judged is absent.

    A system's CPR covers all its comparisons together. The other side of a comparison gets the rest of each choice, so
    a baseline's CPR is 1 minus the system's CPR against it. Intervals resample target identities, or sources for
    anchors, and keep all answers to one identity together. They do not cover how other listeners would answer. If a
    listener answers an item several times, the last answer counts. FaceVCError if a row is malformed or belongs to
    another manifest.
    """
    known = {item.id: item for group in list_items(conversions) for item in group}
    answers: dict[tuple[str, str], float] = {}
    for path in paths:
        rows = read_table(path, COLUMNS)
        if not rows:
            raise FaceVCError(
                f"{path}: expected a listener's answers, found none below the first line. Save them from the page "
                "again."
            )
        for number, row in enumerate(rows, start=1):
            item = _find_item(row, known, f"{path}, row {number}")
            answers[row["listener"].strip(), item.id] = _parse_answer(row, f"{path}, row {number}")
    terms: dict[tuple[str, str], list[tuple[float, Conversion]]] = {}
    for (_, item_id), value in sorted(answers.items()):
        item = known[item_id]
        terms.setdefault((item.system, item.kind), []).append((value, item.conversion))
        if item.other:
            terms.setdefault((item.other, item.kind), []).append((1 - value, item.conversion))
    judged = {key: estimate_figure(Terms.of(found)) for key, found in terms.items()}
    order = [label for label in (*dict.fromkeys(c.system for c in conversions), ANCHOR)]
    labels = sorted(
        dict.fromkeys(label for label, _ in judged),
        key=lambda label: (order.index(label) if label in order else len(order), label),
    )
    return {label: {kind: found for kind in VALUES if (found := judged.get((label, kind)))} for label in labels}


def _find_item(row: Mapping[str, str], known: Mapping[str, Item], where: str) -> Item:
    item = known.get(row["item"])
    found = (row["kind"], row["system"], row["other"], row["source_id"], row["target"])
    if item is None or found != (item.kind, *item.key):
        raise FaceVCError(
            f"{where}: expected an answer about a conversion of this manifest, found {row['kind']} item "
            f"{row['item']!r} of system {row['system']!r}, source {row['source_id']!r}, target {row['target']!r}. "
            "Give the manifest that the page was made from, and the file as the page saved it."
        )
    return item


def _parse_answer(row: Mapping[str, str], where: str) -> float:
    values = VALUES[row["kind"]]
    if row["answer"] not in values:
        raise FaceVCError(
            f"{where}: expected as the answer one of {', '.join(values)}, found {row['answer']!r}. Give the file as "
            "the page saved it."
        )
    if not row["listener"].strip():
        raise FaceVCError(f"{where}: expected the listener's name or code, found none. Fill in the column listener.")
    return values[row["answer"]]


def _note_left_out(
    conversions: Sequence[Conversion],
    kinds: Sequence[str],
    groups: Sequence[list[Item]],
    unasked: Sequence[list[Item]],
) -> list[str]:
    notes, asked = [], {group[0].kind for group in groups}
    if MOS in kinds and not any(group[0].system == ANCHOR for group in groups):
        notes.append(
            "listening test: no real speech among the recordings: the manifest names no sources (column source)"
        )
    if CPR in kinds and CPR not in asked:
        notes.append(
            "listening test: CPR is off: no two recordings of one source to compare for a face image (column face)"
        )
    if CPR_FACES in kinds and CPR_FACES not in asked:
        notes.append("listening test: CPR faces is off: no two face images to compare for one recording (column face)")
    if unasked:
        names = ", ".join(
            " against ".join(name for name in (group[0].system, group[0].other) if name) for group in unasked
        )
        notes.append(f"listening test: too few items to ask about {names}")
    if any(c.degradation for c in conversions):
        notes.append("listening test: conversions by degraded faces are not asked about")
    return notes


def _find_duration_s(uri: str) -> float:
    """Compute the duration of a constant-rate recording. Four characters of base64 hold three bytes."""
    return len(uri) * 0.75 * 8 / (KBIT_S * 1000)
