# One image for every program of the service: up (everything), api, worker, migrate.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev libvirt-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
# libvirt-python has no wheel: it is built here, by what is locked.
RUN /opt/build/bin/pip wheel --no-cache-dir --require-hashes --no-build-isolation --wheel-dir /wheels \
        -r requirements/runtime.txt
RUN python3 -m venv /opt/v2v-import \
    && /opt/v2v-import/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY app app
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /own . \
    && /opt/v2v-import/bin/pip install --no-cache-dir --no-deps --no-index /own/*.whl \
    && /opt/v2v-import/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
# `up` starts its own Redis; api and worker with V2V_IMPORT_REDIS_URL need none. libvirt0 asks providers.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libvirt0 redis-server \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --system --gid 8400 v2v-import \
    && useradd --system --uid 8400 --gid 8400 --home-dir /data --shell /usr/sbin/nologin v2v-import \
    && install --directory --owner v2v-import --group v2v-import --mode 0700 /data
COPY --from=build /opt/v2v-import /opt/v2v-import
ENV PATH=/opt/v2v-import/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 V2V_IMPORT_DATA_DIR=/data
USER v2v-import
WORKDIR /data
VOLUME /data
EXPOSE 8400
# For a container that runs only a worker, switch it off: a worker listens nowhere.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["v2v-import", "health"]
ENTRYPOINT ["v2v-import"]
CMD ["up", "--host", "0.0.0.0", "--data-dir", "/data"]
