"""`evaluate`: measures the conversions of one or more systems.

Writes every metric with its interval, and a page with players.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facevc_cli.core.engines.base import Engine
from facevc_cli.core.engines.registry import open_engine
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.evaluation.cache import choose_cache_folder
from facevc_cli.evaluation.evaluation import Evaluation, measure
from facevc_cli.evaluation.figures import check_columns, explain_missing
from facevc_cli.evaluation.judges import RESEMBLYZER, Judges, choose_judges
from facevc_cli.evaluation.listening import JudgeAnswers
from facevc_cli.evaluation.listening_items import choose_kinds
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.registry import load_metrics
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.evaluation.report.plots import are_plots_available
from facevc_cli.evaluation.results import COLUMNS, to_json, to_rows
from facevc_cli.evaluation.tables import read_conversions
from facevc_cli.evaluation.threshold import Threshold, calibrate
from facevc_cli.files.atomic import check_writable, write_text
from facevc_cli.files.tables import read_table, resolve, write_table
from facevc_cli.manifest.contract import ADDRESSES
from facevc_cli.manifest.conversion import Conversion

MANY = 1000  # conversions from which the time is told


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """manifest: the file, or the folder of a manifest.csv.

    With `pattern` it is a folder of files that are described by their names.

    recogniser: auto (the packaged one if it is installed), none, the folder of a CTranslate2 Whisper model, or a
    model's name.
    """

    manifest: Path
    output: Path | None = None
    labels: Path | None = None
    sources: Path | None = None
    recogniser: str = "auto"
    language: str | None = None  # the spoken language, such as "en"; None: recognised for each source
    naturalness: bool = True
    independent_judges: bool = True  # also compare voices by the judges that trained no model here, if installed
    calibrate: Path | None = None
    seed: int = 0
    engine: str = "local"  # where the judges work, as --engine names it
    jobs: int = 0  # processes, or workers of the engine; 0: one per CPU
    limit: int | None = None
    pattern: str | None = None
    by: tuple[str, ...] = ()  # columns to slice by
    speaker_judge: str = RESEMBLYZER
    html: bool = True
    grid: int = 8  # largest number of sources, and of faces, with players on the page
    listening_test: Path | None = None
    listening_items: int = 30
    questions: tuple[str, ...] = ()  # of the listening test: naturalness, voices, faces; empty: the first two
    answers: tuple[Path, ...] = ()
    metrics: tuple[str, ...] = ()  # names of entry points of other packages


def run(config: EvaluateConfig, reporter: Reporter = SILENT, judges: Judges | None = None) -> Summary:
    """Measures every system of the manifest.

    Writes metrics.json, metrics.csv and report.html into the output folder, if there is one.

    judges: used instead of the judges that the config names.
    Summary.data has the content of metrics.json: the result of `evaluation.results.to_json`, `speaker_judge`,
    `independent_judges` and `excluded`. If there are answers of listeners, it also has `listening` (label -> MOS, CPR).
    A file that cannot be read is a failure. Its conversions do not count.
    """
    choose_kinds(config.questions)
    with open_engine(config.engine) as engine:
        return _measure(config, reporter, judges, engine)


def _measure(config: EvaluateConfig, reporter: Reporter, judges: Judges | None, engine: Engine) -> Summary:
    started = time.monotonic()
    added = load_metrics(config.metrics)
    found = read_conversions(config.manifest, config.labels, config.sources, config.limit, config.pattern)
    for folder in (config.output, config.listening_test.parent if config.listening_test else None):
        if folder is not None:
            check_writable(folder)  # before any work
    tally, notes = Tally(reporter), found.notes + check_columns(config.by, found.conversions)
    if judges is None:
        judges = choose_judges(
            config.speaker_judge,
            config.recogniser,
            config.language,
            config.naturalness,
            config.independent_judges,
            notes,
        )
    cache = choose_cache_folder(config.manifest, config.output)
    listening = JudgeAnswers(judges, cache, tally, config.jobs, engine)
    voices, independent = listening.hear_all_voices(_list_files(found.conversions))
    heard = [c for c in found.conversions if c.converted in voices]
    if not heard:
        raise FaceVCError(
            f"{config.manifest}: none of its {len(found.conversions)} converted files can be read. The first: "
            f"{tally.failures[0][1] if tally.failures else 'unknown'}"
        )
    threshold = _find_threshold(config, listening, judges)
    if threshold is None:
        notes.append(
            f"SHR and SDR are off: no threshold is known for {judges.name} (pass real recordings with --calibrate)"
        )
    evidence = replace(_gather_evidence(heard, voices, threshold, listening, judges), independent=independent)
    evaluation = measure(
        heard, evidence, config.by, added=added, lost=found.lost, threshold=threshold, seed=config.seed
    )
    notes += evaluation.notes
    notes += explain_missing(evaluation.systems, evaluation.slices, heard, evidence)
    if config.output is not None and config.html and not are_plots_available():
        notes.append(
            f"the page has no plots: they need matplotlib and scipy. Install them with {install_command('eval')}"
        )
    evaluation = replace(evaluation, notes=notes)
    for name, reason in evaluation.failed.items():
        tally.fail(f"--metric {name}", reason)
    answers = _read_answers(config, evaluation)
    evaluation = replace(evaluation, systems=_join_answers(evaluation, answers))
    for note in evaluation.notes:
        reporter.note(note)
    data = {
        **to_json(evaluation),
        "speaker_judge": judges.name,
        "independent_judges": list(independent),
        "excluded": found.excluded,
    }
    if answers:
        data["listening"] = {
            label: {name: figure.to_json() for name, figure in figures.items()} for label, figures in answers.items()
        }
    _write(config, evaluation, json.dumps(data, indent=2, ensure_ascii=False) + "\n", reporter)
    if len(heard) >= MANY:
        reporter.note(f"{len(heard):,} conversions took {time.monotonic() - started:,.0f} s")
    return tally.summarise(config.output, None, **data)


def _gather_evidence(
    heard: Sequence[Conversion],
    voices: dict[str, HeardVoice],
    threshold: Threshold | None,
    listening: JudgeAnswers,
    judges: Judges,
) -> Evidence:
    converted = list(dict.fromkeys(c.converted for c in heard))
    sound = list(dict.fromkeys(converted + [c.source for c in heard if c.source in voices]))
    return Evidence(
        voices,
        threshold.theta if threshold else None,
        judges.gender,
        texts=listening.transcribe(heard, voices, judges.recogniser) if judges.recogniser else {},
        scores=listening.score_naturalness(sound, judges.naturalness) if judges.naturalness else {},
        dnsmos=listening.score_naturalness(sound, judges.dnsmos) if judges.dnsmos else {},
        distortions=listening.measure_distortions(heard),
        gender_voices=listening.hear_dvectors(converted) if judges.gender_needs_dvectors else None,
    )


def _list_files(conversions: Sequence[Conversion]) -> list[str]:
    """Lists every file that the judges hear, once: conversions, then sources, then real recordings of the targets."""
    names = [c.converted for c in conversions] + [c.source for c in conversions if c.source]
    return list(dict.fromkeys(names + [name for c in conversions for name in (*c.references, *c.driving)]))


def _find_threshold(config: EvaluateConfig, listening: JudgeAnswers, judges: Judges) -> Threshold | None:
    if config.calibrate is None:
        return judges.threshold
    table = config.calibrate
    rows = [(resolve(row["file"], table), row["speaker"]) for row in read_table(table, ["file", "speaker"])]
    voices = listening.hear_voices(list(dict.fromkeys(name for name, _ in rows)))
    heard = [(voices[name].embedding, speaker) for name, speaker in rows if name in voices]
    origin = f"{judges.name} on {len(heard)} recordings of {table.name}"
    return calibrate(
        np.stack([e for e, _ in heard]) if heard else np.zeros((0, 1)), [speaker for _, speaker in heard], origin
    )


def _read_answers(config: EvaluateConfig, evaluation: Evaluation) -> dict[str, dict[str, Figure]]:
    if not config.answers:
        return {}
    from facevc_cli.evaluation.listening_study import read_answers

    return read_answers(list(config.answers), evaluation.conversions)


def _join_answers(evaluation: Evaluation, answers: dict[str, dict[str, Figure]]) -> dict[str, dict[str, Figure]]:
    """Adds the listeners' figures to those of the systems, in the order of the metrics."""
    joined = {label: {**figures, **answers.get(label, {})} for label, figures in evaluation.systems.items()}
    return {
        label: {name: figures[name] for name in evaluation.metrics if name in figures}
        for label, figures in joined.items()
    }


def _write(config: EvaluateConfig, evaluation: Evaluation, metrics: str, reporter: Reporter) -> None:
    home = config.manifest if config.manifest.is_dir() else config.manifest.parent
    if config.output is not None:
        write_text(config.output / "metrics.json", metrics)
        write_table(config.output / "metrics.csv", to_rows(evaluation), COLUMNS)
    if config.output is not None and config.html:
        from facevc_cli.evaluation.report.page import write_page

        addresses = home / ADDRESSES
        title = f"Face-driven voices: {', '.join(dict.fromkeys(c.base for c in evaluation.conversions))}"
        write_page(
            evaluation,
            config.output / "report.html",
            title=title,
            grid=config.grid,
            addresses=addresses if addresses.is_file() else None,
        )
    if config.listening_test is not None:
        from facevc_cli.evaluation.listening_study import write_listening_test

        for note in write_listening_test(
            evaluation.conversions,
            config.listening_test,
            items=config.listening_items,
            seed=config.seed,
            kinds=choose_kinds(config.questions),
        ):
            reporter.note(note)
