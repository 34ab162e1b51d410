"""When a missing receipt says nothing: re-sends hold (decision 15)."""

from tests.integration.webhook_stand import WebhookStand, add_message, run_stand

WEBHOOK: dict[str, list[object]] = {"entry": []}


def test_resending_holds_while_signatures_fail_or_webhooks_are_silent(database: str) -> None:
    async def act(stand: WebhookStand) -> None:
        async def allowed(age: str = "10 minutes") -> bool:
            rows = await stand.ask(
                "SELECT outbound_resend_allowed('WHATSAPP', now() - %s::interval)", age
            )
            return bool(rows[0][0])

        assert await allowed()
        assert await stand.post_meta(WEBHOOK, "wrong") == 401
        assert not await allowed()
        assert await stand.post_meta(WEBHOOK) == 200
        assert await allowed()
        await stand.ask(
            "UPDATE provider_webhook_health SET last_accepted_at = now() - interval '11 minutes',"
            " last_rejected_at = now() - interval '15 minutes'"
        )
        # Quiet, but nothing was accepted since either: nobody had anything to tell.
        assert await allowed()
        add_message(database, "a", channel="SMS", provider_id="SM1")
        assert await allowed()
        add_message(database, "a", provider_id="wamid.1")
        assert not await allowed()
        # Its receipt had the time to come before the silence began.
        assert await allowed("14 minutes")
        # They come again, and bring what was held up; what is sent from now on has its own.
        await stand.ask("UPDATE outbound_attempt SET started_at = now() - interval '5 minutes'")
        stand.inbox._intake._accepted_noted.clear()
        assert await stand.post_meta(WEBHOOK) == 200
        assert not await allowed()
        assert await allowed("-1 second")
        await stand.ask(
            "UPDATE provider_webhook_health SET resumed_at = now() - interval '121 seconds'"
        )
        assert await allowed()
        # A quiet minute is no silence: nothing was accepted that had no receipt.
        await stand.ask(
            "UPDATE provider_webhook_health SET last_accepted_at = now() - interval '3 minutes'"
        )
        stand.inbox._intake._accepted_noted.clear()
        assert await stand.post_meta(WEBHOOK) == 200
        assert await allowed()

    run_stand(database, act)
