"""Which packs run on which database."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from exporter.pack import Pack, PackDatabase
from exporter.query_builder import DATABASE_LABEL
from exporter.references import check_references, follow_references
from outbound_slo.vocabulary.mistakes import UserMistake

OWN_KEY = "DATABASE_URL"


@dataclass(frozen=True, slots=True)
class Target:
    """A database and what is asked there.

    Attributes:
        name: Its name, the value of the label `database`; empty for the one of DATABASE_URL.
        key: What names its address in errors.
        packs: What to ask: each pack with the queries that run here.
        labels: Labels of every series from here; empty for the one of DATABASE_URL.
        address: Gives the connection string; looks references up anew each time.

    """

    name: str
    key: str
    packs: tuple[Pack, ...]
    labels: Mapping[str, str]
    address: Callable[[], str] = field(repr=False)


def own_target(conninfo: str, packs: Sequence[Pack]) -> Target:
    """Make the target of a plain connection string."""
    return Target("", OWN_KEY, tuple(packs), MappingProxyType({}), lambda: conninfo)


def plan_targets(
    packs: Sequence[Pack],
    own: Callable[[], str],
    named: Mapping[str, str] = MappingProxyType({}),
    environment: Mapping[str, str] = os.environ,
) -> tuple[Target, ...]:
    """Spread packs over databases.

    Args:
        packs: What to serve.
        own: Gives the connection string of DATABASE_URL; called only if some pack needs it.
        named: From the command line: addresses by name, on which packs without databases run
            instead.
        environment: Where `${NAME}` leads.

    Raises:
        UserMistake: A reference leads nowhere, or two packs mean different databases by a name.

    """
    entries: dict[str, PackDatabase] = {}
    chosen: dict[str, list[Pack]] = {}
    for name, url in named.items():
        trouble = check_references(url)
        if trouble is not None:
            raise UserMistake(f"--database {name} {trouble}", "Write ${NAME} or ${file:/path}")
        entries[name] = PackDatabase(name, url, MappingProxyType({}))
    for pack in packs:
        for database in pack.databases:
            if entries.setdefault(database.name, database) != database:
                raise UserMistake(
                    f"The pack {pack.name} means another database by {database.name} than "
                    "what is served beside it",
                    f"Rename databases.{database.name} in {pack.name}",
                )
            chosen.setdefault(database.name, []).append(pack.on(database.name))
        if not pack.databases:
            _refuse_label(pack, named)
            for name in named or [""]:
                chosen.setdefault(name, []).append(pack)
    targets = []
    for name, asked in chosen.items():
        if name:
            targets.append(_named_target(entries[name], asked, named, environment))
        else:
            targets.append(own_target(own(), asked))
    return tuple(targets)


def _named_target(
    database: PackDatabase,
    packs: Sequence[Pack],
    named: Mapping[str, str],
    environment: Mapping[str, str],
) -> Target:
    key = (
        f"--database {database.name}"
        if database.name in named
        else f"databases.{database.name}.url of the pack {packs[0].name}"
    )

    def address() -> str:
        return follow_references(database.url, key, environment)

    # A reference that leads nowhere is found out now and not with the first refresh.
    address()
    labels = {
        label: follow_references(text, key, environment) for label, text in database.labels.items()
    }
    return Target(
        name=database.name,
        key=key,
        packs=tuple(packs),
        labels=MappingProxyType({DATABASE_LABEL: database.name, **labels}),
        address=address,
    )


def _refuse_label(pack: Pack, named: Mapping[str, str]) -> None:
    for metric in pack.metrics:
        if named and DATABASE_LABEL in metric.labels:
            raise UserMistake(
                f"The metric {metric.name} of the pack {pack.name} has a label {DATABASE_LABEL}, "
                "which --database gives to every series",
                "Rename the pack's label",
            )
