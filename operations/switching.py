"""The changes that pause and resume channels (002, circuit breaker activation), and the drain."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from operations.change import Applied, Group, Survey
from operations.output import show_age
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.audit import Operation
from sender.switches import (
    EVERYTHING,
    Load,
    Switch,
    count_in_flight,
    count_load,
    enable_account,
    find_channels,
    find_writers,
    pause,
    read_accounts,
    read_switches,
    resume,
)

_LOOK_S = 0.2
_COUNT_MS = 3000
_HEADINGS = ("Switch", "Now", "Due", "In flight")


def name_switch(channel: str) -> str:
    """Write a switch for people: `whatsapp`, `everything`."""
    return "everything" if channel == EVERYTHING else channel.lower()


@dataclass(frozen=True, slots=True)
class Pause:
    """The change that pauses a channel, or all.

    Attributes:
        command: As typed after `outbound-slo ops`.
        channel: The switch.
        seconds: How long; None until somebody resumes it.
        reason: Why, for those who wonder.

    """

    command: str
    channel: str
    seconds: float | None = None
    reason: str | None = None
    undoes: int | None = None

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return {"channel": self.channel, "seconds": self.seconds, "reason": self.reason}

    def survey(self, connection: psycopg.Connection) -> Survey:
        """See `Change`."""
        now = _find(connection, self.channel)
        same = now.paused and self.seconds is None and now.until is None
        keys = [] if same and self.reason in {None, now.reason} else [self.channel]
        end = f"for {show_age(self.seconds)}" if self.seconds else "until somebody resumes it"
        return Survey(
            keys,
            _name_noun(self.channel),
            f"to pause: {name_switch(self.channel)}, {end}. Senders claim nothing more; what is in "
            "flight ends, and what waits is kept",
            _HEADINGS,
            (_describe(connection, now),),
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        done = sum(
            pause(connection, key, operation, seconds=self.seconds, reason=self.reason)
            for key in keys
        )
        return _tell(done, keys)


@dataclass(frozen=True, slots=True)
class Resume:
    """The change that ends a pause."""

    command: str
    channel: str
    undoes: int | None = None

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return {"channel": self.channel}

    def survey(self, connection: psycopg.Connection) -> Survey:
        """See `Change`."""
        now = _find(connection, self.channel)
        return Survey(
            [self.channel] if now.paused else [],
            _name_noun(self.channel),
            f"to resume: {name_switch(self.channel)}. Senders claim at once, within the channel's "
            "limits",
            _HEADINGS,
            (_describe(connection, now),),
            tuple(find_other_pauses(read_switches(connection), self.channel)),
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        return _tell(sum(resume(connection, key, operation) for key in keys), keys)


@dataclass(frozen=True, slots=True)
class AccountSwitch:
    """The change that switches one organisation's WhatsApp on or off."""

    command: str
    org: str
    enabled: bool
    undoes: int | None = None

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return {"org": self.org, "enabled": self.enabled}

    def survey(self, connection: psycopg.Connection) -> Survey:
        """See `Change`.

        Raises:
            UserMistake: The organisation has no account.

        """
        found = read_accounts(connection, self.org)
        if not found:
            raise UserMistake(
                f"{self.org} has no row in whatsapp_provider_config",
                "Without one it sends through the environment's account: pause the channel",
            )
        [load] = count_load(connection, ["WHATSAPP"], self.org)
        now = "enabled" if found[0].enabled else "disabled"
        return Survey(
            [] if found[0].enabled == self.enabled else [self.org],
            "accounts",
            f"to {'enable' if self.enabled else 'disable'}: whatsapp of {self.org}",
            _HEADINGS,
            (Group((self.org, now, load.due, load.in_flight), 1),),
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        done = sum(enable_account(connection, key, operation, enabled=self.enabled) for key in keys)
        return _tell(done, keys)


def find_other_pauses(switches: Sequence[Switch], resumed: str) -> list[str]:
    """Tell what stays paused when a switch is resumed."""
    others = [each for each in switches if each.paused and each.channel != resumed]
    if resumed == EVERYTHING:
        return [
            f"{each.channel.lower()} was paused by itself and stays so: outbound-slo ops channel "
            f"resume {each.channel.lower()}"
            for each in others
        ]
    if any(each.channel == EVERYTHING for each in others):
        return ["everything is stopped and stays so: outbound-slo ops resume"]
    return []


@dataclass(frozen=True, slots=True)
class Drain:
    """How far a pause has emptied its channel.

    Attributes:
        in_flight: Messages whose answer a sender still awaits; None where the database took too
            long to count them.
        claims: Claims under way that may not have seen the switch.

    """

    in_flight: int | None
    claims: int

    @property
    def done(self) -> bool:
        """Whether nothing goes out any more."""
        return self.in_flight == 0 and not self.claims


def wait_for_drain(
    connection: psycopg.Connection,
    channels: Sequence[str],
    patience_s: float,
    *,
    org: str | None = None,
    on_look: Callable[[int], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Drain:
    """Wait until nothing is in flight, and no claim is under way that had not seen the switch.

    Args:
        connection: In autocommit, after the switch was turned.
        channels: Which.
        patience_s: Seconds to wait at most.
        org: One organisation; None for all.
        on_look: Told how many are in flight, at each look.
        sleep: Waits some seconds.
        clock: Seconds.

    """
    began = clock()
    writers = find_writers(connection)
    while True:
        # Claims first: what one has taken when it ends is in flight then.
        flying = _count_in_flight(connection, channels, org)
        on_look(flying or 0)
        drain = Drain(flying, len(writers))
        if drain.done or clock() - began >= patience_s:
            return drain
        sleep(_LOOK_S)
        writers &= find_writers(connection)


def _count_in_flight(
    connection: psycopg.Connection, channels: Sequence[str], org: str | None
) -> int | None:
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL statement_timeout = {_COUNT_MS}".encode())
            return count_in_flight(connection, channels, org)
    except psycopg.errors.QueryCanceled:
        return None


def count_due(loads: Sequence[Load], switches: Sequence[Switch]) -> int:
    """Count messages that were due, leaving out channels that are paused still."""
    held = {each.channel for each in switches if each.paused}
    if EVERYTHING in held:
        return 0
    return sum(load.due for load in loads if load.channel not in held)


def _name_noun(switch: str) -> str:
    return "switch settings" if switch == EVERYTHING else "channels"


def _find(connection: psycopg.Connection, channel: str) -> Switch:
    return next(each for each in read_switches(connection) if each.channel == channel)


def _describe(connection: psycopg.Connection, switch: Switch) -> Group:
    loads = count_load(connection, find_channels(switch.channel))
    now = "paused" if switch.paused else "open"
    due, flying = sum(load.due for load in loads), sum(load.in_flight for load in loads)
    return Group((name_switch(switch.channel), now, due, flying), 1)


def _tell(done: int, keys: Sequence[Any]) -> Applied:
    return Applied(done, {"already_so": len(keys) - done} if done < len(keys) else {})
