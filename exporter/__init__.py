"""Prometheus metrics from SQL: packs of queries, one snapshot per refresh, honest when it fails."""
