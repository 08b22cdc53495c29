"""Read another system's files by their names: a folder and a pattern give rows of a manifest."""

import re
from pathlib import Path, PurePosixPath

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.folders import PassedOver, walk_files
from facevc_cli.files.inputs import AUDIO_SUFFIXES
from facevc_cli.files.names import normalise_name

FIELDS = ("system", "source", "target", "face")
NEEDED = ("source", "target")
EXAMPLE = "'{source}__{target}.wav'"


def read_by_pattern(folder: Path, pattern: str) -> tuple[list[dict[str, str]], list[str]]:
    """Make sorted rows (system, source_id, target, face, converted) of the audio files below a folder, and notes for
    the user.

    A pattern with slashes is compared with as many parent folders as it names. A pattern without a suffix ignores the
    files' suffixes. A field matches one or more characters other than a slash, as few as possible. FaceVCError if no
    file matches, or two files give the same row.
    """
    expression = _compile_pattern(normalise_name(pattern))
    depth, suffixed = len(PurePosixPath(pattern).parts), PurePosixPath(pattern).suffix.lower() in AUDIO_SUFFIXES
    if not folder.is_dir():
        raise UsageError(
            f"{folder}: --pattern expects a folder of converted files, found none there. Give the folder, or leave "
            "--pattern out."
        )
    passed = PassedOver()
    files = walk_files(folder, AUDIO_SUFFIXES, passed)
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    others: list[str] = []
    for path in files:
        name = PurePosixPath(path.relative_to(folder).as_posix())
        found = expression.fullmatch(
            normalise_name("/".join((name if suffixed else name.with_suffix("")).parts[-depth:]))
        )
        if found is None:
            others.append(str(name))
            continue
        fields = {field: normalise_name(found.groupdict().get(field, "")) for field in FIELDS}
        fields["system"] = fields["system"] or folder.resolve().name
        known = rows.setdefault(
            tuple(fields.values()), {**fields, "source": "", "source_id": fields["source"], "converted": str(name)}
        )
        if known["converted"] != str(name):
            raise FaceVCError(
                f"{folder}: {known['converted']} and {name} both give "
                f"{', '.join(f'{k} {v!r}' for k, v in fields.items() if v)} by --pattern {pattern!r}. Add a field "
                "that tells them apart to the pattern, such as {system}/ or {face}."
            )
    if not rows:
        instead = f"found {len(files)} audio files, such as {others[0]!r}" if files else "found no audio files at all"
        raise FaceVCError(
            f"{folder}: expected files named like --pattern {pattern!r}, {instead}. Correct the pattern, for example "
            f"{EXAMPLE}."
        )
    note = (
        (
            f"{len(others)} of {len(files)} files are left out: --pattern {pattern!r} does not match their names, such "
            f"as {others[0]!r}"
        )
        if others
        else ""
    )
    return list(rows.values()), [*([note] if note else []), *(f"{folder}: {text}" for text in passed.list_notes())]


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile the pattern to a regular expression with one group per field.

    UsageError if a field is unknown, repeated or missing.
    """
    parts = re.split(r"\{([^{}]*)\}", pattern)
    literals, fields = parts[::2], parts[1::2]
    unknown = [field for field in fields if field not in FIELDS]
    if (
        unknown
        or len(set(fields)) < len(fields)
        or not set(NEEDED) <= set(fields)
        or any(c in text for text in literals for c in "{}")
    ):
        raise UsageError(
            f"--pattern {pattern!r}: expected the fields {{source}} and {{target}}, and {{system}} or {{face}} if "
            f"names have them, each once; found {', '.join(f'{{{field}}}' for field in fields) or 'none'}. For "
            f"example {EXAMPLE}."
        )
    groups = [f"(?P<{field}>[^/]+?)" for field in fields] + [""]
    return re.compile("".join(re.escape(text) + group for text, group in zip(literals, groups, strict=True)))
