"""What would have been paged: rules over recorded or made-up series, then a real Alertmanager."""
