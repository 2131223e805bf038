# Build:  docker build -t taskglm .
# The base and every package are pinned; a mirror or a digest can be given as BASE_IMAGE.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY requirements-build.lock requirements-dask.lock ./
RUN python3 -m venv /opt/taskglm \
 && /opt/taskglm/bin/pip install -q --no-compile --require-hashes -r requirements-build.lock \
 && /opt/taskglm/bin/pip install -q --no-compile --no-build-isolation --use-pep517 --require-hashes -r requirements-dask.lock
COPY hpc/trim-image.sh ./
COPY pyproject.toml README.md LICENSE ./
COPY bidsapp ./bidsapp
RUN /opt/taskglm/bin/pip install -q --no-compile --no-build-isolation --no-deps . \
 && sh trim-image.sh /opt/taskglm

FROM ${BASE_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="TaskGLM" \
      org.opencontainers.image.description="A BIDS App for task-fMRI statistics: from fMRIPrep derivatives to a group report" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.documentation="README.md"
COPY --from=build /opt/taskglm /opt/taskglm
COPY run.py /app/run.py
ENV PATH=/opt/taskglm/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
# -I: neither the caller's PYTHONPATH nor packages in the caller's home reach the app.
ENTRYPOINT ["/opt/taskglm/bin/python3", "-I", "/app/run.py"]
