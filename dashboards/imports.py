"""Puts dashboards into a Grafana: first sees what is there, then changes what is different."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from dashboards.grafana import GrafanaApi, Saved
from outbound_slo.vocabulary.alerts import Dashboard
from outbound_slo.vocabulary.mistakes import UserMistake

FOLDER_TITLE: Final = "Outbound messages"
"""The folder of the dashboards; the provisioned one has the same title and uid."""

TOP: Final = "General"
"""What Grafana calls the place outside of all folders."""

_LONGEST_UID: Final = 40
_OF_GRAFANA: Final = frozenset({"id", "version"})


class Change(StrEnum):
    """What an import does with a dashboard."""

    CREATE = "create"
    REPLACE = "replace"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Folder:
    """Where dashboards go.

    Attributes:
        uid: Its uid; empty for the top.
        title: Its title.
        exists: Whether Grafana has it.

    """

    uid: str
    title: str
    exists: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One dashboard.

    Attributes:
        uid: Its uid.
        document: Its JSON.
        change: What is done with it.
        version: The version that is replaced; 0 where there is none.
        folder: Uid of the folder in which it will be.

    """

    uid: str
    document: Mapping[str, Any]
    change: Change
    version: int
    folder: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import will do.

    Attributes:
        folder: The folder of what is created, and of what is moved.
        steps: The dashboards, in order.

    """

    folder: Folder
    steps: Sequence[Step]

    @property
    def creates_folder(self) -> bool:
        """Whether the folder is needed and not there."""
        used = {step.folder for step in self.steps if step.change is not Change.UNCHANGED}
        return not self.folder.exists and self.folder.uid in used


def make_plan(
    api: GrafanaApi, documents: Mapping[str, Mapping[str, Any]], folder: str | None
) -> Plan:
    """See what is there and what has to be done. Changes nothing.

    Args:
        api: The Grafana.
        documents: The dashboards by uid.
        folder: Title of the folder; None: what is there stays where it is, and what is new goes
            to `FOLDER_TITLE`.

    Raises:
        UserMistake: Grafana can't be asked, or reads one of them from a file.

    """
    goal = _find_folder(api, folder or FOLDER_TITLE)
    steps = [_plan(api, uid, document, goal, folder) for uid, document in documents.items()]
    return Plan(goal, steps)


def carry_out(
    api: GrafanaApi, plan: Plan, message: str, tell: Callable[[Step, Saved | None], None]
) -> None:
    """Do what a plan says.

    Args:
        api: The Grafana.
        plan: What to do.
        message: What Grafana's list of versions says about it.
        tell: Called after each dashboard; without `Saved` where it was left as it is.

    Raises:
        UserMistake: Something failed; says which dashboards are in and which are not.

    """
    done: list[str] = []
    try:
        if plan.creates_folder:
            api.create_folder(plan.folder.uid, plan.folder.title)
        for step in plan.steps:
            saved = None
            if step.change is not Change.UNCHANGED:
                saved = api.save_dashboard(step.document, step.version, step.folder, message)
            tell(step, saved)
            done.append(step.uid)
    except UserMistake as mistake:
        missing = [step.uid for step in plan.steps if step.uid not in done]
        first = f"{missing[0]}: {mistake.what}" if missing else mistake.what
        state = f"Up to date: {', '.join(done) or 'none'}; not: {', '.join(missing)}"
        raise UserMistake(f"{first}. {state}", mistake.mend) from None


def name_folder(title: str) -> str:
    """Make a folder's uid of its title; the same for the same title.

    Folders and dashboards share their uids, so it is none of a dashboard's.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:_LONGEST_UID].strip("-")
    # "Messages!" is not "Messages": what a slug can't keep apart has a number instead.
    if slug != title.lower().replace(" ", "-") or not slug or slug in set(Dashboard):
        digest = hashlib.sha256(title.encode()).hexdigest()[:12]
        return f"folder-{digest}"
    return slug


def _find_folder(api: GrafanaApi, title: str) -> Folder:
    if title.lower() == TOP.lower():
        return Folder("", TOP, exists=True)
    uid = name_folder(title)
    found = api.find_folder(uid, title)
    return Folder(found or uid, title, found is not None)


def _plan(
    api: GrafanaApi, uid: str, document: Mapping[str, Any], goal: Folder, folder: str | None
) -> Step:
    stored = api.find_dashboard(uid)
    if stored is None:
        return Step(uid, document, Change.CREATE, 0, goal.uid)
    place = stored.folder if folder is None else goal.uid
    if _strip(stored.document) == _strip(document) and stored.folder == place:
        return Step(uid, document, Change.UNCHANGED, stored.version, place)
    if stored.provisioned:
        raise UserMistake(
            f"Grafana reads {uid} from a provisioned file and saves no other",
            "Change that file, or remove it from the provisioning",
        )
    return Step(uid, document, Change.REPLACE, stored.version, place)


def _strip(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in _OF_GRAFANA}
