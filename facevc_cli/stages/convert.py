"""`convert`: converts every source to every face or voice.

`evaluate` reads its manifest, and a rerun resumes from it.
"""

from facevc_cli.batch.plan import Plan
from facevc_cli.batch.run import ConvertConfig, make_conversions, plan_rows
from facevc_cli.core.progress import SILENT, Reporter, Summary

__all__ = ["ConvertConfig", "run"]


def run(config: ConvertConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes the conversions. If the output is a folder, also writes `manifest.csv` and `addresses.safetensors`."""
    return make_conversions(Plan(plan_rows(config, reporter=reporter)), config, reporter)
