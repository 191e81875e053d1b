# One image for everything that is not your application: worker, beat, the console, and the command line.
#
#   docker build --tag trackrelay .
#   docker run --rm trackrelay trackrelay --help

# An exact version; a digest pins the bytes as well: --build-arg PYTHON_IMAGE=python:3.13.9-slim-trixie@sha256:…, as printed by
#   docker buildx imagetools inspect python:3.13.9-slim-trixie --format '{{.Manifest.Digest}}'
ARG PYTHON_IMAGE=python:3.13.9-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY requirements requirements
RUN python -m venv /trackrelay \
    && /trackrelay/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        -r requirements/build.txt -r requirements/worker.txt
COPY pyproject.toml README.md LICENSE ./
COPY producers producers
COPY worker worker
COPY sandbox sandbox
COPY migrations migrations
RUN /trackrelay/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation '.[worker,sandbox,console]' \
    && /trackrelay/bin/pip uninstall --yes hatchling editables pip

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin trackrelay
COPY --from=build /trackrelay /trackrelay
ENV PATH=/trackrelay/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /tmp
CMD ["trackrelay", "worker"]
