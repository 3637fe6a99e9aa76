#!/usr/bin/env bash

# Removes old snapshots and transaction logs of the server that zoo.cfg describes:
#   zkCleanup.sh -n <count>
# with a count of at least 3, as Apache ZooKeeper's PurgeTxnLog has it.

ZOOBIN="${BASH_SOURCE-$0}"
ZOOBINDIR="$(cd "$(dirname "$ZOOBIN")" && pwd)"
# shellcheck source=bin/zkEnv.sh
. "$ZOOBINDIR/zkEnv.sh"

ZOO_DATADIR="$(config_value dataDir)"
ZOO_DATALOGDIR="$(config_value dataLogDir)"
if [ -z "$ZOO_DATADIR" ]; then
    echo "Unable to determine dataDir from $ZOOCFG" >&2
    exit 1
fi

if [ -z "$ZOO_DATALOGDIR" ]; then
    exec "$GAMEKEEPER" purge "$ZOO_DATADIR" "$@"
fi
exec "$GAMEKEEPER" purge "$ZOO_DATALOGDIR" "$ZOO_DATADIR" "$@"
