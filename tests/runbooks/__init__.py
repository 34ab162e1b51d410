"""What runbooks 000 to 002 tell people to run, taken from their text and put to the test."""

import pytest

# Effects are proved with plain asserts; pytest explains those only in modules that it knows.
pytest.register_assert_rewrite("tests.runbooks.effects")
