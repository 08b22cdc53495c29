"""`restyle --checkpoint`: makes the faces in photos anew in a style, with a model of styles. A rerun goes on."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from facevc_cli.conversion.traits import TraitRule
from facevc_cli.core.choices import OnMany
from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError, name_in_errors
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.families.checkpoint import locate, read_weights_hash
from facevc_cli.files.atomic import check_writable
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image
from facevc_cli.files.tables import make_relative_path
from facevc_cli.imagining.styled_photos import StyleAim, StyledRestyler
from facevc_cli.manifest.contract import DONE, FAILED
from facevc_cli.manifest.restyled import RestyledTable
from facevc_cli.portraits.planned_photos import PlannedPhoto, check_strength, describe_restyled, is_waiting, plan_photos
from facevc_cli.portraits.saving import Guide, RestyleOrigin
from facevc_cli.provenance.pictures import find_picture_folder, is_picture_name, save_marked_picture

STAGE = "restyle"


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
        check_strength(self.strength)
        return StyleAim.of(self.face, self.voice, TraitRule.parse(self.register, self.age))


def run(config: StyleConfig, reporter: Reporter = SILENT) -> Summary:
    """Restyles the photos. A folder also gets `restyled.csv`. A photo without a face is a failure.

    FaceVCError if an input is missing, the model has no styles, or another file is in the place of a picture.
    """
    aim, tally, folder = config.check(), Tally(reporter), find_picture_folder(config.output)
    resolve_device(config.device)
    planned = plan_photos(config.photos, config.output, config.limit, reporter, suffix=".png")
    if config.dry_run:
        pairs = [{"photo": str(one.path), "picture": str(folder / one.name)} for one in planned]
        return tally.summarise(config.output, planned=pairs)
    table = RestyledTable(None if is_picture_name(config.output) else config.output)
    make_origin = partial(
        RestyleOrigin,
        model="styles",
        model_sha256=read_weights_hash(locate(config.checkpoint)),
        guide=Guide.of(config.face, config.voice),
        strength=config.strength,
        settings=TraitRule.parse(config.register, config.age).settings,
        on_many=config.on_many,
    )
    origins = {one: make_origin(photo_sha256=hash_file(one.path)) for one in planned}
    waiting = {one for one in planned if is_waiting(one, origins[one].key, folder, table, config.overwrite)}
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
                columns = _make(config, one, origins[one], restyler, style, folder, tally)
                table.put(columns)
                reporter.record({"type": "item", **columns, "picture": str(folder / one.name)})
        finally:
            table.save()
    return tally.summarise(config.output)


def _make(
    config: StyleConfig,
    one: PlannedPhoto,
    origin: RestyleOrigin,
    restyler: StyledRestyler,
    style: Tensor,
    folder: Path,
    tally: Tally,
) -> dict[str, str]:
    """Makes a picture. Returns its row."""
    guide = config.face or config.voice
    row = {
        "picture": one.name,
        "photo": make_relative_path(folder, one.path),
        "photo_id": one.id,
        "aim": make_relative_path(folder, guide) if guide else "",
        "register_asked": "" if config.register == "auto" else config.register,
        "strength": f"{config.strength:g}",
        "key": origin.key,
    }
    record = origin.make_record()
    try:
        with report_memory_errors(str(one.path)), name_in_errors(one.path):
            made = restyler.restyle(load_image(one.path), style, config.strength)
        towards = f" towards {guide.name}" if guide else ""
        said = f"the face in {one.path.name} in a style{towards} of {restyler.model_name} ({record.settings})"
        save_marked_picture(folder / one.name, made.picture, record, said)
    except FaceVCError as error:
        tally.fail(one.id, str(error))
        if config.fail_fast:
            raise
        return row | {"status": FAILED, "reason": str(error)}
    tally.complete(one.id)
    return row | {"status": DONE, **describe_restyled(made)}
