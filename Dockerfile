# One image for everything that is not your application: worker, beat, and the command line.
#
#   docker build --tag trackrelay .
#   docker run --rm trackrelay trackrelay --help

FROM python:3.13-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY producers producers
COPY worker worker
COPY sandbox sandbox
COPY migrations migrations
RUN python -m venv /trackrelay \
    && /trackrelay/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt '.[worker,sandbox]' \
    && /trackrelay/bin/pip uninstall --yes pip

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin trackrelay
COPY --from=build /trackrelay /trackrelay
ENV PATH=/trackrelay/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /tmp
CMD ["trackrelay", "worker"]
