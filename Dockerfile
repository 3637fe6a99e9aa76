# The image of a server, with the contract of the official ZooKeeper image: its ZOO_ variables, its
# volumes and its ports. It holds the binary and the libraries it needs, and nothing else.
#
#   docker build -t gamekeeper .

FROM rust:1-bookworm AS build
COPY . /source
WORKDIR /source
RUN cargo build --release && docker/root.sh target/release/gamekeeper /image

FROM scratch
COPY --from=build /image/system/ /
COPY --from=build --chown=1000:1000 /image/volumes/ /
ENV PATH=/usr/local/bin \
    ZOO_CONF_DIR=/conf \
    ZOO_DATA_DIR=/data \
    ZOO_DATA_LOG_DIR=/datalog \
    ZOO_LOG_DIR=/logs
USER 1000:1000
WORKDIR /data
VOLUME ["/data", "/datalog", "/logs", "/conf"]
EXPOSE 2181 2888 3888 8080
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s CMD ["gamekeeper", "container", "health"]
ENTRYPOINT ["gamekeeper", "container"]
CMD ["zkServer.sh", "start-foreground"]
