"""Spans as OTLP bytes (protobuf), written field by field as they become known.

The stock SDK builds a span object, then a message object for every attribute, then bytes: 20 to
50 µs a span. Here each tag becomes its bytes when it is set, and a span is one `join`. What comes
out is the same message; `tests/unit/test_tracing_wire.py` holds the two against each other.

Field numbers are those of opentelemetry-proto's `trace.proto`, `common.proto` and
`trace_service.proto`; a tag byte is `number << 3 | wire type`.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence

LONGEST_TEXT = 2048
"""Characters of a text attribute; the rest is cut off."""

_LARGEST_INTEGER = 2**63 - 1
_MASK_64 = 2**64 - 1
_ONE_BYTE, _TWO_BYTES, _THREE_BYTES, _FOUR_BYTES = 1 << 7, 1 << 14, 1 << 21, 1 << 28
_MANY = 4096
_SMALL = 1024

_TIME = struct.Struct("<BQ")
_TIMES = struct.Struct("<BQBQ")
_DOUBLE = struct.Struct("<Bd")

_START_TIME = 0x39
_END_TIME = 0x41
_DOUBLE_VALUE = 0x21
_SAMPLED = 0x01
_KNOWS_REMOTE = 0x100
_IS_REMOTE = 0x200

ERROR_STATUS = b"\x18\x02"
UNSET_STATUS = b"\x7a\x00"

AttributeWriter = Callable[[object], bytes]


def write_varint(number: int) -> bytes:
    """Write a whole number as protobuf does; negative ones take ten bytes."""
    # Ids of messages and lengths of batches, without a loop.
    if _TWO_BYTES <= number < _FOUR_BYTES:
        first, second, third = number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14
        if number < _THREE_BYTES:
            return bytes((first, second, third))
        return bytes((first, second, third & 0x7F | 0x80, number >> 21))
    number &= _MASK_64
    written = bytearray()
    while number >= _ONE_BYTE:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


# Lengths up to here are looked up: most spans and all their parts are shorter.
_LENGTHS = tuple(write_varint(number) for number in range(_MANY))


def _length(number: int) -> bytes:
    return _LENGTHS[number] if number < _MANY else write_varint(number)


def write_field(tag: int, content: bytes) -> bytes:
    """Write a field of bytes, text or a message, with its tag byte and length."""
    return b"".join((bytes((tag,)), _length(len(content)), content))


def write_text(text: str) -> bytes:
    """Give text as UTF-8; what UTF-8 cannot carry becomes `?`, since collectors refuse it."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _key_value(key: bytes, value: bytes) -> bytes:
    return write_field(0x0A, key) + write_field(0x12, value)


class _Prefixes(dict[int, bytes]):
    """What stands before a value of so many bytes in a span's attribute; learnt as lengths come."""

    def __init__(self, key: str, value_tag: bytes, *, with_length: bool) -> None:
        self._key = write_field(0x0A, key.encode())
        self._value_tag = value_tag
        self._with_length = with_length

    def __missing__(self, size: int) -> bytes:
        inner = self._value_tag + (_length(size) if self._with_length else b"")
        value = b"\x12" + _length(len(inner) + size) + inner
        prefix = b"\x4a" + _length(len(self._key) + len(value) + size) + self._key + value
        self[size] = prefix
        return prefix


def text_writer(key: str, settle: Callable[[object], str]) -> AttributeWriter:
    """Give a writer of one span attribute that holds text.

    Args:
        key: The attribute's key.
        settle: Makes text of any value that is no plain `str`, or raises; its text is written.

    """
    prefixes = _Prefixes(key, b"\x0a", with_length=True)

    def write(value: object) -> bytes:
        text = value if type(value) is str else settle(value)
        if len(text) > LONGEST_TEXT:
            text = text[:LONGEST_TEXT]
        try:
            content = text.encode()
        except UnicodeEncodeError:
            content = write_text(text)
        return prefixes[len(content)] + content

    return write


def integer_writer(key: str, settle: Callable[[object], int]) -> AttributeWriter:
    """Give a writer of one span attribute that holds a 64-bit integer; `settle` as for text."""
    prefixes = _Prefixes(key, b"\x18", with_length=False)
    small = tuple(prefixes[len(number)] + number for number in _LENGTHS[:_SMALL])

    def write(value: object) -> bytes:
        number = value if type(value) is int and 0 <= value <= _LARGEST_INTEGER else settle(value)
        if 0 <= number < _SMALL:
            return small[number]
        content = write_varint(number)
        return prefixes[len(content)] + content

    return write


def double_writer(key: str, settle: Callable[[object], float]) -> AttributeWriter:
    """Give a writer of one span attribute that holds a floating point number; `settle` as above."""
    prefix = _Prefixes(key, b"", with_length=False)[_DOUBLE.size]

    def write(value: object) -> bytes:
        number = value if type(value) is float else settle(value)
        return prefix + _DOUBLE.pack(_DOUBLE_VALUE, number)

    return write


