"""Other ways to do the same job: each a program that sends a queue of its own to the simulator.

    python -m benchmarks.baselines.NAME fill|work MESSAGES

DATABASE_URL, WHATSAPP_API_URL, WHATSAPP_ACCESS_TOKEN and OTEL_EXPORTER_OTLP_ENDPOINT come from the
environment. None of them takes receipts: what they are spared counts in their favour.
"""
