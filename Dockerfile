FROM node:20-bookworm-slim AS build
WORKDIR /app
# Dependencies change less often than sources, so they have a layer of their own.
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY bin bin
COPY src src
COPY web web
RUN npm run build && npm prune --omit=dev

FROM node:20-bookworm-slim
# Chromium for the page gates, with the libraries and fonts that a slim image lacks.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends git bubblewrap chromium ca-certificates \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json LICENSE* ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY bin bin
COPY config config
COPY personas personas
COPY policies policies
COPY workflows workflows
COPY demo demo
COPY deploy/entrypoint.sh /usr/local/bin/maestro-entrypoint
# Group-writable with the group inherited: the API and the workers share blobs under different users.
RUN ln -s /app/bin/maestro /usr/local/bin/maestro \
  && mkdir -p /data/home/keys /data/blobs && chown -R node:node /data && chmod -R 2775 /data
ENV NODE_ENV=production \
  MAESTRO_HOME=/data/home \
  MAESTRO_BLOBS=/data/blobs
VOLUME ["/data/home", "/data/blobs"]
USER node
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:4000/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["maestro-entrypoint"]
CMD ["serve", "--host", "0.0.0.0", "--port", "4000"]
