# The image of this artifact: docs/running.md says how to build and use it.
#
# Base: PyTorch's own runtime image, which brings Python 3.12, torch 2.13.0 and CUDA 13.0 (NVIDIA driver 580 or newer).
# The digest was read in public repositories. To check that the tag still has it:
#   docker buildx imagetools inspect pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime
# For the slim image without CUDA give four arguments, as docker/compose.yaml does: BASE_IMAGE, REQUIREMENTS, DRIVER and
# TORCH_WHEELS.
ARG BASE_IMAGE=pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime@sha256:db80a41f8428644cebcb3d75b0b62df334ab6c0e75785951eb25f48bfbd42407
FROM ${BASE_IMAGE}

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
USER 0

# make, and Python where the base has none or one that cannot make a virtual environment.
# hadolint ignore=DL3008
RUN apt-get update \
    && set -- make \
    && { python3 -c 'import ensurepip, venv' 2>/dev/null || set -- "$@" python3 python3-venv; } \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/ldconfig/aux-cache

# Every package from a file with hashes, and nothing that is not in it. A torch that the base has is seen and kept.
# TORCH_WHEELS: folder or page with the CPU wheel of torch, for the slim image: PyPI does not have it.
ARG REQUIREMENTS=docker/requirements-cuda.lock
ARG TORCH=2.13.0
ARG TORCH_WHEELS=
COPY docker/requirements-build.lock ${REQUIREMENTS} /tmp/
RUN python3 -m venv --system-site-packages /opt/venv \
    && set -- /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
           --only-binary :all: ${TORCH_WHEELS:+--find-links "$TORCH_WHEELS"} \
    && "$@" -r /tmp/requirements-build.lock \
    && "$@" --no-binary seqeval --no-build-isolation -r "/tmp/${REQUIREMENTS##*/}" \
    && /opt/venv/bin/python -m pip uninstall --yes --quiet setuptools-scm vcs-versioning wheel \
    && found=$(/opt/venv/bin/python -c 'from importlib.metadata import version; print(version("torch").split("+")[0])') \
    && { [ "$found" = "$TORCH" ] || { echo "error: expected torch $TORCH, got $found: BASE_IMAGE and REQUIREMENTS" >&2; exit 1; }; } \
    && rm -rf /tmp/*

# Any user: everything is written below /work/out and /cache, which have no owner. XLT_*: what the Makefile reads.
ARG DRIVER=580
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/cache/home \
    USER=xlt \
    XDG_CACHE_HOME=/cache/xdg \
    HF_HOME=/cache/huggingface \
    MPLCONFIGDIR=/cache/matplotlib \
    HYPOTHESIS_STORAGE_DIRECTORY=/cache/hypothesis \
    PYTEST_ADDOPTS="-p no:cacheprovider" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/work/src \
    XLT_PYTHON=/opt/venv/bin/python \
    XLT_PROFILE=paper \
    XLT_DATA=/cache/data \
    XLT_CACHE=/cache/encoders \
    XLT_DRIVER=${DRIVER}
WORKDIR /work
COPY . /work
RUN chmod -R a+rX,go-w /work && /opt/venv/bin/python -m compileall -q src reproduce && mkdir -p /work/out && chmod 1777 /work/out && install -d -m 1777 /cache
VOLUME ["/work/out", "/cache"]
USER 1000:1000

ARG SOURCE=unknown
ARG REVISION=unknown
ENV XLT_REVISION=${REVISION}
LABEL org.opencontainers.image.title="xlt: zero-shot cross-lingual transfer, reproduced" \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.licenses="MIT"
ENTRYPOINT ["/work/docker/entrypoint"]
CMD ["make"]
