# One image for every process; docker-compose.yml says which command each runs.
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/triage && /opt/triage/bin/pip install --no-cache-dir uv==0.13.9
COPY requirements.lock ./
RUN /opt/triage/bin/uv pip install --no-cache --python /opt/triage/bin/python --require-hashes -r requirements.lock
COPY pyproject.toml README.md alembic.ini routes.toml ./
COPY migrations migrations
COPY prompts prompts
COPY pipeline pipeline
RUN /opt/triage/bin/uv pip install --no-cache --python /opt/triage/bin/python --no-deps . \
    && /opt/triage/bin/uv pip uninstall --python /opt/triage/bin/python uv

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/triage --create-home triage
COPY --from=build /opt/triage /opt/triage
ENV PATH=/opt/triage/bin:$PATH PYTHONUNBUFFERED=1 TRIAGE_HOME=/var/lib/triage TRIAGE_LOG_FORMAT=json
USER triage
WORKDIR /etc/triage
VOLUME /var/lib/triage
EXPOSE 8000
CMD ["triage", "up"]
