"""`python -m outbound_slo`: the command line where its script is not on the path."""

from outbound_slo.cli import main

main()
