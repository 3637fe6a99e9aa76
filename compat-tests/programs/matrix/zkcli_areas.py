"""Every area of the matrix that ZooKeeper's own shell can do.

zkcli_areas.py APACHE RELEASE AREA, where APACHE is compat-tests/apache: it runs any release.
"""

import re
import subprocess
import sys
import threading
import time

from checks import (
    AREA, HOSTS, OTHER_HOSTS, ROOT, SERVER_LINE, WAIT_SECONDS,
    ask, check, equal, eventually, none,
)

NODE = ROOT + "/node"


class Shell:
    """A shell that reads its commands from us."""

    def __init__(self, hosts, *options):
        command = [*sys.argv[1:2], sys.argv[2], "cli", *options, "-server", hosts]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        self.grown = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.grown:
                self.lines.append(line.rstrip("\n"))
                self.grown.notify_all()

    def wait_for(self, pattern, since=0):
        """The index of the first line from `since` on that matches."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self.grown:
            while True:
                for index in range(since, len(self.lines)):
                    if re.search(pattern, self.lines[index]):
                        return index
                if not self.grown.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no line like {pattern} in {self.lines[since:]}")

    def write(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def run(self, command):
        """What a command prints, up to where the answer to the next one begins."""
        since = len(self.lines)
        self.write(command)
        self.write("version")
        end = self.wait_for("^ZooKeeper CLI version", since)
        return "\n".join(self.lines[since:end])

    def prints(self, pattern, command):
        seen = self.run(command)
        if not re.search(pattern, seen, re.MULTILINE):
            raise AssertionError(f"{command}: nothing like {pattern} in {seen!r}")
        return seen

    def is_there(self, path):
        return "cZxid" in self.run(f"stat {path}")

    def event(self, kind, path, since):
        self.wait_for(f"type:{kind} path:{re.escape(path)}( |$)", since)


def operations(shell, other):
    @check("create and get")
    def _():
        shell.prints(f"^Created {NODE}$", f"create {NODE} 1")
        shell.prints("^1$", f"get {NODE}")

    @check("set")
    def _():
        shell.prints("^dataVersion = 1$", f"set -s -v 0 {NODE} 2")
        shell.prints("^2$", f"get -s {NODE}")

    @check("exists")
    def _():
        shell.prints("^dataVersion = 1$", f"stat {NODE}")
        shell.prints("Node does not exist", f"stat {ROOT}/absent")

    @check("children")
    def _():
        shell.run(f"create {NODE}/a")
        shell.run(f"create {NODE}/b")
        shell.prints(r"^\[a, b\]$", f"ls {NODE}")
        shell.prints("^2$", f"getAllChildrenNumber {NODE}")

    @check("sequential nodes")
    def _():
        shell.prints(rf"^Created {NODE}/s-0000000002$", f"create -s {NODE}/s-")
        shell.prints(rf"^Created {NODE}/s-0000000003$", f"create -s {NODE}/s-")

    @check("errors")
    def _():
        shell.prints("Node already exists", f"create {NODE}")
        shell.prints("Node does not exist", f"create {ROOT}/absent/child")
        shell.prints("version No is not valid", f"set -v 7 {NODE} x")
        shell.prints("Node not empty", f"delete {NODE}")

    @check("delete")
    def _():
        shell.run(f"delete -v 0 {NODE}/a")
        equal(False, shell.is_there(NODE + "/a"))
        shell.run(f"deleteall {NODE}")
        equal(False, shell.is_there(NODE))

    @check("sync at another member")
    def _():
        shell.run(f"create {ROOT}/new")
        other.prints("Sync is OK", f"sync {ROOT}")
        equal(True, other.is_there(ROOT + "/new"))


def watches(shell, other):
    @check("a node is created")
    def _():
        since = len(shell.lines)
        shell.run(f"addWatch -m PERSISTENT {NODE}")
        other.run(f"create {NODE}")
        shell.event("NodeCreated", NODE, since)
        shell.run(f"removewatches {NODE}")

    @check("data change")
    def _():
        since = len(shell.lines)
        shell.run(f"get -w {NODE}")
        other.run(f"set {NODE} 1")
        shell.event("NodeDataChanged", NODE, since)

    @check("children change")
    def _():
        since = len(shell.lines)
        shell.run(f"ls -w {NODE}")
        other.run(f"create {NODE}/child")
        shell.event("NodeChildrenChanged", NODE, since)

    @check("once only")
    def _():
        since = len(shell.lines)
        other.run(f"set {NODE} 2")
        other.run(f"delete {NODE}/child")
        eventually("the change is seen", lambda: "numChildren = 0" in shell.run(f"stat {NODE}"))
        equal([], [line for line in shell.lines[since:] if "WatchedEvent" in line])

    @check("a node is deleted")
    def _():
        since = len(shell.lines)
        shell.run(f"stat -w {NODE}")
        other.run(f"delete {NODE}")
        shell.event("NodeDeleted", NODE, since)

    @check("persistent watch")
    def _():
        since = len(shell.lines)
        shell.run(f"addWatch -m PERSISTENT {ROOT}/p")
        other.run(f"create {ROOT}/p")
        other.run(f"set {ROOT}/p 1")
        shell.event("NodeCreated", ROOT + "/p", since)
        shell.event("NodeDataChanged", ROOT + "/p", since)

    @check("recursive watch")
    def _():
        since = len(shell.lines)
        shell.run(f"addWatch -m PERSISTENT_RECURSIVE {ROOT}/r")
        other.run(f"create {ROOT}/r")
        other.run(f"create {ROOT}/r/child")
        shell.event("NodeCreated", ROOT + "/r", since)
        shell.event("NodeCreated", ROOT + "/r/child", since)

    @check("remove a watch")
    def _():
        since = len(shell.lines)
        shell.run(f"removewatches {ROOT}/p")
        shell.event("PersistentWatchRemoved", ROOT + "/p", since)


def sessions(shell, other):
    mine = ROOT + "/mine"

    def owner(path):
        return re.search("ephemeralOwner = (0x[0-9a-f]+)", shell.run(f"stat {path}"))[1]

    @check("its ephemerals end with it")
    def _():
        brief = Shell(HOSTS)
        brief.prints("^Created", f"create -e {ROOT}/brief")
        brief.write("quit")
        brief.process.wait(WAIT_SECONDS)
        other.prints("Sync is OK", f"sync {ROOT}")
        equal(False, other.is_there(ROOT + "/brief"))

    shell.prints("^Created", f"create -e {mine}")
    shell.run(f"get -w {mine}")
    session = owner(mine)
    since = len(shell.lines)
    ask(f"kill-member-of {session}")

    @check("goes on at another member")
    def _():
        lost = shell.wait_for("state:Disconnected", since)
        shell.wait_for("state:SyncConnected type:None", lost)

    @check("its ephemeral is there")
    def _():
        equal(session, owner(mine))

    @check("its watch is there")
    def _():
        before = len(shell.lines)
        shell.run(f"set {mine} 1")
        shell.event("NodeDataChanged", mine, before)


def acl(shell, other):
    refused = "Insufficient permission|Authentication is not valid"

    @check("who has no identity owns nothing")
    def _():
        shell.prints("Acl is not valid|Invalid ACL", f"create {NODE} 1 auth::cdrwa")

    @check("its creator's only")
    def _():
        shell.run("addauth digest user:pass")
        shell.prints("^Created", f"create {NODE} 1 auth::cdrwa")
        shell.prints("^1$", f"get {NODE}")
        other.prints("Sync is OK", f"sync {ROOT}")
        other.prints(refused, f"get {NODE}")
        other.prints(refused, f"set {NODE} 2")

    @check("read and change an ACL")
    def _():
        shell.prints("^'digest,'user:", f"getAcl {NODE}")
        shell.prints("^aclVersion = 1$", f"setAcl -s {NODE} world:anyone:r")
        other.prints("Sync is OK", f"sync {ROOT}")
        other.prints("^1$", f"get {NODE}")
        other.prints(refused, f"set {NODE} 2")

    @check("the super user")
    def _():
        other.run("addauth digest super:secret")
        other.prints("^dataVersion = 1$", f"set -s {NODE} 2")

    @check("who am I")
    def _():
        shell.prints("^digest: user$", "whoami")


def ttl(shell, other):
    @check("an empty container is removed")
    def _():
        shell.prints("^Created", f"create -c {ROOT}/container")
        shell.prints("^Created", f"create {ROOT}/container/child")
        shell.run(f"delete {ROOT}/container/child")
        eventually("the container goes", lambda: not shell.is_there(ROOT + "/container"))

    @check("a node lives as long as told")
    def _():
        shell.prints("^Created", f"create -t 500 {ROOT}/brief")
        shell.prints("^Created", f"create -t 600000 {ROOT}/long")
        eventually("it goes", lambda: not shell.is_there(ROOT + "/brief"))
        equal(True, shell.is_there(ROOT + "/long"))


def reconfig(shell, other):
    observer = SERVER_LINE.replace(":participant", ":observer")

    def is_changed_to(line):
        # A member whose part changes closes its connections, and the reply may be lost with one.
        return f"\n{line}" in shell.run(f"reconfig -add {line}")

    @check("read the configuration")
    def _():
        shell.prints(f"^{re.escape(SERVER_LINE)}$", "config")

    @check("not for everybody")
    def _():
        shell.prints("Insufficient permission|not valid", f"reconfig -add {observer}")

    shell.run("addauth digest super:secret")

    @check("of another version")
    def _():
        shell.prints("version No is not valid", f"reconfig -v 1 -add {observer}")

    @check("a voter observes and votes again")
    def _():
        since = len(shell.lines)
        shell.run("config -w")
        eventually("it observes", lambda: is_changed_to(observer))
        shell.event("NodeDataChanged", "/zookeeper/config", since)
        eventually("it votes", lambda: is_changed_to(SERVER_LINE))


def read_only():
    writer = Shell(HOSTS)
    writer.prints("^Created", f"create {ROOT} 1")
    writer.write("quit")
    writer.process.wait(WAIT_SECONDS)
    ask("lose-quorum")
    shell = Shell(HOSTS, "-r")

    @check("connect")
    def _():
        shell.wait_for("state:ConnectedReadOnly")

    @check("read")
    def _():
        shell.prints("^1$", f"get {ROOT}")

    @check("no writes")
    def _():
        shell.prints("Not a read-only call", f"create {ROOT}/refused")

    ask("start-members")

    @check("back to all members")
    def _():
        shell.wait_for("state:SyncConnected type:None")

    @check("write")
    def _():
        shell.prints("^Created", f"create {ROOT}/after")


def quotas(shell, other):
    shell.run(f"create {NODE} 1")

    @check("set a quota")
    def _():
        for limit in ("-n 2", "-N 3", "-B 10"):
            shell.run(f"setquota {limit} {NODE}")
        shell.prints("count=2.*byteHardLimit=10;countHardLimit=3", f"listquota {NODE}")

    @check("what is there is counted")
    def _():
        shell.run(f"create {NODE}/a 1")
        shell.prints("count=2,bytes=2", f"listquota {NODE}")

    @check("a soft limit lets through")
    def _():
        shell.prints("^Created", f"create {NODE}/b 1")
        shell.prints("count=3,bytes=3", f"listquota {NODE}")

    @check("a hard limit does not")
    def _():
        shell.prints("Quota has exceeded", f"create {NODE}/c 1")
        shell.prints("Quota has exceeded", f"set {NODE} 12345678901")

    @check("nor without a quota")
    def _():
        shell.run(f"delquota {NODE}")
        shell.prints("^Created", f"create {NODE}/c 1")


def main():
    if AREA in ("multi", "recipes"):
        return none(f"the shell has no {AREA}")
    if AREA == "read-only":
        return read_only()
    shell, other = Shell(HOSTS), Shell(OTHER_HOSTS)
    shell.prints("^Created", f"create {ROOT}")
    # Its first command may come before its connection.
    eventually("a sync", lambda: "Sync is OK" in other.run("sync /"))
    globals()[AREA](shell, other)
    for one in (shell, other):
        one.write("quit")


main()
