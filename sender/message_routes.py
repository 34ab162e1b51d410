"""The routes that queue a message, show it and send it again (001's retry scripts)."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import psycopg
import structlog
from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request, Response

from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import MessageStatus, Priority
from sender.admission import BEARER, OrgScope, read_scope
from sender.audit import Author, OperationState, begin_operation, finish_operation, note_progress
from sender.desk import Desk
from sender.enqueue import NewMessage
from sender.messages import (
    IdempotencyKey,
    KeyInUseError,
    MessageRequest,
    MessageState,
    QueuedMessage,
    queue_message,
    read_message,
)
from sender.problems import FieldFault, ProblemError, declare
from sender.requeue import (
    Caution,
    Objection,
    Refused,
    Requeued,
    foresee_refusals,
    requeue_messages,
)
from sender.shapes import LARGEST_ID, Answer, Flag, Moment, Question, ShortText
from tracing.propagation import NEW_TRACE, context_from, read_baggage
from tracing.setup import Tracing
from tracing.story import StorySpan

_log = structlog.get_logger()

PATH = "/api/v1/outbound/messages"

RETRY_COMMAND = "retry over HTTP"
"""What the audit calls a retry that came through these routes."""

Scope = Annotated[OrgScope, Depends(read_scope)]
MessageId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


@dataclass(frozen=True, slots=True)
class MessageRules:
    """Settings that the routes go by; seconds."""

    policy: ErrorPolicy
    recovery_window_s: float
    silence_s: float


class RetryRequest(Question):
    """What a retry may say; 001's scripts send no body at all."""

    force: Flag = False
    updated_by: ShortText | None = None


class RetryResult(Answer):
    """A message that is on the queue again; `ops undo` takes `operation_id`."""

    operation_id: int

    message_id: int
    status: MessageStatus
    previous_status: MessageStatus
    attempt_count: int
    max_attempts: int
    next_retry_at: Moment
    possible_duplicate: bool


def build_message_routes(desk: Desk, tracing: Tracing, rules: MessageRules) -> APIRouter:
    """Build the routes; `X-Org-Id` says whose messages a request is about."""
    router = APIRouter(
        prefix=PATH,
        tags=["messages"],
        dependencies=[Depends(BEARER)],
        responses=declare(401, 413, 422, 503),
    )
    _add_enqueue(router, desk, tracing)
    _add_read(router, desk, rules.policy)
    _add_retry(router, desk, tracing, rules)
    return router


def _add_enqueue(router: APIRouter, desk: Desk, tracing: Tracing) -> None:
    @router.post(
        "",
        status_code=HTTPStatus.CREATED,
        responses=declare(400, 409)
        | {200: {"model": QueuedMessage, "description": "The key's first request made this."}},
    )
    def enqueue_message(
        scope: Scope,
        asked: MessageRequest,
        request: Request,
        response: Response,
        idempotency_key: Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")] = None,
    ) -> QueuedMessage:
        """Queue a message; the same key and content again give the first one's id."""
        with _open_span(tracing, request) as span:
            message = _write_message(asked, scope, idempotency_key, request, span)
            span.tag(Tag.ORG_ID, message.org_id)
            try:
                queued = desk.work(lambda connection: queue_message(connection, message))
            except KeyInUseError:
                span.tags(_tell_status(HTTPStatus.CONFLICT))
                raise ProblemError(
                    HTTPStatus.CONFLICT,
                    f"The idempotency key {message.idempotency_key!r} has made another message. "
                    "Use a new key for a new message",
                ) from None
            except psycopg.errors.ForeignKeyViolation:
                fault = FieldFault(field="dossierId", message="there is no such dossier")
                raise ProblemError(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    f"dossierId: there is no dossier {message.dossier_id}",
                    errors=[fault],
                ) from None
            status = HTTPStatus.CREATED if queued.created else HTTPStatus.OK
            span.tags({Tag.MESSAGE_ID: queued.message_id, **_tell_status(status)})
        response.status_code = status
        response.headers["Location"] = f"{PATH}/{queued.message_id}"
        return queued


def _write_message(
    asked: MessageRequest,
    scope: OrgScope,
    key: str | None,
    request: Request,
    span: StorySpan,
) -> NewMessage:
    if key and asked.idempotency_key and key != asked.idempotency_key:
        raise _name_misfit("idempotencyKey", "differs from the header Idempotency-Key")
    org_id = asked.org_id or scope.org_id
    if org_id is None:
        raise _name_misfit("orgId", "is needed where X-Org-Id stands for all organisations")
    if scope.org_id is not None and org_id != scope.org_id:
        raise _name_misfit("orgId", "differs from the header X-Org-Id")
    baggage = read_baggage(request.headers.get("baggage"))
    return NewMessage(
        org_id,
        asked.channel,
        asked.to_recipient,
        template_code=asked.template_code,
        subject=asked.subject,
        payload=asked.payload or {},
        idempotency_key=key or asked.idempotency_key,
        dossier_id=asked.dossier_id,
        max_attempts=asked.max_attempts,
        scheduled_at=asked.scheduled_at,
        expires_at=asked.expires_at,
        priority=Priority[asked.priority],
        quiet_hours_override=asked.quiet_hours_override,
        session_id=baggage.get("sessionId"),
        run_id=baggage.get("run.id"),
        hypothesis_id=baggage.get("hypothesis.id"),
        traceparent=span.traceparent,
        created_by="api",
    )


def _name_misfit(field: str, message: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{field}: {message}",
        errors=[FieldFault(field=field, message=message)],
    )


