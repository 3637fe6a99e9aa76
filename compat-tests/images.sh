#!/usr/bin/env bash
# Builds the images of the tests, with no registry at hand. What is there and current stays.
#
#   compat-tests/images.sh                     all of them
#   compat-tests/images.sh gamekeeper:local    ours, anew if the binary is newer
#   compat-tests/images.sh zookeeper:3.9.3-local
#
# Ours is the last stage of the Dockerfile around the binary that GAMEKEEPER_BIN names (by default
# target/release/gamekeeper). Apache's servers come from Debian's packages, with the entry point of the
# official image.
set -euo pipefail

crate=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$crate")
# shellcheck source=.ci/tools.sh
. "$top/.ci/tools.sh"

# Each image of Apache's and the Debian suite that has the release.
declare -A suites=(
    [zookeeper:3.8.0-local]=bookworm
    [zookeeper:3.9.3-local]=trixie
    [zookeeper:3.9.6-local]=forky
)

is_there() { docker image inspect "$1" >/dev/null 2>&1; }

# Whether an image is there and was made of what has this digest.
is_current() {
    is_there "$1" && [[ $(docker inspect -f '{{index .Config.Labels "digest"}}' "$1") == "$2" ]]
}

build_ours() {
    local binary=${GAMEKEEPER_BIN:-$top/target/release/gamekeeper}
    if [[ ! -x $binary ]]; then
        echo "there is no $binary: run cargo build --release" >&2
        exit 1
    fi
    local digest
    digest=$(cat "$binary" "$top/Dockerfile" "$top/docker/root.sh" | sha256sum | cut -d' ' -f1)
    if is_current gamekeeper:local "$digest"; then
        echo "gamekeeper:local is there"
        return
    fi
    local context=$work/ours
    "$top/docker/root.sh" "$binary" "$context"
    sed -n '/^FROM scratch/,$p' "$top/Dockerfile" |
        sed -e 's/--from=build //' -e 's,/image/,,' >"$context/Dockerfile"
    docker build --quiet --label "digest=$digest" -t gamekeeper:local "$context"
}

build_apache() {
    local image=$1 suite=${suites[$1]} context=$work/apache
    mkdir -p "$context"
    install -m 755 "$crate/apache-entrypoint.sh" "$context/docker-entrypoint.sh"
    cat >"$context/Dockerfile" <<EOF
FROM $image-packages
COPY docker-entrypoint.sh /docker-entrypoint.sh
ENV ZOO_CONF_DIR=/conf ZOO_DATA_DIR=/data ZOO_DATA_LOG_DIR=/datalog ZOO_LOG_DIR=/logs
ENV PATH=/usr/share/zookeeper/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN mkdir -p /data /datalog /logs /conf && chown 1000:1000 /data /datalog /logs /conf && \\
    ln -sf /conf/zoo.cfg /etc/zookeeper/conf/zoo.cfg && \\
    echo 'CLASSPATH=\$CLASSPATH:/usr/share/java/slf4j-simple.jar' >>/etc/zookeeper/conf/environment
USER 1000:1000
VOLUME ["/data", "/datalog", "/logs", "/conf"]
EXPOSE 2181 2888 3888 8080
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["zkServer.sh", "start-foreground"]
EOF
    local digest
    digest=$(cat "$context/Dockerfile" "$context/docker-entrypoint.sh" | sha256sum | cut -d' ' -f1)
    if is_current "$image" "$digest"; then
        echo "$image is there"
        return
    fi
    if ! is_there "$image-packages"; then
        install_missing mmdebstrap:mmdebstrap
        # A suite in preparation may carry a date that is past.
        mmdebstrap --quiet --variant=minbase --include=default-jre-headless,zookeeper \
            --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$work/root.tar"
        docker import "$work/root.tar" "$image-packages" >/dev/null
    fi
    docker build --quiet --label "digest=$digest" -t "$image" "$context"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
images=("$@")
if [[ ${#images[@]} == 0 ]]; then
    images=(gamekeeper:local "${!suites[@]}")
fi
for image in "${images[@]}"; do
    if [[ $image == gamekeeper:local ]]; then
        build_ours
    elif [[ -n ${suites[$image]:-} ]]; then
        build_apache "$image"
    else
        echo "there is no image $image; there are gamekeeper:local ${!suites[*]}" >&2
        exit 1
    fi
done
