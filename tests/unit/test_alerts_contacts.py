"""paging.yml: who is told, read strictly, with secrets by path only."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from alerts.commands import app
from alerts.contacts import SECRET_KEYS, Contacts, Email, PagerDuty, Webhook, read_contacts
from outbound_slo.vocabulary.alerts import Priority
from outbound_slo.vocabulary.mistakes import UserMistake

HOOK = {"kind": "webhook", "url": "https://pager.example.com/x"}
SMTP = {"smarthost": "mail.example.com:587", "from": "alerts@example.com"}
HOURS = {"time_zone": "Europe/Rome", "days": ["monday"], "from": "09:00", "to": "17:30"}


def write(directory: Path, l1: dict[str, Any] | None = None, **sections: object) -> Path:
    """Write a file that is right, but for what is given."""
    roles = ("l2", "l3", "tickets", "dead_mans_switch")
    receivers = {"l1": [l1 or HOOK], **{role: [HOOK] for role in roles}}
    path = directory / "paging.yml"
    path.write_text(yaml.safe_dump({"receivers": receivers, **sections}), encoding="utf-8")
    return path


def test_a_file_is_read_as_it_says(tmp_path: Path) -> None:
    pager = {"kind": "pagerduty", "routing_key_file": "/s/key"}

    contacts = read_contacts(write(tmp_path, pager, smtp=SMTP, working_hours=HOURS))

    assert contacts.l1 == (PagerDuty("/s/key"),)
    assert contacts.l2 == (Webhook("https://pager.example.com/x"),)
    assert (contacts.l4, contacts.second_way) == ((), ())
    assert contacts.smtp is not None
    assert (contacts.smtp.sender, contacts.smtp.require_tls) == ("alerts@example.com", True)
    assert contacts.working_hours is not None
    assert contacts.working_hours.priorities == (Priority.P3,)


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_a_secret_in_the_file_is_refused_by_name_and_not_repeated(key: str, tmp_path: Path) -> None:
    with pytest.raises(UserMistake) as caught:
        read_contacts(write(tmp_path, {**HOOK, key: "hunter2"}))

    assert "paging.yml: receivers.l1[0]." + key in str(caught.value)
    assert SECRET_KEYS[key] in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("l1", "said"),
    [
        ({"kind": "sms", "to": "1"}, 'l1[0].kind is "sms"'),
        ({"url": "https://x"}, "receivers.l1[0] lacks kind"),
        ({"kind": "webhook"}, "receivers.l1[0] lacks url"),
        ({**HOOK, "uri": "x"}, "has the key uri"),
        ({**HOOK, "channels": ["sms"]}, "l1[0].channels means nothing there"),
        ({**HOOK, "token_file": "token"}, 'l1[0].token_file is "token"'),
        ({"kind": "webhook", "url": "pager"}, "l1[0].url 'pager' is no address"),
        ({"kind": "webhook", "url": "https://me:pw@x/"}, "l1[0].url has a user or a password"),
        ({"kind": "webhook", "url": "https://x/?token=pw"}, "has a secret in its address: token"),
        ({"kind": "webhook", "url": "https://hooks.slack.com/services/T/B/X"}, "secret of Slack's"),
        ({"kind": "webhook", "url": "https://graph.facebook.com/v1"}, "pages over graph.facebook"),
        ({"kind": "webhook", "url": "http://sender:8080/api"}, "pages over sender:8080"),
        ({"kind": "webhook", "url": "https://own.example.com:1/"}, "pages over own.example.com:1"),
        ({"kind": "email", "to": "nobody"}, "l1[0].to 'nobody' is no e-mail address"),
        (
            {"kind": "slack", "api_url_file": "/s", "channel": "{{ x }}"},
            'l1[0].channel is "{{ x }}". Expected: a Slack channel or user, in quotes; no braces',
        ),
    ],
)
def test_a_receiver_that_would_not_do_is_refused_in_one_line(
    l1: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = write(tmp_path, l1, smtp=SMTP, monitored=["sender:8080", "Own.example.com"])

    with pytest.raises(UserMistake) as caught:
        read_contacts(path)

    assert said in str(caught.value)
    assert "paging.yml" in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"smtp": {**SMTP, "smarthost": "mail"}}, "smtp.smarthost 'mail' is no host:port"),
        ({"smtp": {**SMTP, "smarthost": "smtp.sendgrid.net:587"}}, "pages over smtp.sendgrid.net"),
        ({"smtp": {**SMTP, "username": "u"}}, "has one of username and password_file"),
        ({"smtp": {**SMTP, "from": "x"}}, "smtp.from 'x' is no e-mail"),
        ({"working_hours": {**HOURS, "time_zone": "Mars/X"}}, "time_zone 'Mars/X' is not known"),
        ({"working_hours": {**HOURS, "to": "09:00"}}, "working_hours.to 09:00 is not after"),
        ({"working_hours": {**HOURS, "to": 1050}}, "Expected: a time in quotes"),
        ({"working_hours": {**HOURS, "days": ["mon"]}}, 'days[0] is "mon"'),
        ({"working_hours": {**HOURS, "priorities": ["P1"]}}, "pages never wait"),
        ({"receivers": {"l1": [HOOK]}}, "receivers lacks l2, l3, tickets, dead_mans_switch"),
        ({"mail": {}}, "has the key mail"),
        ({"monitored": ["https://own/x"]}, "monitored[0] 'https://own/x' is no host"),
        ({"monitored": ["own", "own:99999"]}, "monitored[1] 'own:99999' is no host"),
    ],
)
def test_a_section_that_would_not_do_is_refused_in_one_line(
    sections: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = write(tmp_path)
    document = yaml.safe_load(path.read_text("utf-8")) | sections
    path.write_text(yaml.safe_dump(document), encoding="utf-8")

    with pytest.raises(UserMistake) as caught:
        read_contacts(path)

    assert said in str(caught.value)


def test_mail_needs_a_mail_server(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match="no smtp"):
        read_contacts(write(tmp_path, {"kind": "email", "to": "a@example.com"}))


def test_everybody_is_every_contact_of_every_role() -> None:
    mail = Email("a@example.com")

    contacts = Contacts.at("https://p")

    assert mail not in contacts.everybody
    assert [each.url for each in contacts.everybody if isinstance(each, Webhook)] == [
        f"https://p/{role}" for role in ("l1", "l2", "l3", "l4", "tickets", "dead-mans-switch")
    ]


@pytest.mark.parametrize("address", ["pager", "ftp://pager", "http://"])
def test_write_refuses_a_pager_that_alertmanager_would_refuse(address: str, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["write", str(tmp_path / "etc"), f"--pager={address}"])

    assert isinstance(told.exception, UserMistake)
    assert f"The pager's address '{address}' is no address" in str(told.exception)
    assert not (tmp_path / "etc").exists()


def test_write_wants_one_answer_to_who_is_told(tmp_path: Path) -> None:
    told = CliRunner().invoke(
        app, ["write", str(tmp_path), "--pager=http://a", f"--paging={write(tmp_path)}"]
    )

    assert "--pager and --paging both say" in str(told.exception)
