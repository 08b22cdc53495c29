"""`restyle`: moves the faces in photos towards a face, a voice, or a register and an age. A rerun goes on."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from facevc_cli.conversion.traits import TraitRule
from facevc_cli.core.choices import OnMany
from facevc_cli.core.errors import FaceVCError, UsageError, name_in_errors
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.files.atomic import check_writable
from facevc_cli.files.audio import load_audio
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image, read_colour_profile
from facevc_cli.files.inputs import IMAGE_SUFFIXES, find_files
from facevc_cli.files.tables import make_relative_path
from facevc_cli.manifest.contract import DONE, FAILED
from facevc_cli.manifest.restyled import RestyledTable
from facevc_cli.portraits.composites import load_composites
from facevc_cli.portraits.photo import Aim, Restyled, Restyler
from facevc_cli.provenance.pictures import (
    PictureRecord,
    find_format,
    find_picture_folder,
    is_picture_name,
    read_picture_mark,
    save_marked_picture,
    shorten_hash,
)
from facevc_cli.voices.dvector import VOICE_RATE, VoiceEmbedder
from facevc_cli.voices.traits import load_trait_reader

STAGE = "restyle"
ENGINE = "composites 1"  # counted up when the same inputs give another picture
MOST_STRENGTH = 1.5
KEPT_SUFFIXES = (".jpg", ".jpeg", ".webp")  # other photos become PNG
VOICE_SLOPE = 9.0  # log odds of a woman per unit of a voice's register, .5 being the middle


@dataclass(frozen=True, kw_only=True)
class RestyleConfig:
    """At least one of face, voice, register and age is given. Register and age count before those of face or voice."""

    photos: tuple[str | Path, ...]
    output: Path  # a folder, or a picture's name for one photo
    face: Path | None = None
    voice: Path | None = None
    register: str = "auto"  # as in TraitRule.parse
    age: str = "auto"
    strength: float = 1.0
    on_many: OnMany = "largest"
    limit: int | None = None
    overwrite: bool = False
    dry_run: bool = False
    fail_fast: bool = False

    def check(self) -> TraitRule:
        """Raises UsageError if options are wrong or do not go together."""
        rule = TraitRule.parse(self.register, self.age)
        if self.face is not None and self.voice is not None:
            raise UsageError("--face and --voice: expected one of the two, found both. Leave one out.")
        if self.face is None and self.voice is None and rule == TraitRule():
            raise UsageError(
                "restyle needs something to move the photo to: --face IMG, --voice WAV, --register or --age."
            )
        if not (math.isfinite(self.strength) and 0 < self.strength <= MOST_STRENGTH):
            raise UsageError(
                f"--strength {self.strength:g}: expected a number above 0, and at most {MOST_STRENGTH:g}. 1 moves the "
                "face the whole way."
            )
        return rule


@dataclass(frozen=True)
class PlannedPhoto:
    path: Path
    id: str
    name: str  # of the picture below the output folder


def run(config: RestyleConfig, reporter: Reporter = SILENT) -> Summary:
    """Restyles the photos. A folder also gets `restyled.csv`. A photo that cannot be restyled well is a failure.

    FaceVCError if an input is missing, the face or the voice cannot be read, or another file is in the place of one.
    """
    rule = config.check()
    planned = plan_pictures(config, reporter)
    tally, folder = Tally(reporter), find_picture_folder(config.output)
    if config.dry_run:
        pairs = [{"photo": str(one.path), "picture": str(folder / one.name)} for one in planned]
        return tally.summarise(config.output, planned=pairs)
    table = RestyledTable(None if is_picture_name(config.output) else config.output)
    composites = load_composites()
    guide = config.face or config.voice
    guide_sha256 = hash_file(guide) if guide else ""
    photos = {one: hash_file(one.path) for one in planned}
    keys = {one: make_key(config, composites.sha256, photos[one], guide_sha256) for one in planned}
    waiting = {one for one in planned if _is_waiting(one, keys[one], folder, table, config.overwrite)}
    reporter.begin(len(planned), "photos", STAGE)
    restyler = Restyler(composites, config.on_many)
    aim, about = _find_aim(config, rule, restyler) if waiting else (Aim(), {})
    if waiting:
        check_writable(folder)
    try:
        for one in planned:
            if one not in waiting:
                tally.skip(one.id)
                reporter.record({"type": "item", "picture": str(folder / one.name), "status": "skipped"})
                continue
            columns = {**_name_photo(one, folder, about), "key": keys[one]}
            try:
                record = _make_record(config, keys[one], composites.sha256, photos[one], guide_sha256)
                with report_memory_errors(str(one.path)), name_in_errors(one.path):
                    made = _restyle(config, one, restyler, aim, folder / one.name, record)
                columns |= {"status": DONE, **_describe(made)}
                tally.complete(one.id)
            except FaceVCError as error:
                columns |= {"status": FAILED, "reason": str(error)}
                tally.fail(one.id, str(error))
                if config.fail_fast:
                    raise
            finally:
                if "status" in columns:
                    table.put(columns)
                    reporter.record({"type": "item", **columns, "picture": str(folder / one.name)})
    finally:
        table.save()
    return tally.summarise(config.output)


def plan_pictures(config: RestyleConfig, reporter: Reporter) -> list[PlannedPhoto]:
    """Finds the photos, and names their pictures. UsageError if one picture is asked for and there are more photos."""
    found = find_files(config.photos, IMAGE_SUFFIXES, reporter)[: config.limit]
    if is_picture_name(config.output):
        if len(found) > 1:
            raise UsageError(f"--out {config.output}: expected a folder for {len(found)} photos, found a file's name.")
        return [PlannedPhoto(found[0][0], found[0][1], config.output.name)]
    if config.output.suffix.lower() in IMAGE_SUFFIXES:
        find_format(config.output.suffix)
    return [PlannedPhoto(path, name, f"{name}__restyled{_choose_suffix(path)}") for path, name in found]


def _choose_suffix(photo: Path) -> str:
    suffix = photo.suffix.lower()
    return suffix if suffix in KEPT_SUFFIXES else ".png"


def make_key(config: RestyleConfig, composites_sha256: str, photo_sha256: str, guide_sha256: str) -> str:
    """Returns the hash of everything that decides a picture. guide_sha256: of the face or voice; empty: none."""
    kind = "face" if config.face else "voice" if config.voice else ""
    parts = [ENGINE, composites_sha256, photo_sha256, kind, guide_sha256]
    parts += [*TraitRule.parse(config.register, config.age).settings, f"{config.strength:g}", config.on_many]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def read_voice_aim(recording: Path) -> Aim:
    """Reads register and age in a voice. FaceVCError if it is silent or cannot be read."""
    with name_in_errors(recording):
        dvector = VoiceEmbedder().embed(load_audio(recording, VOICE_RATE)[0])
    heard = load_trait_reader().read(torch.from_numpy(dvector))
    odds = VOICE_SLOPE * (heard.register - 0.5)
    return Aim(1 / (1 + math.exp(-max(-30.0, min(30.0, odds)))), heard.age_years)


def _find_aim(config: RestyleConfig, rule: TraitRule, restyler: Restyler) -> tuple[Aim, dict[str, str]]:
    """Returns the aim, and the columns that describe it."""
    aim = Aim()
    if config.voice is not None:
        aim = read_voice_aim(config.voice)
    elif config.face is not None:
        with name_in_errors(config.face):
            aim = Aim(descriptor=restyler.describe(load_image(config.face)))
    aim = Aim(
        rule.register if rule.register is not None else aim.register,
        rule.age_years if rule.age_years is not None else aim.age_years,
        aim.descriptor,
    )
    target = config.face or config.voice
    return aim, {
        "aim": str(target) if target else "",
        "register_asked": "" if aim.register is None else f"{aim.register:.2f}",
        "age_asked": "" if aim.age_years is None else f"{aim.age_years:.0f}",
        "strength": f"{config.strength:g}",
    }


def _make_record(
    config: RestyleConfig, key: str, composites_sha256: str, photo_sha256: str, guide_sha256: str
) -> PictureRecord:
    guides = (shorten_hash(guide_sha256),)
    settings = [f"strength {config.strength:g}", *TraitRule.parse(config.register, config.age).settings]
    return PictureRecord(
        made="restyled",
        key=key,
        model="composites",
        model_sha256=shorten_hash(composites_sha256),
        photo_sha256=shorten_hash(photo_sha256),
        face_sha256=guides if config.face else (),
        voice_sha256=guides if config.voice else (),
        settings=", ".join(settings),
    )


def _restyle(
    config: RestyleConfig, one: PlannedPhoto, restyler: Restyler, aim: Aim, path: Path, record: PictureRecord
) -> Restyled:
    face = restyler.find_face(load_image(one.path))
    made = restyler.restyle(face, aim, config.strength)
    guide = config.face or config.voice
    towards = f" towards {guide.name}" if guide else ""
    said = f"the face in {one.path.name} moved{towards} ({record.settings})"
    save_marked_picture(path, made.picture, record, said, icc_profile=read_colour_profile(one.path))
    return made


def _is_waiting(one: PlannedPhoto, key: str, folder: Path, table: RestyledTable, overwrite: bool) -> bool:
    """Says whether a picture has to be made. FaceVCError if another picture is in its place."""
    path = folder / one.name
    if path.exists() and path.resolve() == one.path.resolve():
        raise FaceVCError(f"{path} is the photo itself. Choose another output.")
    if overwrite or not path.exists() or not path.stat().st_size:
        return True
    mark = read_picture_mark(path)
    if mark is None or mark.key != key:
        raise FaceVCError(
            f"{path} is there already, made from another photo, face, voice or setting, or not by this command. Pass "
            "--overwrite to make it anew, or choose another output."
        )
    return table.path is not None and not table.is_done(one.name, key)


def _name_photo(one: PlannedPhoto, folder: Path, about: Mapping[str, str]) -> dict[str, str]:
    named = {"picture": one.name, "photo": make_relative_path(folder, one.path), "photo_id": one.id}
    return {**named, **about, "aim": make_relative_path(folder, about["aim"]) if about.get("aim") else ""}


def _describe(made: Restyled) -> dict[str, str]:
    return {
        "register": f"{made.before.feminine:.3f}",
        "age": f"{made.before.age_years:.0f}",
        "register_made": f"{made.after.feminine:.3f}",
        "age_made": f"{made.after.age_years:.0f}",
        "distance": f"{made.distance:.3f}",
        "reason": "",
    }
