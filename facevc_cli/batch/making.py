"""Makes the files of jobs with a loaded model, and says what became of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facevc_cli.batch.jobs import Job
from facevc_cli.batch.pipeline import convert_jobs
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Reporter
from facevc_cli.manifest.manifest import Addresses, Line
from facevc_cli.provenance.metadata import describe_provenance
from facevc_cli.provenance.saving import save_converted

if TYPE_CHECKING:
    from facevc_cli.batch.run import ConvertConfig


@dataclass(frozen=True)
class Made:
    """What became of a job: columns of the manifest, and the error if it failed."""

    job: Job
    columns: Line
    error: FaceVCError | None = None


def make_resolver(
    converter: Converter, config: "ConvertConfig", addresses: Addresses, reporter: Reporter
) -> VoiceResolver:
    pitch, traits = config.voice_options.parse_pitch(), config.voice_options.parse_traits()
    return VoiceResolver(converter, config.temperature, addresses, reporter, pitch, traits)


def make_files(
    keys: Mapping[Job, str], resolver: VoiceResolver, config: "ConvertConfig", record: Callable[[Made], None]
) -> None:
    """Makes the file of each job. `record` is called after each.

    keys: of the jobs, in their order. Jobs of one source must follow each other. An error of `record` ends the work.
    """
    converter = resolver.converter
    model = converter.checkpoint

    def save(job: Job, wav: np.ndarray) -> None:
        source, spec = job.source, job.voice_spec
        made = describe_provenance(
            keys[job],
            model.config.name,
            model.weights_sha256,
            source.file or source.fingerprint(),
            resolver.used_files(spec),
            spec.kind,
            watermark=config.watermark,
            about=source.about,
        )
        save_converted(job.output, wav, converter.rate, made, source.name, str(spec), sidecar=config.sidecar)

    def finish(job: Job, seconds: float, error: FaceVCError | None) -> None:
        columns = {"model": model.config.name, "vocoder": converter.vocoder.name, "key": keys[job]}
        if error:
            columns |= {"status": "failed", "reason": str(error)}
        else:
            reading = resolver.read_voice(job.voice_spec)
            columns |= {"status": "done", "seconds": f"{seconds:.3f}", **(reading.describe() if reading else {})}
        record(Made(job, columns, error))

    convert_jobs(list(keys), converter, resolver, save, finish, config.batch_size)


def group_jobs(jobs: Sequence[Job], most: int) -> list[list[Job]]:
    """Groups jobs that follow each other by their source, in groups of at most `most`."""
    groups: list[list[Job]] = []
    for job in jobs:
        if not groups or groups[-1][0].source != job.source or len(groups[-1]) == most:
            groups.append([])
        groups[-1].append(job)
    return groups