def _add_read(router: APIRouter, desk: Desk, policy: ErrorPolicy) -> None:
    @router.get("/{message_id}", responses=declare(404))
    def show_message(scope: Scope, message_id: MessageId) -> MessageState:
        """Show where a message stands, its attempts, and what its error means."""
        with desk.look() as connection:
            found = read_message(connection, message_id, org_id=scope.org_id, policy=policy)
        if found is None:
            raise _miss(message_id)
        return found


def _add_retry(router: APIRouter, desk: Desk, tracing: Tracing, rules: MessageRules) -> None:
    @router.post("/{message_id}/retry", responses=declare(400, 404, 409))
    def retry_message(
        scope: Scope,
        message_id: MessageId,
        request: Request,
        asked: Annotated[RetryRequest | None, Body()] = None,
        force: Annotated[
            bool, Query(description="Send it again though the provider may have it.")
        ] = False,
    ) -> RetryResult:
        """Queue a message again, due at once, with a new budget if the old one is used up."""
        wanted = asked or RetryRequest()

        caution = Caution(rules.recovery_window_s, rules.silence_s, force or wanted.force)

        def requeue(connection: psycopg.Connection) -> tuple[int, Requeued | Refused]:
            return _requeue(connection, message_id, scope, caution, wanted.updated_by)

        with _open_span(tracing, request) as span:
            span.tags({Tag.MESSAGE_ID: message_id, Tag.ORG_ID: scope.org_id})
            operation_id, result = desk.work(requeue)
            refusal = _refuse(message_id, result) if isinstance(result, Refused) else None
            status = refusal.status if refusal else HTTPStatus.OK
            span.tags(_tell_status(status))
        if refusal:
            raise refusal
        assert isinstance(result, Requeued)  # noqa: S101 - the other case is a refusal
        _log.info(
            "message queued again",
            messageId=message_id,
            operationId=operation_id,
            previousStatus=result.previous_status.value,
            possibleDuplicate=result.possible_duplicate,
            traceId=span.trace_id,
        )
        return RetryResult(
            operation_id=operation_id,
            message_id=message_id,
            status=MessageStatus.QUEUED,
            previous_status=result.previous_status,
            attempt_count=result.attempt_count,
            max_attempts=result.max_attempts,
            next_retry_at=result.due_at,
            possible_duplicate=result.possible_duplicate,
        )


def _requeue(
    connection: psycopg.Connection,
    message_id: int,
    scope: OrgScope,
    caution: Caution,
    updated_by: str | None,
) -> tuple[int, Requeued | Refused]:
    """Requeue one message as an operation of its own; a refusal leaves no trace in the audit."""
    foreseen = foresee_refusals(connection, [message_id], caution, org_id=scope.org_id)
    if message_id in foreseen:
        return 0, foreseen[message_id]
    with connection.transaction() as attempt:
        operation = begin_operation(
            connection,
            RETRY_COMMAND,
            Author(updated_by or "api"),
            parameters={"message": message_id, "force": caution.force},
            planned=1,
        )
        result = requeue_messages(
            connection, [message_id], caution, operation, org_id=scope.org_id, stamp=updated_by
        )[message_id]
        if isinstance(result, Refused):
            raise psycopg.Rollback(attempt)
        note_progress(connection, operation, 1)
        finish_operation(connection, operation, OperationState.DONE)
    return operation.id, result


def _open_span(tracing: Tracing, request: Request) -> StorySpan:
    """Open the request's span, in the caller's trace where it brings one."""
    baggage = read_baggage(request.headers.get("baggage"))
    caller = context_from(request.headers.get("traceparent"), baggage)
    tags = {
        Tag.HTTP_METHOD: request.method,
        Tag.HTTP_ROUTE: getattr(request.scope.get("route"), "path", None),
    }
    return tracing.span(SpanName.HTTP_IN, tags, parent=caller or NEW_TRACE)


def _tell_status(status: int) -> dict[Tag, object]:
    """Give an answer's status under 000's name and under OpenTelemetry's."""
    return {Tag.HTTP_STATUS_CODE: int(status), Tag.HTTP_RESPONSE_STATUS_CODE: int(status)}


def _refuse(message_id: int, refused: Refused) -> ProblemError:
    match refused.objection:
        case Objection.NOT_FOUND:
            return _miss(message_id)
        case Objection.ALREADY_ACCEPTED:
            detail = f"The provider has accepted it: its status is {refused.status}"
        case Objection.OUTCOME_UNKNOWN:
            wait = max(1, round(refused.wait_s))
            return ProblemError(
                HTTPStatus.CONFLICT,
                "It is not known whether the provider has it; its webhook may tell within "
                f'{wait} s. Send {{"force": true}} to risk a second one',
                headers={"Retry-After": str(wait)},
            )
        case Objection.EXPIRED:
            detail = 'It has expired. Send {"force": true} to send it all the same'
        case Objection.SCHEDULED:
            detail = 'It is scheduled and was never tried. Send {"force": true} to send it now'
        case Objection.FELL_BACK:
            detail = 'It went out as an SMS instead. Send {"force": true} to send it all the same'
        case Objection.MOVED_ON:
            detail = f"Its status is {refused.status} by now"
    return ProblemError(HTTPStatus.CONFLICT, detail)


def _miss(message_id: int) -> ProblemError:
    return ProblemError(
        HTTPStatus.NOT_FOUND, f"The organisation of X-Org-Id has no message {message_id}"
    )
