FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential ca-certificates perl pkg-config \
    && rm -rf /var/lib/apt/lists/*
COPY toolchain /usr/local
COPY registry /root/.cargo/registry
# This machine may trust more than Debian does.
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY rustup /usr/local/bin/rustup
