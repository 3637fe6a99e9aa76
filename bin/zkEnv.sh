#!/usr/bin/env bash

# Sourced by the other scripts: finds the configuration, the log directory and the binary.
# It answers to Apache ZooKeeper's zkEnv.sh and honours the same variables:
#   ZOOCFGDIR    directory of the configuration (also: --config <dir>); ../conf beside bin
#   ZOOCFG       name of the configuration file in it, or a path; zoo.cfg
#   ZOO_LOG_DIR  directory of the server's output; ../logs beside bin
# zookeeper-env.sh and java.env in ZOOCFGDIR are sourced. -D flags in SERVER_JVMFLAGS and
# JVMFLAGS are read by the server from its environment; heap sizes and other flags of the
# Java virtual machine have no meaning here.
#   GAMEKEEPER_BIN  the binary, if it is none of those found by itself

ZOOBINDIR="${ZOOBINDIR:-/usr/bin}"
ZOOKEEPER_PREFIX="${ZOOBINDIR}/.."

# The scripts source this file without arguments, so that `shift` takes from theirs.
if [ $# -gt 1 ] && [ "$1" = "--config" ]; then
    ZOOCFGDIR="$2"
    shift 2
fi

if [ -z "$ZOOCFGDIR" ]; then
    if [ -e "$ZOOKEEPER_PREFIX/conf" ]; then
        ZOOCFGDIR="$ZOOBINDIR/../conf"
    else
        ZOOCFGDIR="$ZOOBINDIR/../etc/zookeeper"
    fi
fi

if [ -f "$ZOOCFGDIR/zookeeper-env.sh" ]; then
    # shellcheck source=/dev/null
    . "$ZOOCFGDIR/zookeeper-env.sh"
fi

# A name is looked for in ZOOCFGDIR, a path is taken as it is.
config_path() {
    case "$1" in
    */*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$ZOOCFGDIR/$1" ;;
    esac
}

ZOOCFG="$(config_path "${ZOOCFG:-zoo.cfg}")"

if [ -f "$ZOOCFGDIR/java.env" ]; then
    # shellcheck source=/dev/null
    . "$ZOOCFGDIR/java.env"
fi

ZOO_LOG_DIR="${ZOO_LOG_DIR:-$ZOOKEEPER_PREFIX/logs}"

export SERVER_JVMFLAGS CLIENT_JVMFLAGS JVMFLAGS

# Prints the value of a key of a configuration file (by default of ZOOCFG), the last one if
# there are several, trimmed; nothing if there is none.
config_value() {
    [ -f "${2:-$ZOOCFG}" ] || return 0
    sed -n -e "s/^[[:space:]]*$1[[:space:]]*[=:][[:space:]]*//p" "${2:-$ZOOCFG}" |
        sed -e 's/[[:space:]]*$//' | tail -n 1
}

# Sets GAMEKEEPER to the binary: the one named by GAMEKEEPER_BIN, the one beside the scripts,
# the one cargo built, or the one on PATH.
find_gamekeeper() {
    if [ -n "$GAMEKEEPER_BIN" ]; then
        GAMEKEEPER="$GAMEKEEPER_BIN"
        if [ ! -x "$GAMEKEEPER" ]; then
            echo "Error: GAMEKEEPER_BIN=$GAMEKEEPER_BIN is not an executable file." >&2
            exit 1
        fi
        return
    fi
    for GAMEKEEPER in "$ZOOBINDIR/gamekeeper" "$ZOOBINDIR/../target/release/gamekeeper" \
        "$ZOOBINDIR/../target/debug/gamekeeper"; do
        if [ -x "$GAMEKEEPER" ]; then
            return
        fi
    done
    GAMEKEEPER="$(command -v gamekeeper)" || {
        echo "Error: the gamekeeper binary was found neither beside $ZOOBINDIR, nor in target/," \
            "nor on PATH. Build it with 'cargo build --release' or set GAMEKEEPER_BIN." >&2
        exit 1
    }
}

find_gamekeeper