def boolean_writer(key: str, settle: Callable[[object], bool]) -> AttributeWriter:
    """Give a writer of one span attribute that holds true or false; `settle` as above."""
    prefix = _Prefixes(key, b"\x10", with_length=False)[1]
    no, yes = prefix + b"\x00", prefix + b"\x01"

    def write(value: object) -> bytes:
        if value is True:
            return yes
        if value is False:
            return no
        return yes if settle(value) else no

    return write


def write_identity(name: str, kind: int) -> bytes:
    """Write a span's name and kind."""
    return write_field(0x2A, name.encode()) + b"\x30" + write_varint(kind)


def write_constants(attributes: Iterable[tuple[str, str]]) -> bytes:
    """Write attributes that are the same for each span of a name, to follow its identity."""
    written = (
        _key_value(write_text(key), write_field(0x0A, write_text(value)))
        for key, value in attributes
    )
    return b"".join(write_field(0x4A, one) for one in written)


def write_exception(kind: str, at_ns: int) -> bytes:
    """Write an event `exception` with the class of what was raised, as a field of a span."""
    attribute = _key_value(b"exception.type", write_field(0x0A, write_text(kind)))
    return write_field(
        0x5A,
        _TIME.pack(0x09, at_ns) + write_field(0x12, b"exception") + write_field(0x1A, attribute),
    )


def write_error_status(description: str) -> bytes:
    """Write the status ERROR with its description, as a field of a span."""
    return write_field(0x7A, write_field(0x12, write_text(description)) + ERROR_STATUS)


# W3C's sampled flag in the low byte, as the OTLP specification has it (the Python SDK leaves that
# byte empty), and whether the parent, or the link's end, lies in another process. By both: first
# whether it is remote, then whether it is sampled.
_FLAGS = tuple(
    tuple(struct.pack("<I", sampled | _KNOWS_REMOTE | remote) for sampled in (0, _SAMPLED))
    for remote in (0, _IS_REMOTE)
)


def write_link(trace_id: bytes, span_id: bytes, *, remote: bool, sampled: bool) -> bytes:
    """Write a link to another span, as a field of a span."""
    flags = _FLAGS[remote][sampled]
    # 33 bytes: two ids with their tags and lengths, four bytes of flags with theirs.
    return b"".join((b"\x6a\x21\x0a\x10", trace_id, b"\x12\x08", span_id, b"\x35", flags))


def write_span(
    trace_id: bytes,
    span_id: bytes,
    parent_id: bytes,
    parent_is_remote: bool,
    sampled: bool,
    identity: bytes,
    start_ns: int,
    end_ns: int,
    attributes: Iterable[bytes],
    rest: bytes,
) -> bytes:
    """Write one OTLP `Span`.

    Args:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        parent_id: 8 bytes; empty for a root.
        parent_is_remote: The parent lies in another process.
        sampled: What the head decided.
        identity: From `write_identity`, with what `write_constants` gave.
        start_ns: Nanoseconds since the epoch.
        end_ns: Nanoseconds since the epoch.
        attributes: What the attribute writers gave.
        rest: The status (`UNSET_STATUS`, or from `write_error_status`), the links and the events.

    Raises:
        struct.error: A time before 1970 or after 2554.

    """
    return b"".join(
        (
            b"\x0a\x10",
            trace_id,
            b"\x12\x08",
            span_id,
            b"\x22\x08" if parent_id else b"",
            parent_id,
            identity,
            _TIMES.pack(_START_TIME, start_ns, _END_TIME, end_ns),
            *attributes,
            rest,
            b"\x85\x01",
            _FLAGS[parent_is_remote][sampled],
        )
    )


def frame_span(span: bytes) -> bytes:
    """Make a span a field of a request."""
    return b"\x12" + _length(len(span)) + span


class RequestWriter:
    """Puts finished spans into export requests of one service."""

    def __init__(self, resource: Mapping[str, str], scope: str) -> None:
        """Write the constant parts once.

        Args:
            resource: Attributes of the service.
            scope: Name of the instrumentation scope.

        """
        attributes = (
            write_field(0x0A, _key_value(write_text(key), write_field(0x0A, write_text(value))))
            for key, value in resource.items()
        )
        self._resource = write_field(0x0A, b"".join(attributes))
        self._scope = write_field(0x0A, write_field(0x0A, scope.encode()))

    def write(self, spans: Sequence[bytes]) -> bytes:
        """Write an `ExportTraceServiceRequest` of these spans, each from `frame_span`."""
        framed = b"".join(spans)
        scoped_size = len(self._scope) + len(framed)
        scoped = b"\x12" + _length(scoped_size)
        grouped = b"\x0a" + _length(len(self._resource) + len(scoped) + scoped_size)
        return b"".join((grouped, self._resource, scoped, self._scope, framed))
