"""What all groups of settings have in common: read once, frozen, and nothing misspelt."""

import difflib
import os
from collections.abc import Mapping
from functools import cache
from typing import Self

from pydantic import AliasChoices, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from outbound_slo.vocabulary.mistakes import UserMistake

OWN_PREFIXES = ("OUTBOUND_", "WHATSAPP_", "TWILIO_", "SENDGRID_")
TOLERATED_PREFIXES = ("OUTBOUND_SLO_",)


def variable(name: str) -> AliasChoices:
    """Name the environment variable of a setting."""
    return AliasChoices(name)


class Environment(BaseSettings):
    """A group of settings; each module of this package that has any is imported with it."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=True)

    @classmethod
    def read(cls) -> Self:
        """Read the process's environment.

        Raises:
            UserMistake: A value has the wrong form, a required one is missing, or a variable
                with one of our prefixes is none of ours.

        """
        refuse_unknown(os.environ)
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = _blame(str(first["loc"][0]))
            if first["type"] == "missing":
                raise UserMistake(f"{name} is not set", "Set it in the environment") from error
            said = first["msg"].removeprefix("Value error, ")
            raise UserMistake(
                f"{name} has a value that does not fit: {said[:1].lower()}{said[1:]}",
                "docs/settings.md shows its form",
            ) from None


def _blame(name: str) -> str:
    """Give the general name of an OTLP variable unless its special form is what was set."""
    return name if name in os.environ else name.replace("_TRACES_", "_")


@cache
def known_variables() -> frozenset[str]:
    """Name every environment variable that some setting reads."""
    names: set[str] = set()
    for group in Environment.__subclasses__():
        for field in group.model_fields.values():
            alias = field.validation_alias
            if isinstance(alias, AliasChoices):
                names.update(str(choice) for choice in alias.choices)
    return frozenset(names)


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """Refuse variables that look like ours and are not.

    Raises:
        UserMistake: Such a variable is set; names it and the nearest one that exists.

    """
    known = known_variables()
    for name in sorted(environment):
        if not name.startswith(OWN_PREFIXES) or name in known:
            continue
        if name.startswith(TOLERATED_PREFIXES):
            continue
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
        hint = f"Did you mean {near[0]}? If not, unset it" if near else "Unset it"
        raise UserMistake(f"The environment sets {name}, which is no setting of ours", hint)
