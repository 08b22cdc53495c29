"""The `Family` object of this family, which commands and checkpoints use."""

from importlib.resources import files

from facevc_cli.families.base import Family
from facevc_cli.families.cmpc.config import LIMITS, Config
from facevc_cli.families.cmpc.model import build_model
from facevc_cli.families.cmpc.training import PairTraining

FOLDER = files("facevc_cli.families.cmpc")

FAMILY = Family(
    name="cmpc",
    config=Config,
    build=build_model,
    trainings={"train": PairTraining},
    presets={name: (FOLDER / f"{name}.yaml").read_text(encoding="utf-8") for name in ("cmpc", "cmpc-resnet")},
    converts=False,
    limits=LIMITS,
)
