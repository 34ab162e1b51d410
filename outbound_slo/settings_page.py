"""docs/settings.md: every environment variable, made from the settings themselves."""

from collections.abc import Iterator, Mapping

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from outbound_slo.settings import ALL_SETTINGS

PATH = "docs/settings.md"

_HEAD = """# Settings

Every setting is an environment variable, read once at the start. A variable that begins with
`OUTBOUND_`, `WHATSAPP_`, `TWILIO_` or `SENDGRID_` and is not listed here is refused, with the
nearest name that is. The names of runbook 002 are kept. This page is generated: `make generate`.
"""


def build_settings_page() -> Mapping[str, str]:
    """Build the page from the settings' names, defaults and limits."""
    parts = [_HEAD]
    for group in ALL_SETTINGS:
        title = group.__name__.removesuffix("Settings")
        parts.append(
            f"\n## {title}\n\n{group.__doc__}\n\n| Variable | Default | Form |\n|---|---|---|\n"
        )
        parts.extend(_rows(group.model_fields))
    return {PATH: "".join(parts)}


def _rows(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    for field in fields.values():
        alias = field.validation_alias
        # The general name before the special one, which is asked first.
        names = alias.choices[::-1] if isinstance(alias, AliasChoices) else []
        shown = ", ".join(f"`{name}`" for name in names)
        yield f"| {shown} | {_show_default(field)} | {_show_form(field)} |\n"


def _show_default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "required"
    if isinstance(value, SecretStr) or value is None or value == "":
        return "none"
    if isinstance(value, tuple):
        return "`" + ",".join(f"{part:g}" for part in value) + "`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _show_form(field: FieldInfo) -> str:
    limits = []
    for rule in field.metadata:
        for key, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            bound = getattr(rule, key, None)
            if bound is not None:
                limits.append(f"{sign} {bound:g}")
        pattern = getattr(rule, "pattern", None)
        if pattern:
            limits.append("matches `" + str(pattern).replace("|", "\\|") + "`")
    kind = _name_kind(field)
    text = ", ".join([kind, *limits])
    return f"{text}. {field.description}" if field.description else text


_KINDS = (
    ("SecretStr", "secret text"),
    ("datetime", "date or time in ISO 8601"),
    ("tuple", "seconds, comma between"),
    ("bool", "true or false"),
    ("int", "whole number"),
    ("float", "number"),
    ("ErrorPolicy", "`runbook` or `meta`"),
    ("TraceProtocol", "`http/protobuf` or `grpc`"),
    ("TracePipeline", "`lean` or `sdk`"),
)


def _name_kind(field: FieldInfo) -> str:
    shown = str(field.annotation)
    return next((name for part, name in _KINDS if part in shown), "text")
