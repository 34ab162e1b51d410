"""Who operates the outbox by hand."""

from pydantic import Field

from outbound_slo.settings.environment import Environment, variable


class OperatorSettings(Environment):
    """Who asks for a change, as the audit and `updated_by` name them (001, 002)."""

    operator: str = Field(
        default="",
        max_length=80,
        validation_alias=variable("OUTBOUND_OPERATOR"),
        description="Who asks, in the audit and in `updated_by`; unset: the name of the login.",
    )
    ticket: str = Field(
        default="",
        max_length=80,
        validation_alias=variable("OUTBOUND_TICKET"),
        description="The incident's ticket, beside the operator's name.",
    )
