#!/usr/bin/env bash

# Creates the data directories that zoo.cfg names, before the first start, with the options and
# messages of Apache ZooKeeper's zkServer-initialize.sh. Directories that hold data are left
# alone unless --force is given, which EMPTIES them.

ZOOBIN="${BASH_SOURCE-$0}"
ZOOBINDIR="$(cd "$(dirname "$ZOOBIN")" && pwd)"
# shellcheck source=bin/zkEnv.sh
. "$ZOOBINDIR/zkEnv.sh"

usage() {
    printf 'usage: %s <parameters>
  Optional parameters:
     -h                                                    Display this message
     --help                                                Display this message
     --configfile=%-40s ZooKeeper config file
     --myid=#                                              Set the myid to be used, if any (1-255)
     --force                                               Force creation of the data/txnlog dirs
' "$0" "$ZOOCFG"
    exit 1
}

# Leaves an empty version-2 directory in $1 and nothing of an old server.
create_directory() {
    rm -rf "$1/myid" "$1/version-2"
    mkdir -p "$1/version-2" || exit 1
}

initialize() {
    if [ ! -e "$ZOOCFG" ]; then
        echo "Unable to find config file at $ZOOCFG"
        exit 1
    fi
    ZOO_DATADIR="$(config_value dataDir)"
    ZOO_DATALOGDIR="$(config_value dataLogDir)"
    if [ -z "$ZOO_DATADIR" ]; then
        echo "Unable to determine dataDir from $ZOOCFG"
        exit 1
    fi

    if [ -n "$FORCE" ]; then
        echo "Force enabled, data/txnlog directories will be re-initialized"
    else
        if [ -d "$ZOO_DATADIR/version-2" ]; then
            echo "ZooKeeper data directory already exists at $ZOO_DATADIR (or use --force to force re-initialization)"
            exit 1
        fi
        if [ -n "$ZOO_DATALOGDIR" ] && [ -d "$ZOO_DATALOGDIR/version-2" ]; then
            echo "ZooKeeper txnlog directory already exists at $ZOO_DATALOGDIR (or use --force to force re-initialization)"
            exit 1
        fi
    fi

    create_directory "$ZOO_DATADIR"
    if [ -n "$ZOO_DATALOGDIR" ]; then
        create_directory "$ZOO_DATALOGDIR"
    fi

    if [ -n "$MYID" ]; then
        echo "Using myid of $MYID"
        echo "$MYID" > "$ZOO_DATADIR/myid"
    else
        echo "No myid provided, be sure to specify it in $ZOO_DATADIR/myid if using non-standalone"
    fi
    # Tells the server that it may begin with an empty database.
    touch "$ZOO_DATADIR/initialize"
}

FORCE=""
MYID=""
while [ -n "$1" ]; do
    case "$1" in
    --configfile)
        ZOOCFG="$2"
        shift 2 || usage
        ;;
    --configfile=?*)
        ZOOCFG="${1#*=}"
        shift
        ;;
    --myid)
        MYID="$2"
        shift 2 || usage
        ;;
    --myid=?*)
        MYID="${1#*=}"
        shift
        ;;
    --force)
        FORCE=1
        shift
        ;;
    -h | --help)
        usage
        ;;
    *)
        echo "Unknown option: $1"
        usage
        ;;
    esac
done
initialize
