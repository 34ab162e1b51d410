"""Generated files: every one, who builds it, and whether the committed text is still that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

Builder = Callable[[], Mapping[str, str]]


class Drift(StrEnum):
    """How a committed file differs from what its builder makes."""

    MISSING = "missing"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Finding:
    """A generated file that is not what it should be; `path` is relative to the project's root."""

    path: str
    drift: Drift


def build_all(builders: Sequence[Builder]) -> Mapping[str, str]:
    """Build every artefact.

    Raises:
        ValueError: Two builders make the same file.

    """
    files: dict[str, str] = {}
    for build in builders:
        for path, text in build().items():
            if path in files:
                raise ValueError(f"two builders make {path}")
            files[path] = text
    return files


def write_all(root: Path, files: Mapping[str, str]) -> Sequence[str]:
    """Write the files that differ; gives their paths."""
    changed = [finding.path for finding in find_drift(root, files)]
    for path in changed:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(files[path], encoding="utf-8")
    return changed


def find_drift(root: Path, files: Mapping[str, str]) -> Sequence[Finding]:
    """Compare the committed files with what their builders make."""
    findings: list[Finding] = []
    for path, text in sorted(files.items()):
        target = root / path
        if not target.is_file():
            findings.append(Finding(path, Drift.MISSING))
        elif target.read_text(encoding="utf-8") != text:
            findings.append(Finding(path, Drift.CHANGED))
    return findings
