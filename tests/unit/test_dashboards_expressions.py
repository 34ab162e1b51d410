"""Selectors can only be written for labels and suffixes that a metric has."""

import pytest

from dashboards.expressions import latency_quantile, select
from outbound_slo.vocabulary import metrics


def test_a_selector_has_the_labels_in_the_order_given() -> None:
    text = select(metrics.QUEUE_DEPTH, {"channel": "sms", "status": "queued"})
    assert text == 'outbound_message_queue_depth{channel="sms",status="queued"}'


def test_a_selector_without_labels_is_the_bare_name() -> None:
    assert select(metrics.QUOTA_USED) == "whatsapp_quota_used"


def test_a_label_that_the_metric_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="whatsapp_quota_used has no label channel"):
        select(metrics.QUOTA_USED, {"channel": "sms"})


def test_le_is_a_label_of_buckets_only() -> None:
    assert select(metrics.SEND_LATENCY, {"le": "30.0"}, "_bucket").endswith('_bucket{le="30.0"}')
    with pytest.raises(ValueError, match="has no label le"):
        select(metrics.SEND_LATENCY, {"le": "30.0"}, "_count")


def test_only_a_histogram_has_buckets() -> None:
    with pytest.raises(ValueError, match="whatsapp_quota_used is a gauge"):
        select(metrics.QUOTA_USED, suffix="_bucket")


def test_a_quantile_needs_a_series_that_was_recorded_from_a_histogram() -> None:
    with pytest.raises(ValueError, match="recorded from no histogram"):
        latency_quantile(metrics.QUEUE_DEPTH, 0.5)
