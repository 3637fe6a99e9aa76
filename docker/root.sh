#!/usr/bin/env bash
# Lays out the files of the image: the binary under the names by which it is called, the libraries it
# needs, who it runs as, and the folders of the volumes.
#
#   docker/root.sh BINARY FOLDER
#
# FOLDER/system belongs to root in the image, FOLDER/volumes to the user zookeeper.
set -euo pipefail

binary=$1
system=$2/system
volumes=$2/volumes
mkdir -p "$system/usr/local/bin" "$system/etc" "$system/tmp" "$volumes"/{data,datalog,logs,conf}
strip --strip-debug -o "$system/usr/local/bin/gamekeeper" "$binary"
for name in zkServer.sh zkCli.sh zkCleanup.sh; do
    ln -s gamekeeper "$system/usr/local/bin/$name"
done
ldd "$binary" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$system$(dirname "$library")"
    cp -L "$library" "$system$library"
done
echo 'zookeeper:x:1000:1000::/data:/usr/local/bin/gamekeeper' >"$system/etc/passwd"
echo 'zookeeper:x:1000:' >"$system/etc/group"
echo 'hosts: files dns' >"$system/etc/nsswitch.conf"
