"""`facevc benchmark`."""

from facevc_cli.cli.benchmark_options import BenchmarkOptions
from facevc_cli.cli.convert import run_conversions
from facevc_cli.cli.option_fields import takes_fields_of


@takes_fields_of(BenchmarkOptions)
def benchmark(options: BenchmarkOptions) -> None:
    """Convert sources with faces for a benchmark, and add baselines and damaged faces to compare with.

    It makes the same files as convert. The manifest also has baselines, damaged faces and the tables' columns about the
    people, so that 'facevc evaluate' can measure the effect of the face.

    Examples:

        facevc benchmark wavs/ --face faces/ -o benchmark/ --baseline shuffled-faces --degrade blur=4

        facevc benchmark wavs/ --face faces/ -o out/ --protocol held-out --labels people.csv --sources texts.csv
    """
    from facevc_cli.stages.benchmark import BenchmarkConfig, run

    run_conversions(
        options,
        lambda conversions, reporter: run(
            BenchmarkConfig(
                conversions=conversions,
                baselines=tuple(options.baselines or ()),
                degrade=tuple(options.degrade or ()),
                labels=options.labels,
                sources_table=options.sources_table,
                protocol=options.protocol,
                system=options.system,
                seed=options.seed,
            ),
            reporter,
        ),
    )
