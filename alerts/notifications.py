"""What a notification says: Alertmanager's templates, and in them who is called by which level."""

from importlib import resources
from typing import Final

from outbound_slo.vocabulary.alerts import LEVELS, Level

TEMPLATES_FILE: Final = "outbound.tmpl"
"""File of the templates, beside Alertmanager's configuration."""

_HEADER: Final = """\
{{- /*
Written by `outbound-slo generate` from alerts/notification.tmpl; changes made here do not last.
*/ -}}
"""


def render_templates() -> str:
    """Write the templates file."""
    text = resources.files("alerts").joinpath("notification.tmpl").read_text("utf-8")
    return f"{_HEADER}{text}{_name_levels()}"


def _name_levels() -> str:
    """Define who a level is; it is called together with those below it."""
    choices = "".join(
        f'{{{{ if eq .Labels.level "{level}" }}}}{_name_people(level)}{{{{ end }}}}'
        for level in Level
    )
    return f'{{{{ define "outbound.who" }}}}{choices}{{{{ end }}}}\n'


def _name_people(level: Level) -> str:
    called = [LEVELS[each].who for each in Level if each <= level]
    return f"level {level[1:]} ({', '.join(called)})"
