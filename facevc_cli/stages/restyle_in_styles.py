"""`restyle --checkpoint`: makes the faces in photos anew in a style, with a model of styles. A rerun goes on."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from facevc_cli.conversion.traits import TraitRule
from facevc_cli.core.choices import OnMany
from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError, UsageError, name_in_errors
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.families.checkpoint import locate, read_weights_hash
from facevc_cli.files.atomic import check_writable
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image
from facevc_cli.files.inputs import IMAGE_SUFFIXES, find_files
from facevc_cli.files.tables import make_relative_path
from facevc_cli.imagining.styled_photos import StyleAim, StyledRestyler
from facevc_cli.manifest.contract import DONE, FAILED
from facevc_cli.manifest.restyled import RestyledTable
from facevc_cli.provenance.pictures import (
    PictureRecord,
    find_picture_folder,
    is_picture_name,
    read_picture_mark,
    save_marked_picture,
    shorten_hash,
)

STAGE = "restyle"
ENGINE = "styles 1"  # counted up when the same inputs give another picture
MOST_STRENGTH = 1.5


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """Exactly one of face, voice and register is given. age must be auto: a model of styles knows none."""

    photos: tuple[str | Path, ...]
    output: Path  # a folder, or a picture's name for one photo
    checkpoint: Path | None
    face: Path | None = None
    voice: Path | None = None
    register: str = "auto"  # as in TraitRule.parse
    age: str = "auto"
    strength: float = 1.0
    on_many: OnMany = "largest"
    device: str = "auto"
    limit: int | None = None
    overwrite: bool = False
    dry_run: bool = False
    fail_fast: bool = False

    def check(self) -> StyleAim:
        """Raises UsageError if options are wrong or do not go together."""
        if not (math.isfinite(self.strength) and 0 < self.strength <= MOST_STRENGTH):
            raise UsageError(f"--strength {self.strength:g}: expected a number above 0, and at most {MOST_STRENGTH:g}.")
        return StyleAim.of(self.face, self.voice, TraitRule.parse(self.register, self.age))


@dataclass(frozen=True)
class PlannedFace:
    photo: Path
    id: str
    name: str  # of the picture below the output folder
    record: PictureRecord


def run(config: StyleConfig, reporter: Reporter = SILENT) -> Summary:
    """Restyles the photos. A folder also gets `restyled.csv`. A photo without a face is a failure.

    FaceVCError if an input is missing, the model has no styles, or another file is in the place of a picture.
    """
    aim, tally, folder = config.check(), Tally(reporter), find_picture_folder(config.output)
    resolve_device(config.device)
    planned = _plan(config, reporter)
    if config.dry_run:
        pairs = [{"photo": str(one.photo), "picture": str(folder / one.name)} for one in planned]
        return tally.summarise(config.output, planned=pairs)
    table = RestyledTable(None if is_picture_name(config.output) else config.output)
    waiting = {one for one in planned if _is_waiting(one, folder, table, config.overwrite)}
    reporter.begin(len(planned), "photos", STAGE)
    for one in planned:
        if one not in waiting:
            tally.skip(one.id)
            reporter.record({"type": "item", "picture": str(folder / one.name), "status": "skipped"})
    if waiting:
        restyler = StyledRestyler(locate(config.checkpoint), config.on_many, config.device)
        style = restyler.find_style(aim)
        check_writable(folder)
        try:
            for one in (one for one in planned if one in waiting):
                columns = _make(config, one, restyler, style, folder, tally)
                table.put(columns)
                reporter.record({"type": "item", **columns, "picture": str(folder / one.name)})
        finally:
            table.save()
    return tally.summarise(config.output)


def _plan(config: StyleConfig, reporter: Reporter) -> list[PlannedFace]:
    """UsageError if one picture is asked for and there are more photos."""
    found = find_files(config.photos, IMAGE_SUFFIXES, reporter)[: config.limit]
    if is_picture_name(config.output):
        if len(found) > 1:
            raise UsageError(f"--out {config.output}: expected a folder for {len(found)} photos, found a file's name.")
        names = [config.output.name]
    else:
        names = [f"{name}__restyled.png" for _, name in found]
    weights, guide = read_weights_hash(locate(config.checkpoint)), config.face or config.voice
    guided = hash_file(guide) if guide else ""
    paired = zip(found, names, strict=True)
    return [
        PlannedFace(path, i, name, _describe(config, weights, guided, hash_file(path))) for (path, i), name in paired
    ]


def _describe(config: StyleConfig, weights: str, guide: str, photo: str) -> PictureRecord:
    """Describes a picture by the sha256 of the weights, of the face or voice (empty: none), and of the photo."""
    kind = "face" if config.face else "voice" if config.voice else ""
    rule = TraitRule.parse(config.register, config.age).settings
    settings = (*rule, f"{config.strength:g}", config.on_many)
    key = hashlib.sha256("\n".join([ENGINE, weights, photo, kind, guide, *settings]).encode()).hexdigest()[:16]
    guides = (shorten_hash(guide),)
    return PictureRecord(
        made="restyled",
        key=key,
        model="styles",
        model_sha256=shorten_hash(weights),
        photo_sha256=shorten_hash(photo),
        face_sha256=guides if config.face else (),
        voice_sha256=guides if config.voice else (),
        settings=", ".join([f"strength {config.strength:g}", *rule]),
    )


def _make(
    config: StyleConfig, one: PlannedFace, restyler: StyledRestyler, style: Tensor, folder: Path, tally: Tally
) -> dict[str, str]:
    """Makes a picture. Returns its row."""
    guide = config.face or config.voice
    row = {
        "picture": one.name,
        "photo": make_relative_path(folder, one.photo),
        "photo_id": one.id,
        "aim": make_relative_path(folder, guide) if guide else "",
        "register_asked": "" if config.register == "auto" else config.register,
        "strength": f"{config.strength:g}",
        "key": one.record.key,
    }
    try:
        with report_memory_errors(str(one.photo)), name_in_errors(one.photo):
            made = restyler.restyle(load_image(one.photo), style, config.strength)
        towards = f" towards {guide.name}" if guide else ""
        said = f"the face in {one.photo.name} in a style{towards} of {restyler.model_name} ({one.record.settings})"
        save_marked_picture(folder / one.name, made.picture, one.record, said)
    except FaceVCError as error:
        tally.fail(one.id, str(error))
        if config.fail_fast:
            raise
        return row | {"status": FAILED, "reason": str(error)}
    tally.complete(one.id)
    return row | {
        "status": DONE,
        "register": f"{made.before.feminine:.3f}",
        "age": f"{made.before.age_years:.0f}",
        "register_made": f"{made.after.feminine:.3f}",
        "age_made": f"{made.after.age_years:.0f}",
        "distance": f"{made.distance:.3f}",
    }


def _is_waiting(one: PlannedFace, folder: Path, table: RestyledTable, overwrite: bool) -> bool:
    """Says whether a picture has to be made. FaceVCError if another picture is in its place."""
    path = folder / one.name
    if path.exists() and path.resolve() == one.photo.resolve():
        raise FaceVCError(f"{path} is the photo itself. Choose another output.")
    if overwrite or not path.exists() or not path.stat().st_size:
        return True
    mark = read_picture_mark(path)
    if mark is None or mark.key != one.record.key:
        raise FaceVCError(
            f"{path} is there already, made from another photo, model, style or setting, or not by this command. Pass "
            "--overwrite to make it anew, or choose another output."
        )
    return table.path is not None and not table.is_done(one.name, one.record.key)
