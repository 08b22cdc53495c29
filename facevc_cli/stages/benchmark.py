"""`benchmark`: makes the conversions of a benchmark, with its baselines and damaged faces."""

from facevc_cli.batch.run import make_conversions
from facevc_cli.benchmark.plan import BenchmarkConfig, plan_benchmark
from facevc_cli.core.progress import SILENT, Reporter, Summary

__all__ = ["BenchmarkConfig", "run"]


def run(config: BenchmarkConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes the files that `convert` writes.

    The manifest also has rows for baselines and damaged faces, and the columns of the tables.
    """
    return make_conversions(plan_benchmark(config, reporter), config.conversions, reporter, system=config.system)
