"""`benchmark`: conversions as a benchmark draws them, what is put beside them, and what is known of the people in them."""

from facevc_cli.batch.run import make_conversions
from facevc_cli.benchmark.plan import BenchmarkConfig, plan_benchmark
from facevc_cli.core.progress import SILENT, Reporter, Summary

__all__ = ["BenchmarkConfig", "run"]


def run(config: BenchmarkConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes what `convert` writes; the manifest also has the rows of baselines and degraded faces, and the tables' columns."""
    return make_conversions(plan_benchmark(config, reporter), config.conversions, reporter, system=config.system)
