# The relay as an image: what the lock names, each file checked by its hash, and nothing that builds.
#   docker build -t relay .                     tests/deployment/image.sh builds and tries it where there is no engine
# The lock is requirements.txt, resolved by uv (./dev lock); pip checks the hashes, so no uv is needed here.

# The same base for both stages, by digest: a tag may be moved. With an argument it comes from a mirror or another registry.
ARG BASE_IMAGE=docker.io/library/python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Two environments: one that builds, and one without pip that is kept.
RUN python -m venv /opt/build && python -m venv --without-pip /opt/relay
# Before the sources, so that a change of them reuses this layer. Wheels only: nothing is compiled.
COPY requirements.txt requirements-dev.txt ./
RUN /opt/build/bin/pip --python /opt/relay/bin/python install --only-binary :all: --require-hashes -r requirements.txt \
 && sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.txt >requirements-build.txt \
 && /opt/build/bin/pip install --only-binary :all: --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY relay relay
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/build/bin/pip --python /opt/relay/bin/python install --no-deps --no-index /dist/*.whl

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="relay" \
      org.opencontainers.image.description="Raw player events from Kafka, delivered in order as sessions of a media analytics API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /opt/relay /opt/relay
ENV PATH=/opt/relay/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONFAULTHANDLER=1
# A number: Kubernetes cannot tell whether a name is root. Nothing is written, so there is no home.
USER 10001:10001
WORKDIR /
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=60s --retries=3 CMD ["relay", "health"]
ENTRYPOINT ["relay"]
CMD ["run"]
