"""`facevc evaluate`."""

from facevc_cli.cli import evaluate_options as own
from facevc_cli.cli import options as opt
from facevc_cli.cli.commands import register_command
from facevc_cli.cli.evaluate_faces import measure_association, measure_portraits
from facevc_cli.cli.evaluate_tables import show, show_association, show_portraits
from facevc_cli.cli.report import run_stage
from facevc_cli.core.errors import UsageError
from facevc_cli.core.progress import Reporter, Summary


@register_command("Use", 60)
def evaluate(
    manifest: own.Manifest = None,
    output: own.Output = None,
    pattern: own.Pattern = None,
    labels: own.Labels = None,
    sources: own.Sources = None,
    calibrate: own.Calibrate = None,
    answers: own.Answers = None,
    by: own.By = None,
    speaker_judge: own.SpeakerJudge = "resemblyzer",
    independent_judges: own.IndependentJudges = True,
    metric: own.AddedMetric = None,
    recogniser: own.Recogniser = "auto",
    language: own.Language = None,
    naturalness: own.Naturalness = True,
    html: own.Html = True,
    grid: own.Grid = 8,
    listening_test: own.ListeningTest = None,
    listening_items: own.ListeningItems = 30,
    question: own.Question = None,
    association: own.Association = None,
    portraits: own.Portraits = None,
    fid_network: own.FidNetwork = None,
    lpips_network: own.LpipsNetwork = None,
    system: own.System = None,
    seed: opt.Seed = 0,
    engine: opt.Engine = "local",
    jobs: opt.Jobs = 0,
    limit: opt.Limit = None,
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Measure conversions: SHO, SHR, SDO, SDR, gender accuracy and more, each with its 95 % interval over targets.

    With --association it measures instead how well models tell which face and which voice belong to one person. With
    --portraits it measures imagined faces, or restyled photos.

    Examples:

        facevc evaluate out/ -o report/ --labels people.csv --sources utterances.csv

        facevc evaluate others/ --pattern '{system}/{source}__{target}.wav' --recogniser none --json

        facevc evaluate --association pairs.csv --system starter=runs/train --system cmpc=runs/cmpc -o report/

        facevc evaluate --portraits faces/ --association pairs.csv -o report/

        facevc evaluate --portraits faces/ --listening-test test.html
    """

    def measure(reporter: Reporter) -> Summary:
        unused = {"MANIFEST": manifest, "--labels": labels, "--sources": sources, "--pattern": pattern}
        unused["--engine"] = None if engine == "local" else engine
        if portraits is not None:
            study = (listening_test, listening_items, tuple(question or ()), tuple(answers or ()))
            networks = (fid_network, lpips_network)
            return measure_portraits(
                portraits, association, system or (), output, (seed, jobs, limit), study, networks, unused, reporter
            )
        if fid_network or lpips_network:
            raise UsageError("--fid-network and --lpips-network measure --portraits. Pass it, too, or leave them out.")
        if association is not None:
            return measure_association(association, system or (), output, seed, jobs, unused, reporter)
        if system:
            raise UsageError(
                "--system names a model for --association or --portraits. Pass both, or leave --system out."
            )
        if manifest is None:
            raise UsageError("evaluate needs a MANIFEST of conversions, --association PAIRS.csv or --portraits TABLE.")
        from facevc_cli.stages.evaluate import EvaluateConfig, run

        config = EvaluateConfig(
            manifest=manifest,
            output=output,
            labels=labels,
            sources=sources,
            recogniser=recogniser,
            language=language,
            naturalness=naturalness,
            independent_judges=independent_judges,
            calibrate=calibrate,
            seed=seed,
            engine=engine,
            jobs=jobs,
            limit=limit,
            pattern=pattern,
            by=tuple(by or ()),
            speaker_judge=speaker_judge,
            html=html,
            grid=grid,
            listening_test=listening_test,
            listening_items=listening_items,
            questions=tuple(question or ()),
            answers=tuple(answers or ()),
            metrics=tuple(metric or ()),
        )
        return run(config, reporter)

    show_tables = show_portraits if portraits is not None else show if association is None else show_association
    run_stage(measure, json_out=json, quiet=quiet, verbose=verbose, debug=debug, show=show_tables)
