#!/usr/bin/env bash

# Starts, stops and questions a server, with the verbs, messages and exit codes of Apache
# ZooKeeper's zkServer.sh:
#   zkServer.sh [--config <conf-dir>] <verb> [config-file]
# See zkEnv.sh for the variables that are honoured; besides those:
#   ZOOPIDFILE                      where `start` notes the process id; in dataDir by default
#   ZOO_LOG_FILE                    a file in ZOO_LOG_DIR for the log alone; by default it goes
#                                   with the rest of the output
#   ZOO_DATADIR_AUTOCREATE_DISABLE  not empty: a missing data directory is an error
#   ZOO_NOEXEC                      not empty: start-foreground stays as the server's parent

ZOOBIN="${BASH_SOURCE-$0}"
ZOOBINDIR="$(cd "$(dirname "$ZOOBIN")" && pwd)"
# shellcheck source=bin/zkEnv.sh
. "$ZOOBINDIR/zkEnv.sh"

if [ -n "$2" ]; then
    ZOOCFG="$(config_path "$2")"
fi
echo "Using config: $ZOOCFG" >&2

STOP_SECONDS=60

ZOO_DATADIR="$(config_value dataDir)"
ZOO_DATALOGDIR="$(config_value dataLogDir)"

SERVER_ARGS=()
if [ -n "$ZOO_DATADIR_AUTOCREATE_DISABLE" ]; then
    if [ ! -d "$ZOO_DATADIR/version-2" ]; then
        echo "ZooKeeper data directory is missing at $ZOO_DATADIR fix the path or run initialize"
        exit 1
    fi
    if [ -n "$ZOO_DATALOGDIR" ] && [ ! -d "$ZOO_DATALOGDIR/version-2" ]; then
        echo "ZooKeeper txnlog directory is missing at $ZOO_DATALOGDIR fix the path or run initialize"
        exit 1
    fi
    SERVER_ARGS+=("-Dzookeeper.datadir.autocreate=false")
fi
SERVER_ARGS+=("$ZOOCFG")

ZOOPIDFILE="${ZOOPIDFILE:-${ZOO_DATADIR:+$ZOO_DATADIR/zookeeper_server.pid}}"

ZOO_USER="${USER:-$(id -un)}"
ZOO_DAEMON_OUT="$ZOO_LOG_DIR/zookeeper-$ZOO_USER-server-$HOSTNAME.out"
ZOO_DAEMON_LOG="$ZOO_DAEMON_OUT"
if [ -n "$ZOO_LOG_FILE" ]; then
    ZOO_DAEMON_LOG="$ZOO_LOG_DIR/$ZOO_LOG_FILE"
fi

# Whether a process lives; one that only waits for its parent to take note does not.
is_running() {
    kill -0 "$1" > /dev/null 2>&1 && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}

start() {
    echo -n "Starting zookeeper ... "
    if [ -z "$ZOOPIDFILE" ]; then
        echo "FAILED TO START"
        echo "There is no dataDir in $ZOOCFG to note the process id in; add it or set ZOOPIDFILE." >&2
        exit 1
    fi
    if [ -f "$ZOOPIDFILE" ] && is_running "$(cat "$ZOOPIDFILE")"; then
        echo "already running as process $(cat "$ZOOPIDFILE")."
        exit 1
    fi
    mkdir -p "$(dirname "$ZOOPIDFILE")" "$ZOO_LOG_DIR" || {
        echo "FAILED TO START"
        exit 1
    }
    if [ "$ZOO_DAEMON_LOG" = "$ZOO_DAEMON_OUT" ]; then
        nohup "$GAMEKEEPER" server "${SERVER_ARGS[@]}" > "$ZOO_DAEMON_OUT" 2>&1 < /dev/null &
    else
        nohup "$GAMEKEEPER" server "${SERVER_ARGS[@]}" > "$ZOO_DAEMON_OUT" 2>> "$ZOO_DAEMON_LOG" \
            < /dev/null &
    fi
    local pid=$!
    if ! echo -n "$pid" > "$ZOOPIDFILE"; then
        echo "FAILED TO WRITE PID"
        exit 1
    fi
    sleep 1
    if is_running "$pid"; then
        echo "STARTED"
    else
        echo "FAILED TO START"
        echo "The end of $ZOO_DAEMON_LOG:" >&2
        tail -n 5 "$ZOO_DAEMON_LOG" >&2
        exit 1
    fi
}

