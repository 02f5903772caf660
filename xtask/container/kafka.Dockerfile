FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
COPY libs /opt/kafka/libs
COPY kafka-run /etc/kafka/docker/run
COPY kafka-tool /opt/kafka/bin/kafka-tool
RUN chmod 0755 /etc/kafka/docker/run /opt/kafka/bin/kafka-tool \
    && for tool in topics console-producer console-consumer consumer-groups; do \
         ln -s kafka-tool "/opt/kafka/bin/kafka-$tool.sh"; \
       done \
    && useradd --create-home appuser \
    && install -d -o appuser /var/lib/kafka/data /etc/kafka/docker
USER appuser
VOLUME ["/var/lib/kafka/data"]
EXPOSE 9092
CMD ["/etc/kafka/docker/run"]
