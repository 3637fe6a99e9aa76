"""A Kazoo client that takes a server without a leader for a while, and goes back to one that has
one."""

import sys
import time

from kazoo.client import KazooClient, KeeperState
from kazoo.exceptions import NotReadOnlyCallError


def connect(addresses, wanted):
    """Opens clients until one is in this state: one that is connected stays where it is."""
    while True:
        client = KazooClient(hosts=addresses, timeout=20, read_only=True)
        client.start(timeout=60)
        if client.client_state == wanted:
            return client
        client.stop()
        client.close()
        time.sleep(0.2)


client = connect(sys.argv[1], KeeperState.CONNECTED)
print("read-write")
client.create("/written")
client.stop()
client.close()

client = connect(sys.argv[1], KeeperState.CONNECTED_RO)
print("read-only")
print("read:", "yes" if client.exists("/written") else "no")
try:
    client.create("/refused")
    print("write: accepted")
except NotReadOnlyCallError:
    print("write: refused")
while client.client_state != KeeperState.CONNECTED:
    time.sleep(0.1)
print("read-write")
client.create("/again", ephemeral=True)
print("written")
client.stop()
client.close()
