# Builds the host and the plugins that come with it; the last stage ships them.

FROM rust:1.95.0-bookworm AS source
# The image's own toolchain, without what rust-toolchain.toml adds for developers.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN rustup target add wasm32-wasip2
WORKDIR /src
COPY . .

FROM source AS plugins
# A plugin's file is named as the configuration names the plugin: with dashes.
RUN cargo build --locked --profile plugin --target wasm32-wasip2 --target-dir target/plugins \
      -p patient-location -p last-location -p key-by \
      -p absence -p aggregate -p changes -p dedupe -p filter -p jq -p mask -p route -p shape -p throttle -p validate \
    && mkdir /plugins \
    && for file in target/plugins/wasm32-wasip2/plugin/*.wasm; do \
         cp "$file" "/plugins/$(basename "$file" | tr _ -)" || exit 1; \
       done \
    && rm -r target

FROM source AS host
RUN cargo build --locked --profile dist -p gregor \
    && mv target/dist/gregor /gregor \
    && rm -r target

FROM debian:bookworm-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/gregor \
      --shell /usr/sbin/nologin gregor \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/gregor
COPY --from=plugins /plugins /opt/gregor/plugins
COPY --from=host /gregor /usr/local/bin/gregor
USER 10001:10001
WORKDIR /var/lib/gregor
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 \
  CMD ["gregor", "status", "--quiet"]
ENTRYPOINT ["gregor"]
CMD ["run", "--config", "/etc/gregor/gregor.toml"]
