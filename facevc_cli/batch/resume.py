"""What an output folder has already: which conversions are still to do, and how a file that is in the way was made instead."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from facevc_cli.batch.jobs import Job
from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.hashes import hash_file
from facevc_cli.manifest.manifest import Manifest
from facevc_cli.provenance.metadata import describe_provenance, name_sidecar, read_key, read_provenance, write_sidecar


def jobs_waiting(jobs: Sequence[Job], keys: Mapping[Job, str], checkpoint: Path, manifest: Manifest, overwrite: bool) -> dict[Job, None]:
    """The jobs still to do; FaceVCError for a file made otherwise, unless it may be overwritten.

    A file says itself what it was made from: after a kill it may be finished without its row, and is made again.
    """
    waiting: dict[Job, None] = {}
    for job in jobs:
        if overwrite or not _has_content(job.output):
            waiting[job] = None
            continue
        if read_key(job.output) != keys[job]:
            raise FaceVCError(
                f"{job.output} is there already, made {_how(job, keys[job], checkpoint)}. Pass --overwrite to make it anew, or choose another output."
            )
        if manifest.path is not None and manifest.done.get(job.relative, {}).get("key") != keys[job]:
            waiting[job] = None
    return waiting


def add_sidecar(output: Path) -> None:
    """The sidecar of a file that is finished, where it has none: from what the file says of itself."""
    made = read_provenance(output)
    if made is not None and not name_sidecar(output).exists():
        write_sidecar(output, made)


def _has_content(path: Path) -> bool:
    """Whether there is a file that is not empty: a power cut may leave a name without content, which was never finished."""
    try:
        return os.stat(path).st_size > 0
    except (OSError, ValueError):  # a name that is too long, too: the item fails in its turn
        return False


def _how(job: Job, key: str, checkpoint: Path) -> str:
    """How a file differs from what the job would make, as far as it says so itself."""
    found = read_provenance(job.output)
    if found is None:
        return "not by this command"
    try:
        here = describe_provenance(key, "", hash_file(checkpoint / "model.safetensors"), job.source, job.voice_spec.files, job.voice_spec.kind)
    except FaceVCError:  # an input that cannot be read
        return "from another model, input or setting"
    several = len(job.voice_spec.files) > 1  # those without a usable face do not count, and which they are is not known yet
    others = {
        "model": found.model_sha256 != here.model_sha256,
        "source": found.source_sha256 != here.source_sha256,
        "face or voice": not several and (found.face_sha256, found.voice_sha256) != (here.face_sha256, here.voice_sha256),
    }
    different = [f"another {name}" for name, differs in others.items() if differs]
    return f"from {' and '.join(different)}" if different else "with other settings (vocoder, temperature, pitch, mark and the like)"
