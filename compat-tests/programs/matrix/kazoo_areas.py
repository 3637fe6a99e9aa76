"""Every area of the matrix that Kazoo can do."""

import os
import queue
import threading

import kazoo.recipe.cache
from kazoo.client import KazooClient, KeeperState
from kazoo.exceptions import (
    BadVersionError,
    InvalidACLError,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    NotReadOnlyCallError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.protocol.states import EventType
from kazoo.recipe.queue import LockingQueue
from kazoo.security import CREATOR_ALL_ACL, READ_ACL_UNSAFE

from checks import (
    AREA, HOSTS, OTHER_HOSTS, ROOT, SERVER_LINE, WAIT_SECONDS,
    ask, check, equal, eventually, none, refused,
)

NODE = ROOT + "/node"


class Events:
    """Events of nodes in their order."""

    def __init__(self):
        self.queue = queue.Queue()

    def __call__(self, event):
        self.queue.put((event.type, event.path))

    def next(self, kind, path):
        try:
            seen = self.queue.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            seen = None
        equal((kind, path), seen)


def connect(hosts=HOSTS, **options):
    client = KazooClient(hosts=hosts, timeout=20, **options)
    client.start(timeout=WAIT_SECONDS)
    return client


def operations(zk, other):
    @check("create and get")
    def _():
        equal(NODE, zk.create(NODE, b"1"))
        data, stat = zk.get(NODE)
        equal((b"1", 0, 1), (data, stat.version, stat.data_length))

    @check("set")
    def _():
        equal(1, zk.set(NODE, b"2", version=0).version)
        equal(b"2", zk.get(NODE)[0])

    @check("exists")
    def _():
        equal(1, zk.exists(NODE).version)
        equal(None, zk.exists(ROOT + "/absent"))

    @check("children")
    def _():
        zk.create(NODE + "/a")
        zk.create(NODE + "/b")
        names, stat = zk.get_children(NODE, include_data=True)
        equal((["a", "b"], 2), (sorted(names), stat.children_count))

    @check("sequential nodes")
    def _():
        first = zk.create(NODE + "/s-", sequence=True)
        second = zk.create(NODE + "/s-", sequence=True)
        equal(sorted({first, second}), [first, second])
        equal(len(NODE) + 3 + 10, len(first))

    @check("errors")
    def _():
        refused(NodeExistsError, zk.create, NODE)
        refused(NoNodeError, zk.create, ROOT + "/absent/child")
        refused(BadVersionError, zk.set, NODE, b"", version=7)
        refused(NotEmptyError, zk.delete, NODE)

    @check("delete")
    def _():
        zk.delete(NODE + "/a", version=0)
        equal(None, zk.exists(NODE + "/a"))

    @check("sync at another member")
    def _():
        zk.create(ROOT + "/new")
        other.sync(ROOT)
        equal(0, other.exists(ROOT + "/new").version)

    @check("pipelined writes in order")
    def _():
        answers = [zk.set_async(ROOT + "/new", b"x") for _ in range(200)]
        versions = [answer.get(timeout=WAIT_SECONDS).version for answer in answers]
        equal(list(range(1, 201)), versions)


def watches(zk, other):
    events = Events()

    @check("a node is created")
    def _():
        zk.exists(NODE, watch=events)
        other.create(NODE)
        events.next(EventType.CREATED, NODE)

    @check("data change")
    def _():
        zk.get(NODE, watch=events)
        other.set(NODE, b"1")
        events.next(EventType.CHANGED, NODE)

    @check("children change")
    def _():
        zk.get_children(NODE, watch=events)
        other.create(NODE + "/child")
        events.next(EventType.CHILD, NODE)

    @check("once only")
    def _():
        other.set(NODE, b"2")
        other.delete(NODE + "/child")
        eventually("the change is seen", lambda: zk.get(NODE)[1].version == 2)
        eventually("the deletion is seen", lambda: zk.get_children(NODE) == [])
        equal(True, events.queue.empty())

    @check("a node is deleted")
    def _():
        zk.get(NODE, watch=events)
        other.delete(NODE)
        events.next(EventType.DELETED, NODE)


def sessions(zk, other):
    states = queue.Queue()
    zk.add_listener(states.put)
    session, others = zk.client_id[0], other.client_id[0]
    mine = ROOT + "/mine"

    def wait_for(wanted):
        while states.get(timeout=WAIT_SECONDS) != wanted:
            pass

    @check("timeout")
    def _():
        equal(20000, zk._session_timeout)

    @check("its ephemerals end with it")
    def _():
        brief = connect()
        brief.create(ROOT + "/brief", ephemeral=True)
        brief.stop()
        brief.close()
        other.sync(ROOT)
        equal(None, other.exists(ROOT + "/brief"))

    zk.create(mine, ephemeral=True)

    killed = ask(f"kill-member-of {session & 0xFFFFFFFFFFFFFFFF:#x}")

    @check("goes on at another member")
    def _():
        wait_for("SUSPENDED")
        wait_for("CONNECTED")
        equal(session, zk.client_id[0])

    @check("its ephemeral is there")
    def _():
        equal(session, zk.exists(mine).ephemeralOwner)

    ask("start-members")

    @check("taken over, and closed, at another member")
    def _():
        taker = connect(killed, client_id=zk.client_id)
        equal(session, taker.client_id[0])
        equal(session, taker.exists(mine).ephemeralOwner)
        taker.stop()
        taker.close()
        wait_for("LOST")
        equal(None, connect(killed).exists(mine))

    @check("a wrong password")
    def _():
        stranger = connect(client_id=(others, b"\0" * 16))
        equal(False, stranger.client_id[0] == others)

def acl(zk, other):
    @check("who has no identity owns nothing")
    def _():
        refused(InvalidACLError, zk.create, NODE, acl=CREATOR_ALL_ACL)

    @check("its creator's only")
    def _():
        zk.add_auth("digest", "user:pass")
        zk.create(NODE, b"1", acl=CREATOR_ALL_ACL)
        equal(b"1", zk.get(NODE)[0])
        other.sync(ROOT)
        refused(NoAuthError, other.get, NODE)
        refused(NoAuthError, other.set, NODE, b"2")

    @check("read and change an ACL")
    def _():
        acls, _ = zk.get_acls(NODE)
        equal("digest", acls[0].id.scheme)
        equal(1, zk.set_acls(NODE, READ_ACL_UNSAFE, version=0).aversion)
        other.sync(ROOT)
        equal(b"1", other.get(NODE)[0])
        refused(NoAuthError, other.set, NODE, b"2")

    @check("the super user")
    def _():
        other.add_auth("digest", "super:secret")
        equal(1, other.set(NODE, b"2").version)


def multi(zk, other):
    @check("all of it")
    def _():
        transaction = zk.transaction()
        transaction.create(NODE)
        transaction.create(NODE + "/s-", sequence=True)
        transaction.set_data(NODE, b"2", version=0)
        transaction.check(NODE, 1)
        transaction.delete(NODE + "/s-0000000000")
        results = transaction.commit()
        equal([NODE, NODE + "/s-0000000000"], results[:2])
        equal((b"2", 0), (zk.get(NODE)[0], len(zk.get_children(NODE))))

    @check("or nothing")
    def _():
        transaction = zk.transaction()
        transaction.create(NODE + "/a")
        transaction.check(NODE, 7)
        transaction.set_data(NODE, b"")
        results = [type(result) for result in transaction.commit()]
        equal([RolledBackError, BadVersionError, RuntimeInconsistency], results)
        equal(None, zk.exists(NODE + "/a"))


def reconfig(zk, other):
    observer = SERVER_LINE.replace(":participant", ":observer")

    @check("read the configuration")
    def _():
        config = zk.get("/zookeeper/config")[0].decode()
        equal(True, SERVER_LINE in config)
        equal(True, "version=" in config)

    @check("not for everybody")
    def _():
        refused(NoAuthError, zk.reconfig, observer, None, None)

    zk.add_auth("digest", "super:secret")

    @check("of another version")
    def _():
        refused(BadVersionError, zk.reconfig, observer, None, None, from_config=1)

    @check("a voter observes and votes again")
    def _():
        changed = Events()
        zk.get("/zookeeper/config", watch=lambda event: event.path and changed(event))
        # A member whose part changes closes its connections: Kazoo repeats what it was asked.
        config = zk.retry(zk.reconfig, observer, None, None)[0].decode()
        equal(True, observer in config)
        changed.next(EventType.CHANGED, "/zookeeper/config")
        config = zk.retry(zk.reconfig, SERVER_LINE, None, None)[0].decode()
        equal(True, SERVER_LINE in config)


def read_only():
    writer = connect()
    writer.create(ROOT, b"1")
    writer.stop()
    writer.close()
    ask("lose-quorum")
    zk = None

    @check("connect")
    def _():
        nonlocal zk
        zk = connect(read_only=True)
        equal(KeeperState.CONNECTED_RO, zk.client_state)

    @check("read")
    def _():
        equal(b"1", zk.get(ROOT)[0])

    @check("no writes")
    def _():
        refused(NotReadOnlyCallError, zk.create, ROOT + "/refused")

    ask("start-members")

    @check("back to all members")
    def _():
        eventually("a server that writes", lambda: zk.client_state == KeeperState.CONNECTED)

    @check("write")
    def _():
        zk.retry(zk.create, ROOT + "/after")


def quotas(zk, other):
    quota = "/zookeeper/quota" + NODE
    zk.create(NODE, b"1")

    def stats():
        return zk.get(quota + "/zookeeper_stats")[0].decode().split(";")[0]

    def exceeds(call, *arguments):
        # By name, as older releases have none for the code. What 2.8 makes of it is not an answer.
        try:
            call(*arguments).get(timeout=10)
        except Exception as error:
            equal("QuotaExceededError", type(error).__name__)
            return
        raise AssertionError("it is not refused")

    @check("set a quota")
    def _():
        limits = b"count=2,bytes=-1;byteHardLimit=10;countHardLimit=3"
        zk.create(quota + "/zookeeper_limits", limits, makepath=True)
        zk.create(quota + "/zookeeper_stats", b"count=0,bytes=0")

    @check("what is there is counted")
    def _():
        zk.create(NODE + "/a", b"1")
        equal("count=2,bytes=2", stats())

    @check("a soft limit lets through")
    def _():
        zk.create(NODE + "/b", b"1")
        equal("count=3,bytes=3", stats())

    @check("a hard limit does not")
    def _():
        exceeds(zk.create_async, NODE + "/c", b"1")
        exceeds(zk.set_async, NODE, b"12345678901")

    @check("nor without a quota")
    def _():
        other.delete(quota + "/zookeeper_limits")
        other.delete(quota + "/zookeeper_stats")
        other.create(NODE + "/c", b"1")


def together(work, count=4):
    """Runs work in several clients, each with a session of its own, and waits for all."""
    results = queue.Queue()

    def one(number):
        try:
            client = connect()
            work(client, number)
            client.stop()
            client.close()
            results.put(None)
        except Exception as error:
            results.put(error)

    for number in range(count):
        threading.Thread(target=one, args=(number,), daemon=True).start()
    for _ in range(count):
        error = results.get(timeout=WAIT_SECONDS)
        if error:
            raise error


def recipes(zk, other):
    @check("lock")
    def _():
        inside = []

        def work(client, number):
            for _ in range(5):
                with client.Lock(ROOT + "/lock", str(number)):
                    inside.append(number)
                    equal(1, len(inside))
                    inside.pop()

        together(work)

    @check("read and write locks")
    def _():
        inside = []

        def work(client, number):
            lock = client.WriteLock if number == 0 else client.ReadLock
            for _ in range(5):
                with lock(ROOT + "/rw"):
                    inside.append(number)
                    equal(True, number != 0 or inside == [0])
                    inside.remove(number)

        together(work)

    @check("semaphore")
    def _():
        inside = []

        def work(client, number):
            for _ in range(5):
                with client.Semaphore(ROOT + "/semaphore", max_leases=2):
                    inside.append(number)
                    equal(True, len(inside) <= 2)
                    inside.remove(number)

        together(work)

    @check("election")
    def _():
        led = []

        def work(client, number):
            client.Election(ROOT + "/election", str(number)).run(lambda: led.append(number))

        together(work)
        equal([0, 1, 2, 3], sorted(led))

    @check("barrier")
    def _():
        barrier = zk.Barrier(ROOT + "/barrier")
        barrier.create()
        other.sync(ROOT)
        equal(False, other.Barrier(ROOT + "/barrier").wait(0.2))
        barrier.remove()
        equal(True, other.Barrier(ROOT + "/barrier").wait(WAIT_SECONDS))

    @check("double barrier")
    def _():
        arrived = []

        def work(client, number):
            barrier = client.DoubleBarrier(ROOT + "/double", 4)
            arrived.append(number)
            barrier.enter()
            equal(4, len(arrived))
            barrier.leave()

        together(work)

    @check("counter")
    def _():
        def work(client, number):
            counter = client.Counter(ROOT + "/counter")
            for _ in range(5):
                counter += 1

        together(work)
        equal(20, zk.Counter(ROOT + "/counter").value)

    @check("queues")
    def _():
        simple = zk.Queue(ROOT + "/queue")
        for entry in (b"a", b"b", b"c"):
            simple.put(entry)
        equal([b"a", b"b", b"c", None], [simple.get() for _ in range(4)])
        locking = LockingQueue(zk, ROOT + "/locking-queue")
        locking.put_all([b"a", b"b"])
        taken = []
        for _ in range(2):
            taken.append(locking.get(timeout=WAIT_SECONDS))
            locking.consume()
        equal([b"a", b"b"], taken)

    @check("party")
    def _():
        party = zk.Party(ROOT + "/party", "me")
        party.join()
        other.sync(ROOT)
        equal(["me"], list(other.Party(ROOT + "/party")))
        party.leave()
        other.sync(ROOT)
        equal([], list(other.Party(ROOT + "/party")))

    @check("watchers of data and children")
    def _():
        data, children = [], []
        zk.create(ROOT + "/watched", b"0")
        zk.DataWatch(ROOT + "/watched", lambda value, stat: data.append(value))
        zk.ChildrenWatch(ROOT + "/watched", lambda names: children.append(sorted(names)))
        for number in (1, 2):
            other.set(ROOT + "/watched", b"%d" % number)
            other.create(f"{ROOT}/watched/{number}")
            eventually("the data", lambda: data[-1] == b"%d" % number)
            eventually("the children", lambda: len(children[-1]) == number)

    @check("tree cache")
    def _():
        zk.create(ROOT + "/tree")
        cache = kazoo.recipe.cache.TreeCache(zk, ROOT + "/tree")
        cache.start()
        other.create(ROOT + "/tree/a/b", b"1", makepath=True)

        def seen():
            data = cache.get_data(ROOT + "/tree/a/b")
            return data is not None and data.data == b"1"

        eventually("the new node", seen)
        cache.close()


def main():
    if AREA == "ttl":
        return none("Kazoo has no call for containers and times to live")
    if AREA == "read-only":
        return read_only()
    zk, other = connect(), connect(OTHER_HOSTS)
    zk.create(ROOT)
    other.sync("/")
    globals()[AREA](zk, other)


main()
# A client that is left to itself would go on connecting.
os._exit(0)
