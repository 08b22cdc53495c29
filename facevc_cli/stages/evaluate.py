"""`evaluate`: conversions of one or more systems -> every metric with its interval, side by side; a page to look at and listen to."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.evaluation.evaluation import Evaluation, measure
from facevc_cli.evaluation.figures import check_columns, explain_missing
from facevc_cli.evaluation.judges import RESEMBLYZER, Judges, choose_judges
from facevc_cli.evaluation.listening import JudgeAnswers
from facevc_cli.evaluation.metrics.evidence import Evidence
from facevc_cli.evaluation.metrics.registry import load_metrics
from facevc_cli.evaluation.metrics.voices import HeardVoice
from facevc_cli.evaluation.report.plots import are_plots_available
from facevc_cli.evaluation.results import COLUMNS, to_json, to_rows
from facevc_cli.evaluation.tables import read_conversions
from facevc_cli.evaluation.threshold import Threshold, calibrate
from facevc_cli.files.atomic import write_text
from facevc_cli.files.tables import read_table, resolve, write_table
from facevc_cli.manifest.contract import ADDRESSES
from facevc_cli.manifest.conversion import Conversion

CACHE_FOLDER = ".facevc-cache"


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """manifest: the file, the folder that holds manifest.csv, or with `pattern` a folder of files whose names say what they are.
    recogniser: auto (the packaged one where it is installed), none, a CTranslate2 Whisper folder, or a model's name."""

    manifest: Path
    output: Path | None = None
    labels: Path | None = None
    sources: Path | None = None
    recogniser: str = "auto"
    language: str | None = None  # spoken, such as "en"; None recognises each source's
    naturalness: bool = True
    calibrate: Path | None = None
    seed: int = 0
    jobs: int = 0  # processes; 0: one a processor
    limit: int | None = None
    pattern: str | None = None
    by: tuple[str, ...] = ()  # columns to slice by
    speaker_judge: str = RESEMBLYZER
    html: bool = True
    grid: int = 8  # sources and faces with players on the page, at most
    listening_test: Path | None = None
    listening_items: int = 30
    answers: tuple[Path, ...] = ()
    metrics: tuple[str, ...] = ()  # of other packages, by the names of their entry points


def run(config: EvaluateConfig, reporter: Reporter = SILENT, judges: Judges | None = None) -> Summary:
    """Measures every system of the manifest; with an output folder writes metrics.json, metrics.csv and report.html.

    `judges` replaces those that the config asks for. Summary.data is what metrics.json holds: what `metrics.results.to_json` gives,
    and speaker_judge, excluded, and with answers listening (label -> MOS, CPR). A file that cannot be heard is a failure; its
    conversions do not count.
    """
    added = load_metrics(config.metrics)
    found = read_conversions(config.manifest, config.labels, config.sources, config.limit, config.pattern)
    tally, notes = Tally(reporter), found.notes + check_columns(config.by, found.conversions)
    if judges is None:
        judges = choose_judges(config.speaker_judge, config.recogniser, config.language, config.naturalness, notes)
    listening = JudgeAnswers(judges, _cache_folder(config), tally, config.jobs)
    voices = listening.hear_voices(_files(found.conversions))
    heard = [c for c in found.conversions if c.converted in voices]
    if not heard:
        raise FaceVCError(
            f"{config.manifest}: none of its {len(found.conversions)} converted files can be heard. The first: "
            f"{tally.failures[0][1] if tally.failures else 'unknown'}"
        )
    threshold = _threshold(config, listening, judges)
    if threshold is None:
        notes.append(f"SHR and SDR are off: no threshold is known for {judges.name} (give real recordings with --calibrate)")
    evidence = _evidence(heard, voices, threshold, listening, judges)
    evaluation = measure(heard, evidence, config.by, added=added, lost=found.lost, threshold=threshold, seed=config.seed)
    notes += explain_missing(evaluation.systems, evaluation.slices, heard, evidence)
    if config.output is not None and config.html and not are_plots_available():
        notes.append(f"the page has no plots: they need matplotlib and scipy. Install them with {install_command('eval')}")
    evaluation = replace(evaluation, notes=notes)
    for name, reason in evaluation.failed.items():
        tally.fail(f"--metric {name}", reason)
    answers = _answers(config, evaluation)
    evaluation = replace(evaluation, systems=_joined(evaluation, answers))
    for note in evaluation.notes:
        reporter.note(note)
    data = {**to_json(evaluation), "speaker_judge": judges.name, "excluded": found.excluded}
    if answers:
        data["listening"] = {label: {name: figure.to_json() for name, figure in figures.items()} for label, figures in answers.items()}
    _write(config, evaluation, json.dumps(data, indent=2, ensure_ascii=False) + "\n", reporter)
    return tally.summary(config.output, None, **data)


def _evidence(heard: Sequence[Conversion], voices: dict[str, HeardVoice], threshold: Threshold | None, listening: JudgeAnswers, judges: Judges) -> Evidence:
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


def _files(conversions: Sequence[Conversion]) -> list[str]:
    """Every file to listen to, once: conversions, then sources, then real recordings of the targets."""
    names = [c.converted for c in conversions] + [c.source for c in conversions if c.source]
    return list(dict.fromkeys(names + [name for c in conversions for name in c.references]))


def _threshold(config: EvaluateConfig, listening: JudgeAnswers, judges: Judges) -> Threshold | None:
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


def _answers(config: EvaluateConfig, evaluation: Evaluation) -> dict[str, dict[str, Figure]]:
    if not config.answers:
        return {}
    from facevc_cli.evaluation.listening_study import read_answers

    return read_answers(list(config.answers), evaluation)


def _joined(evaluation: Evaluation, answers: dict[str, dict[str, Figure]]) -> dict[str, dict[str, Figure]]:
    """The systems' figures with the listeners' in one order."""
    joined = {label: {**figures, **answers.get(label, {})} for label, figures in evaluation.systems.items()}
    return {label: {name: figures[name] for name in evaluation.metrics if name in figures} for label, figures in joined.items()}


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
            evaluation, config.output / "report.html", title=title, grid=config.grid, addresses=addresses if addresses.is_file() else None
        )
    if config.listening_test is not None:
        from facevc_cli.evaluation.listening_study import write_listening_test

        for note in write_listening_test(evaluation, config.listening_test, items=config.listening_items, seed=config.seed):
            reporter.note(note)


def _cache_folder(config: EvaluateConfig) -> Path | None:
    """Beside the manifest, under the output where that cannot be written, else nowhere."""
    home = config.manifest if config.manifest.is_dir() else config.manifest.parent
    if os.access(home, os.W_OK):
        return home / CACHE_FOLDER
    return config.output / CACHE_FOLDER if config.output else None
