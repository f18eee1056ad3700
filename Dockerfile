# iip_assets with everything it needs, at the versions of requirements.lock. A workspace is mounted at /workspace.
FROM python:3.11-slim
RUN apt-get update && apt-get install --yes --no-install-recommends git make \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/iip_assets
COPY Makefile pyproject.toml requirements.lock README.md LICENSE ./
COPY iip_assets iip_assets
RUN make install
ENV PATH=/opt/iip_assets/.venv/bin:$PATH
# The mounted folder belongs to somebody else than the container's user.
RUN git config --system --add safe.directory /workspace
WORKDIR /workspace
CMD ["iip", "status"]
