# One image for every process of ours: `docker run IMAGE sender`, `… exporter`, `… db migrate`.
# Nothing secret is in it: settings come from the environment when a container starts.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
RUN python -m venv /opt/outbound-slo
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY outbound_slo outbound_slo
COPY sender sender
COPY exporter exporter
COPY tracing tracing
COPY alerts alerts
COPY dashboards dashboards
COPY operations operations
COPY docs/runbooks docs/runbooks
RUN /opt/outbound-slo/bin/pip install --constraint constraints.txt '.[grpc,sdk]'

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin outbound
COPY --from=build /opt/outbound-slo /opt/outbound-slo
ENV PATH=/opt/outbound-slo/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8080 8090 9109
ENTRYPOINT ["outbound-slo"]
CMD ["--help"]
