"""YAML of rules and tests, read as promtool reads it.

promtool decodes into fields of known types: `values: 0x30` is thirty zeros to it, and a label
`version: 1.10` keeps its last digit. By YAML's own rules they would be 48 and 1.1, and whatever is
written again for promtool would be another file. A key that stands twice, which promtool refuses,
is refused here too: one of two blocks of assertions would be gone without a word.
"""

import json
import re
from typing import Any, Final

import yaml

from exporter.document import StrictConstruction

_TEXT: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_FLOAT: Final = "tag:yaml.org,2002:float"
# 1e3 is a number to Go's YAML, and a word to Python's.
_GO_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)$")
_TEXTS: Final = frozenset(
    {
        "alert",
        "alertname",
        "eval_time",
        "evaluation_interval",
        "expr",
        "for",
        "interval",
        "keep_firing_for",
        "name",
        "record",
        "series",
        "values",
    }
)
_MAPS_OF_TEXTS: Final = frozenset(
    {"annotations", "exp_annotations", "exp_labels", "external_labels", "labels"}
)


class _AsPromtool(StrictConstruction):
    """Keeps the letters of what promtool decodes into text."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ANN401 - PyYAML's own
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused below, with its line
            if key.value in _TEXTS:
                _keep(value)
            elif key.value in _MAPS_OF_TEXTS and isinstance(value, yaml.MappingNode):
                for name, text in value.value:
                    _keep(name)
                    _keep(text)
        return super().construct_mapping(node, deep)


# Ten times as fast where PyYAML was built with libyaml, as its wheels are.
_Quick: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _QuickLoader(_AsPromtool, _Quick):  # type: ignore[misc]  # chosen at run time
    """For files that are right."""


class _ExactLoader(_AsPromtool, yaml.SafeLoader):
    """For files that are not: it names the right line."""


for _loader in (_QuickLoader, _ExactLoader):
    _loader.add_implicit_resolver(_FLOAT, _GO_FLOAT, list("-+.0123456789"))


def parse(text: str) -> Any:  # noqa: ANN401 - YAML holds anything
    """Read one document; all of it is plain data.

    Raises:
        yaml.YAMLError: It is no YAML, has a key twice, or holds itself; names the line.
        RecursionError: It is nested too deeply.

    """
    try:
        return yaml.load(text, Loader=_QuickLoader)  # noqa: S506 - a subclass of a safe one
    except (yaml.YAMLError, RecursionError):
        return yaml.load(text, Loader=_ExactLoader)  # noqa: S506 - a subclass of a safe one


def write(document: object) -> str:
    """Write a document for promtool.

    JSON is YAML and is written a hundred times faster, but has no infinity.
    """
    try:
        return json.dumps(document, default=str, allow_nan=False)
    except ValueError:
        return yaml.safe_dump(document)


def _keep(node: yaml.Node) -> None:
    if isinstance(node, yaml.ScalarNode) and node.tag != _NULL:
        node.tag = _TEXT
