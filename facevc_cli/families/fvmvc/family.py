"""The `Family` object of this family, which commands and checkpoints use."""

from importlib.resources import files

from facevc_cli.families.base import Family
from facevc_cli.families.fvmvc.config import LIMITS, Config, upgrade_settings
from facevc_cli.families.fvmvc.distillation import Distillation
from facevc_cli.families.fvmvc.import_published import PublishedFile
from facevc_cli.families.fvmvc.model import build_model
from facevc_cli.families.fvmvc.trainings import FaceTraining, Pretraining


def _read_presets() -> dict[str, str]:
    paths = sorted(files("facevc_cli.presets").iterdir(), key=lambda path: path.name)
    return {p.name.removesuffix(".yaml"): p.read_text(encoding="utf-8") for p in paths if p.name.endswith(".yaml")}


FAMILY = Family(
    name="fvmvc",
    config=Config,
    build=build_model,
    trainings={"pretrain": Pretraining, "train": FaceTraining, "distill": Distillation},
    presets=_read_presets(),
    limits=LIMITS,
    upgrade=upgrade_settings,
    import_published=PublishedFile,
)
