"""`facevc convert`."""

from dataclasses import replace

from facevc_cli.cli import convert_options as own
from facevc_cli.cli import options as opt
from facevc_cli.cli.pipes import piped
from facevc_cli.cli.report import run_stage


def convert(
    sources: opt.Sources,
    output: own.Out,
    faces: own.Faces = None,
    persons: own.Persons = None,
    mixes: own.Mixes = None,
    sweep: own.Sweep = None,
    voices: own.Voices = None,
    pitch: own.Pitch = "auto",
    pairs: own.Pairs = None,
    name: own.Name = "{source}__{face}.wav",
    checkpoint: opt.Checkpoint = None,
    vocoder: own.Vocoder = None,
    guidance: own.Guidance = None,
    temperature: own.Temperature = None,
    on_many: own.OnMany = "largest",
    baselines: own.Baselines = None,
    degrade: own.Degrade = None,
    labels: own.Labels = None,
    sources_table: own.SourcesTable = None,
    protocol: own.Protocol = None,
    system: own.System = None,
    device: opt.Device = "auto",
    seed: opt.Seed = 0,
    limit: opt.Limit = None,
    batch_size: own.BatchSize = None,
    watermark: own.Watermark = True,
    sidecar: own.Sidecar = False,
    overwrite: opt.Overwrite = False,
    dry_run: opt.DryRun = False,
    fail_fast: opt.FailFast = False,
    json: own.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    debug: opt.Debug = False,
) -> None:
    """Convert every source to the voice of every face. The output folder gets one file per pair, and a manifest.csv.

    Examples:

        facevc convert examples/speech.wav --face examples/face.jpg -o out.wav

        facevc convert wavs/ --face faces/ -o converted/ --name '{source}__{face}.flac'

        facevc convert speech.wav --person anna/ --pitch +2 -o anna.wav

        facevc convert speech.wav --mix 'a.jpg=.6 b.jpg=.4' --sweep 5 -o steps/

        facevc convert wavs/ --face faces/ -o benchmark/ --baseline shuffled-faces --degrade blur=4
    """
    from facevc_cli.conversion.voice_request import VoiceOptions, take_mix_words
    from facevc_cli.stages.convert import Benchmark, ConvertConfig, run

    words, mixes = take_mix_words(sources, mixes or ())
    with piped(words, output) as (named, out):
        config = ConvertConfig(
            tuple(named), out, tuple(faces or ()), tuple(voices or ()), pairs, checkpoint, vocoder, name, temperature, on_many, device, limit,
            overwrite, dry_run, fail_fast, system, Benchmark(tuple(baselines or ()), tuple(degrade or ()), labels, sources_table, protocol, seed),
            VoiceOptions(tuple(persons or ()), tuple(mixes), sweep, pitch, guidance), batch_size, watermark, sidecar,
        )  # fmt: skip
        shown = output if out is output else None  # the file behind a pipe is nobody's business
        run_stage(
            lambda reporter: replace(run(config, reporter), output=shown),
            json_out=json and shown is not None, json_lines=True, quiet=quiet, verbose=verbose, debug=debug,
        )  # fmt: skip
