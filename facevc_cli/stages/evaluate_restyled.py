"""`evaluate --portraits` of what `restyle` made: how much of the person stays, and what moved."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.evaluation.portraits.restyled import (
    BETTER,
    JudgedPicture,
    RestyledPicture,
    measure_restyled,
    read_restyled,
)
from facevc_cli.evaluation.portraits.results import describe_groups, save_groups
from facevc_cli.faces.reading import DLIB_DIM
from facevc_cli.files.atomic import check_writable
from facevc_cli.files.image import load_image
from facevc_cli.imagining.judge import Judgement, PictureJudge


@dataclass(frozen=True, kw_only=True)
class RestyledConfig:
    table: Path  # restyled.csv
    output: Path | None = None
    seed: int = 0
    limit: int | None = None


def run(config: RestyledConfig, reporter: Reporter = SILENT) -> Summary:
    """Measures the pictures. Writes portraits.json and portraits_figures.csv into the output folder.

    Summary.data: as of imagined faces, with the numbers of `pictures` and `photos`. A picture or a photo in which no
    face is found is a failure. FaceVCError if none can be used.
    """
    asked = read_restyled(config.table, config.limit)
    if config.output is not None:
        check_writable(config.output)  # before any work
    tally, judge = Tally(reporter), PictureJudge()
    photos: dict[Path, Judgement] = {}
    judged: list[JudgedPicture] = []
    reporter.begin(len(asked), "pictures", "looking")
    for one in asked:
        try:
            judged.append(_look(one, judge, photos))
            reporter.advance(one.path.name)
        except FaceVCError as error:
            tally.fail(str(one.path), str(error))
    if not judged:
        raise FaceVCError(
            f"{config.table}: expected pictures with faces, found none. The first: {tally.failures[0][1]}"
        )
    groups = measure_restyled(judged, config.seed)
    data = describe_groups(groups, BETTER, {"pictures": len(judged), "photos": len(photos)})
    save_groups(config.output, groups, data)
    return tally.summarise(config.output, None, **data)


def _look(one: RestyledPicture, judge: PictureJudge, photos: dict[Path, Judgement]) -> JudgedPicture:
    """photos: what was seen before, which is filled."""
    register = 0.5 if one.register is None else one.register
    if one.photo not in photos:
        photos[one.photo] = judge.judge(load_image(one.photo), np.zeros(DLIB_DIM, np.float32), register)
    before = photos[one.photo]
    return JudgedPicture(one, before, judge.judge(load_image(one.path), before.descriptor, register))
