"""Finds out which conversions an output folder has already, and how an existing file differs from the requested one."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from facevc_cli.batch.jobs import Job
from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.hashes import hash_file
from facevc_cli.manifest.manifest import Manifest
from facevc_cli.provenance.metadata import describe_provenance, name_sidecar, read_key, read_provenance, write_sidecar


def select_waiting(
    jobs: Sequence[Job], keys: Mapping[Job, str], checkpoint: Path, manifest: Manifest, overwrite: bool
) -> dict[Job, None]:
    """Selects the jobs that are not done.

    FaceVCError if a file differs from the requested one and may not be overwritten, or is what the job reads.

    Each file says what it was made from. After a kill a finished file may lack its row. It is then made again.
    """
    waiting: dict[Job, None] = {}
    for job in jobs:
        if not _has_content(job.output):
            waiting[job] = None
            continue
        if _is_input(job):
            raise FaceVCError(f"{job.output} is itself one of the inputs. Choose another output.")
        if overwrite:
            waiting[job] = None
            continue
        if read_key(job.output) != keys[job]:
            raise FaceVCError(
                f"{job.output} is there already, made {_describe_difference(job, keys[job], checkpoint)}. "
                "Pass --overwrite to make it anew, or choose another output."
            )
        if manifest.path is not None and manifest.done.get(job.relative, {}).get("key") != keys[job]:
            waiting[job] = None
    return waiting


def add_sidecar(output: Path) -> None:
    """Writes the sidecar of a finished file from the file's own metadata, if there is none."""
    made = read_provenance(output)
    if made is not None and not name_sidecar(output).exists():
        write_sidecar(output, made)


def _has_content(path: Path) -> bool:
    """Whether the file exists and is not empty. A power cut may leave an empty file, which was never finished."""
    try:
        return os.stat(path).st_size > 0
    except (OSError, ValueError):  # also a name that is too long: its job will fail and say so
        return False


def _is_input(job: Job) -> bool:
    """Whether the job would overwrite its own source, picture or recording."""
    inputs = [*job.voice_spec.files, *([job.source.file] if job.source.file else [])]
    return any(path.exists() and job.output.samefile(path) for path in inputs)


def _describe_difference(job: Job, key: str, checkpoint: Path) -> str:
    """Describes how a file differs from the job's result, as far as its metadata say."""
    found = read_provenance(job.output)
    if found is None:
        return "not by this command"
    try:
        spec = job.voice_spec
        weights_sha256 = hash_file(checkpoint / "model.safetensors")
        now = describe_provenance(
            key, "", weights_sha256, job.source.file or job.source.fingerprint(), spec.files, spec.kind
        )
    except FaceVCError:  # an input cannot be read
        return "from another model, input or setting"
    several = len(job.voice_spec.files) > 1  # pictures without a usable face do not count, and are not known yet
    others = {
        "model": found.model_sha256 != now.model_sha256,
        "source": found.source_sha256 != now.source_sha256,
        "face or voice": not several and (found.face_sha256, found.voice_sha256) != (now.face_sha256, now.voice_sha256),
    }
    different = [f"another {name}" for name, differs in others.items() if differs]
    return (
        f"from {' and '.join(different)}"
        if different
        else "with other settings (vocoder, temperature, pitch, mark and the like)"
    )
