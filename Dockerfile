# poolcrawl in a small image: `docker build -t poolcrawl .`, then `docker run --rm --init -v "$PWD:/ledgers" poolcrawl URL`.

FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/poolcrawl && /opt/poolcrawl/bin/pip install --no-cache-dir '.[curl]' \
    && /opt/poolcrawl/bin/pip uninstall --yes pip

FROM python:3.13-slim
LABEL org.opencontainers.image.title="poolcrawl" \
      org.opencontainers.image.description="A concurrent web crawler built on process pools, with everything in one SQLite ledger" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --create-home crawler && install --directory --owner=crawler /ledgers
COPY --from=build /opt/poolcrawl /opt/poolcrawl
ENV PATH=/opt/poolcrawl/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /ledgers
VOLUME /ledgers
# In exec form, so that `docker stop` reaches the crawler itself: SIGTERM lets what is in flight end, and commits.
ENTRYPOINT ["poolcrawl"]
CMD ["--help"]
