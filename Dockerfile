# How to build and run it: README.md, "Running it in a container". The base has to have Node 22.19 or newer,
# npm, a shell, and the user 1000.
ARG BASE=docker.io/library/node:24-slim

FROM ${BASE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No install script runs: the base is the Node that one of them would fetch, and none other is needed.
# npm's settings, if it needs some to reach a registry, stay out of the image: `--secret id=npmrc,src=…`.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json tsconfig.types.json ./
COPY src ./src
RUN npm run -s build && chmod +x dist/main.js && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${BASE}
LABEL org.opencontainers.image.title="oci-mirror" \
      org.opencontainers.image.description="A pull-through caching mirror for OCI and Docker registries: one host in front of many" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/package.json ./
COPY --from=build /app/dist ./dist
# A volume takes its first owner from the folder that it covers.
RUN ln -s /app/dist/main.js /usr/local/bin/oci-mirror && mkdir /data && chown 1000:1000 /data
ENV OCI_MIRROR_LISTEN=0.0.0.0:5000 \
    OCI_MIRROR_DATA=/data \
    UV_THREADPOOL_SIZE=16 \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=131072
# A number, so that Kubernetes can see that it is not root.
USER 1000:1000
VOLUME /data
EXPOSE 5000
STOPSIGNAL SIGTERM
# Asks where OCI_MIRROR_LISTEN says.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["oci-mirror", "healthcheck"]
# Without a shell in between, which would keep SIGTERM to itself. As `npm start`, but without its compile
# cache: that would be a second place to write.
ENTRYPOINT ["node", "--max-semi-space-size=4", "--heap-growing-percent=100", "/app/dist/main.js"]
CMD ["serve"]
