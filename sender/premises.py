"""What has to be there before a sender starts."""

from itertools import product

from outbound_slo.database import connect, describe
from outbound_slo.vocabulary.mistakes import UserMistake

_NEWEST_TABLE = "outbound_switch"
"""Table that the latest migration made which a sender cannot do without."""

_RIGHTS = (
    ("SELECT, INSERT, UPDATE", ("outbound_message", "outbound_attempt", "provider_webhook")),
    ("SELECT", ("outbound_pause",)),
    ("SELECT, INSERT, UPDATE, DELETE", ("outbound_sender", "outbound_operation_row")),
    ("SELECT, INSERT, UPDATE", ("outbound_operation",)),
    # What a claim looks up before it lets a message go.
    (
        "SELECT",
        (
            "whatsapp_provider_config",
            "consentement",
            "contact_preferences",
            "whatsapp_session_window",
            "provider_webhook_health",
        ),
    ),
    ("SELECT, UPDATE", ("whatsapp_rate_limit",)),
    ("SELECT, INSERT, UPDATE, DELETE", ("outbound_idle_sender",)),
)


def check_database(url: str) -> None:
    """Make sure that a sender can work there: better not to start than to send and not to settle.

    Raises:
        UserMistake: The database can't be reached, has no outbox or an older one, or its role may
            not write there.

    """
    place = describe(url)
    with connect(url) as connection:
        found = connection.execute(
            "SELECT to_regclass('outbound_attempt') IS NOT NULL,       to_regclass(%s) IS NOT NULL",
            (_NEWEST_TABLE,),
        ).fetchone()
        if found is None or not found[0]:
            raise UserMistake(
                f"The database {place} has no outbox", "Run 'outbound-slo db migrate' first"
            )
        if not found[1]:
            raise UserMistake(
                f"The outbox in {place} is of an older version",
                "Run 'outbound-slo db migrate' first",
            )
        for rights, tables in _RIGHTS:
            for table, right in product(tables, rights.split(", ")):
                allowed = connection.execute(
                    "SELECT has_table_privilege(%s, %s)", (table, right)
                ).fetchone()
                if allowed != (True,):
                    role = connection.info.user
                    raise UserMistake(
                        f"The role {role} may not {right} in {table} of {place}",
                        f"As the owner: GRANT {rights} ON {table} TO {role}",
                    )
