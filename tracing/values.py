"""Values of tags, and the one way they are written as text."""

TagValue = str | int | float | bool


def show_value(value: TagValue) -> str:
    """Write a value as Jaeger's search compares it: `true` and `false`, ten significant digits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(value, ".10g")
    return str(value)