stop() {
    echo -n "Stopping zookeeper ... "
    if [ ! -f "$ZOOPIDFILE" ]; then
        echo "no zookeeper to stop (could not find file $ZOOPIDFILE)"
        return
    fi
    local pid
    pid="$(cat "$ZOOPIDFILE")"
    kill "$pid"
    # Apache's script waits for a second; a server that still writes a snapshot takes longer.
    local tenths=0
    while is_running "$pid"; do
        if [ "$tenths" -ge $((STOP_SECONDS * 10)) ]; then
            echo "STILL RUNNING AS PROCESS $pid"
            exit 1
        fi
        tenths=$((tenths + 1))
        sleep 0.1
    done
    rm -f "$ZOOPIDFILE"
    echo "STOPPED"
}

# Finds the client port of this server's own server line when clientPort is not set.
port_of_server_line() {
    local my_id line dynamic
    my_id="$(cat "$ZOO_DATADIR/myid" 2> /dev/null)"
    if ! [[ "$my_id" =~ ^[0-9]+$ ]]; then
        echo "myid could not be determined, will not able to locate clientPort in the server configs."
        return
    fi
    line="$(config_value "server\\.$my_id")"
    if [[ "$line" != *\;* ]]; then
        echo "Client port not found in static config file. Looking in dynamic config file."
        dynamic="$(config_value dynamicConfigFile)"
        if [ -n "$dynamic" ]; then
            line="$(config_value "server\\.$my_id" "$dynamic")"
        fi
    fi
    if [[ "$line" != *\;* ]]; then
        echo "Client port not found in the server configs"
        return
    fi
    local client="${line##*;}"
    if [[ "$client" == *:* ]]; then
        local host="${client%:*}"
        host="${host#[}"
        CLIENT_ADDRESS="${host%]}"
    fi
    CLIENT_PORT="${client##*:}"
}

status() {
    local is_ssl="false"
    CLIENT_ADDRESS="$(config_value clientPortAddress)"
    CLIENT_ADDRESS="${CLIENT_ADDRESS:-localhost}"
    CLIENT_PORT="$(config_value clientPort)"
    if ! [[ "$CLIENT_PORT" =~ ^[0-9]+$ ]]; then
        CLIENT_PORT=""
        port_of_server_line
    fi
    if [ -z "$CLIENT_PORT" ]; then
        echo "Client port not found. Looking for secureClientPort in the static config."
        CLIENT_PORT="$(config_value secureClientPort)"
        if [ -z "$CLIENT_PORT" ]; then
            echo "Unable to find either secure or unsecure client port in any configs. Terminating."
            exit 1
        fi
        is_ssl="true"
        CLIENT_ADDRESS="$(config_value secureClientPortAddress)"
        CLIENT_ADDRESS="${CLIENT_ADDRESS:-localhost}"
    fi
    echo "Client port found: $CLIENT_PORT. Client address: $CLIENT_ADDRESS. Client SSL: $is_ssl."
    local mode
    mode="$("$GAMEKEEPER" 4lw "$CLIENT_ADDRESS" "$CLIENT_PORT" srvr "$is_ssl" 2> /dev/null |
        grep Mode)"
    if [ -z "$mode" ]; then
        echo "Error contacting service. It is probably not running."
        exit 1
    fi
    echo "$mode"
}

case "$1" in
start)
    start
    ;;
start-foreground)
    if [ -n "$ZOO_NOEXEC" ]; then
        "$GAMEKEEPER" server "${SERVER_ARGS[@]}"
    else
        exec "$GAMEKEEPER" server "${SERVER_ARGS[@]}"
    fi
    ;;
print-cmd)
    echo "SERVER_JVMFLAGS=\"$SERVER_JVMFLAGS\" JVMFLAGS=\"$JVMFLAGS\" \"$GAMEKEEPER\" server" \
        "$(printf '"%s" ' "${SERVER_ARGS[@]}")> \"$ZOO_DAEMON_OUT\" 2>&1 < /dev/null"
    ;;
stop)
    stop
    exit 0
    ;;
restart)
    stop
    start
    ;;
upgrade)
    echo "upgrading the servers to 3.*"
    echo "The data of every release 3.x is read as it is; there is nothing to upgrade."
    ;;
version)
    exec "$GAMEKEEPER" version
    ;;
status)
    status
    ;;
*)
    echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd|upgrade}" >&2
    exit 1
    ;;
esac
