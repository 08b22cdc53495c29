"""`convert`: every source with every face (or voice); a manifest that `evaluate` reads and a rerun resumes from."""

from facevc_cli.batch.plan import Plan
from facevc_cli.batch.run import ConvertConfig, make_conversions, plan_rows
from facevc_cli.core.progress import SILENT, Reporter, Summary

__all__ = ["ConvertConfig", "run"]


def run(config: ConvertConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes the conversions and, into a folder, `manifest.csv` and `addresses.safetensors`, as `make_conversions` says."""
    return make_conversions(Plan(plan_rows(config, reporter=reporter)), config, reporter)
