"""The requests that 000 to 002 make of the platform's HTTP face, and the answers that they show."""

import json
import re
from collections.abc import Iterator
from typing import Any

_EXAMPLE = re.compile(
    r"(?P<request>curl [^\n]*\n(?:[^\n]+\n)*)"
    r"\n# (?:Response|Example output):\n(?P<body>(?:#[^\n]*\n)+)"
)
_PATH = re.compile(r"(/api/v\d/[\w/-]+)")
_WORDS = r"(?:\\\n|'[^']*'|[^\n|'`>)])*"
_REQUEST = re.compile(
    rf"curl {_WORDS}(?:https://api\.atlas-immobilier\.com|http://localhost:8080)/"
    rf"(?:actuator|api){_WORDS}"
)


def extract_answers(text: str) -> Iterator[tuple[str, Any]]:
    """Find the answers, which stand as comments below a curl line.

    Gives each one's path, without host and query, and its JSON.
    """
    for example in _EXAMPLE.finditer(text):
        path = _PATH.search(example["request"])
        body = re.sub(r"^# ?", "", example["body"], flags=re.MULTILINE)
        if path is not None:
            yield path[1], json.loads(body)


def extract_requests(text: str) -> list[str]:
    """Find the curl commands, each once, without what their output is piped into."""
    return sorted({match[0].strip() for match in _REQUEST.finditer(text)})
