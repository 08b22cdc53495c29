"""The `Family` object of this family, which commands and checkpoints use."""

from importlib.resources import files

from facevc_cli.families.base import Family
from facevc_cli.families.xfavot.config import LIMITS, Config
from facevc_cli.families.xfavot.model import build_model
from facevc_cli.families.xfavot.training import StyleTraining

PRESETS = ("xfavot", "xfavot-64")

FAMILY = Family(
    name="xfavot",
    config=Config,
    build=build_model,
    trainings={"train": StyleTraining},
    presets={
        name: (files("facevc_cli.families.xfavot") / f"{name}.yaml").read_text(encoding="utf-8") for name in PRESETS
    },
    limits=LIMITS,
)
