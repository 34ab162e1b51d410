"""The dashboard of what sends and what watches: senders, exporters, PostgreSQL, Alertmanager."""
