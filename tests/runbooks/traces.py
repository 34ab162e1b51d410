"""The trace queries of runbook 000: shell blocks that ask Jaeger, taken from its text and run."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outbound_slo.embedded.binaries import Tools

HOST = "https://jaeger.atlas-immobilier.com"

_BLOCK = re.compile(r"^```bash\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{2,4} (?P<title>.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TraceBlock:
    """One shell block that asks Jaeger.

    Attributes:
        line: Where its fence stands, counted from 1.
        heading: The heading above it.
        text: What is between the fences.

    """

    line: int
    heading: str
    text: str

    @property
    def place(self) -> str:
        """Short name of where it stands: `000:1406`."""
        return f"000:{self.line}"


def extract_trace_blocks(text: str) -> list[TraceBlock]:
    """Find the blocks of runbook 000 that ask Jaeger, in the order of the text."""
    blocks = []
    for fence in _BLOCK.finditer(text):
        if HOST in fence["body"]:
            headings = list(_HEADING.finditer(text, 0, fence.start()))
            line = text.count("\n", 0, fence.start()) + 1
            blocks.append(TraceBlock(line, headings[-1]["title"], fence["body"]))
    return blocks


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs blocks with real curl and jq against a store, in a directory of their own."""

    store: str
    curl: Tools
    jq: Tools
    directory: Path

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script with nothing changed but the host."""
        environment = self.jq.environment(self.curl.environment({"LC_ALL": "C.UTF-8"}))
        programs = (Path(self.curl["curl"]).parent, Path(self.jq["jq"]).parent)
        search = [*map(str, programs), os.environ.get("PATH", os.defpath)]
        return subprocess.run(
            ["bash", "-c", script.replace(HOST, self.store)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env={**environment, "PATH": os.pathsep.join(search)},
        )


def read_stream(text: str) -> list[Any]:
    """Read what jq prints: JSON values one after the other."""
    decoder = json.JSONDecoder()
    values: list[Any] = []
    rest = text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        values.append(value)
        rest = rest[end:].lstrip()
    return values


def name_blocks(blocks: list[TraceBlock]) -> Mapping[str, TraceBlock]:
    """Index blocks by their places."""
    return {block.place: block for block in blocks}
