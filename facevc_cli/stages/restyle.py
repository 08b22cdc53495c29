"""`restyle`: moves the faces in photos towards a face, a voice, or a register and an age. A rerun goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from facevc_cli.conversion.traits import TraitRule
from facevc_cli.core.choices import OnMany
from facevc_cli.core.errors import FaceVCError, UsageError, name_in_errors
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.files.atomic import check_writable
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image, read_colour_profile
from facevc_cli.files.tables import make_relative_path
from facevc_cli.imagining.voice import listen
from facevc_cli.manifest.contract import DONE, FAILED
from facevc_cli.manifest.restyled import RestyledTable
from facevc_cli.portraits.composites import load_composites
from facevc_cli.portraits.photo import Aim, Restyled, Restyler
from facevc_cli.portraits.planned_photos import PlannedPhoto, check_strength, describe_restyled, is_waiting, plan_photos
from facevc_cli.portraits.saving import Guide, RestyleOrigin, save_restyled
from facevc_cli.provenance.pictures import find_picture_folder, is_picture_name
from facevc_cli.voices.dvector import VoiceEmbedder

STAGE = "restyle"


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
        check_strength(self.strength)
        return rule


def run(config: RestyleConfig, reporter: Reporter = SILENT) -> Summary:
    """Restyles the photos. A folder also gets `restyled.csv`. A photo that cannot be restyled well is a failure.

    FaceVCError if an input is missing, the face or the voice cannot be read, or another file is in the place of one.
    """
    rule = config.check()
    planned = plan_photos(config.photos, config.output, config.limit, reporter)
    tally, folder = Tally(reporter), find_picture_folder(config.output)
    if config.dry_run:
        pairs = [{"photo": str(one.path), "picture": str(folder / one.name)} for one in planned]
        return tally.summarise(config.output, planned=pairs)
    table = RestyledTable(None if is_picture_name(config.output) else config.output)
    composites = load_composites()
    make_origin = partial(
        RestyleOrigin,
        model_sha256=composites.sha256,
        guide=Guide.of(config.face, config.voice),
        strength=config.strength,
        settings=rule.settings,
        on_many=config.on_many,
    )
    origins = {one: make_origin(photo_sha256=hash_file(one.path)) for one in planned}
    waiting = {one for one in planned if is_waiting(one, origins[one].key, folder, table, config.overwrite)}
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
            columns = {**_name_photo(one, folder, about), "key": origins[one].key}
            try:
                with report_memory_errors(str(one.path)), name_in_errors(one.path):
                    made = _restyle(one, restyler, aim, folder / one.name, origins[one])
                columns |= {"status": DONE, **describe_restyled(made)}
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


def read_voice_aim(recording: Path) -> Aim:
    """Reads register and age in a voice. FaceVCError if it is silent or cannot be read."""
    heard = listen(recording, VoiceEmbedder())
    return Aim(heard.feminine, heard.age_years)


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


def _restyle(one: PlannedPhoto, restyler: Restyler, aim: Aim, path: Path, origin: RestyleOrigin) -> Restyled:
    made = restyler.restyle(restyler.find_face(load_image(one.path)), aim, origin.strength)
    save_restyled(path, made.picture, origin, one.path.name, read_colour_profile(one.path))
    return made


def _name_photo(one: PlannedPhoto, folder: Path, about: Mapping[str, str]) -> dict[str, str]:
    named = {"picture": one.name, "photo": make_relative_path(folder, one.path), "photo_id": one.id}
    return {**named, **about, "aim": make_relative_path(folder, about["aim"]) if about.get("aim") else ""}
