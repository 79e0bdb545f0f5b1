# The server alone. Its RUN steps are those of `make install`; tests/house/test_dockerfile.py runs
# them and the command below.
#
#   docker build --tag penstock .
#   docker run --read-only --tmpfs /tmp --publish 8000:8000 --volume "$PWD/examples/registry:/models:ro" penstock

FROM python:3.11-slim AS build
WORKDIR /source
COPY . .
RUN python3 -m venv /opt/penstock
RUN /opt/penstock/bin/python -m pip install --quiet '.[monitor]'

FROM python:3.11-slim
COPY --from=build /opt/penstock /opt/penstock
ENV PATH=/opt/penstock/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /models
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-m", "penstock.server.cli.liveness"]
ENTRYPOINT ["penstock"]
CMD ["serve", "/models", "--host", "0.0.0.0"]
