"""Incidents of the runbooks as series with noise, replayed to see what they would page."""
