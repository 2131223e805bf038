# docker build -t taskglm .
# The base and every package are pinned; a mirror or a digest can be given as BASE_IMAGE.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS packages
WORKDIR /build
COPY requirements-build.lock requirements-dask.lock hpc/install-packages.sh ./
RUN sh install-packages.sh /opt/taskglm

FROM packages AS app
COPY hpc/install-app.sh ./
COPY run.py LICENSE /app/
COPY bidsapp /app/bidsapp
RUN sh install-app.sh /opt/taskglm /app

FROM ${BASE_IMAGE}
COPY --from=packages /opt/taskglm /opt/taskglm
COPY --from=app /opt/taskglm/share/taskglm /opt/taskglm/share/taskglm
COPY --from=app /app /app
ENV PATH=/opt/taskglm/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
# -EsB: neither the caller's PYTHONPATH nor packages in the caller's home reach the app.
ENTRYPOINT ["/opt/taskglm/bin/python3", "-EsB", "/app/run.py"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="TaskGLM" \
      org.opencontainers.image.description="A BIDS App for task-fMRI statistics: from fMRIPrep derivatives to a group report" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
