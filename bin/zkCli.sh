#!/usr/bin/env bash

# The command line client, with the arguments of Apache ZooKeeper's zkCli.sh.

ZOOBIN="${BASH_SOURCE-$0}"
ZOOBINDIR="$(cd "$(dirname "$ZOOBIN")" && pwd)"
# shellcheck source=bin/zkEnv.sh
. "$ZOOBINDIR/zkEnv.sh"

exec "$GAMEKEEPER" cli "$@"
