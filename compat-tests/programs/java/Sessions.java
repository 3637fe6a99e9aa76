import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;

/** Sessions: negotiated, reconnected, moved, closed by another, refused, expired. */
public final class Sessions {
    private Sessions() {
    }

    public static void main(String[] args) throws Exception {
        negotiated(args[0]);
        try (Proxy proxy = new Proxy(args[0])) {
            reconnected(args[0], proxy);
        }
        try (Proxy proxy = new Proxy(args[0])) {
            expired(args[0], proxy);
        }
        moved(args[0]);
        refused(args[0]);
    }

    private static void negotiated(String address) throws Exception {
        // tickTime is 2000, so timeouts lie between 4000 and the maxSessionTimeout of the test.
        for (int timeout : new int[] {1000, 4000, 10000, 40000, 100000000}) {
            ZooKeeper zk = Transcript.connect(
                address, timeout, new Transcript.Events("session of " + timeout));
            Transcript.say("granted %d", zk.getSessionTimeout());
            zk.close();
        }
    }

    /** A client that was away learns what it missed; its ephemeral node and its watches live. */
    private static void reconnected(String address, Proxy proxy) throws Exception {
        ZooKeeper other = Transcript.connect(address, 30000, new Transcript.Events("other"));
        Transcript.Events session = new Transcript.Events("cut session");
        ZooKeeper zk = Transcript.connect(proxy.address(), 30000, session);
        for (String path : new String[] {
                 "/away", "/away/changed", "/away/deleted", "/away/parent", "/away/same"}) {
            zk.create(path, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        }
        zk.create("/away/ephemeral", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        Transcript.Events changed = new Transcript.Events("changed");
        Transcript.Events deleted = new Transcript.Events("deleted");
        Transcript.Events parent = new Transcript.Events("parent");
        Transcript.Events created = new Transcript.Events("created");
        Transcript.Events same = new Transcript.Events("same");
        Transcript.Events persistent = new Transcript.Events("persistent");
        zk.getData("/away/changed", changed, null);
        zk.getData("/away/deleted", deleted, null);
        zk.getChildren("/away/parent", parent);
        zk.exists("/away/created", created);
        zk.getData("/away/same", same, null);
        zk.addWatch("/away/persistent", persistent, AddWatchMode.PERSISTENT_RECURSIVE);
        long id = zk.getSessionId();
        proxy.cut();
        session.await(KeeperState.Disconnected);
        other.setData("/away/changed", null, -1);
        other.delete("/away/deleted", -1);
        other.create("/away/parent/child", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        other.create("/away/created", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        proxy.mend();
        session.await(KeeperState.SyncConnected);
        Transcript.say("the same session: %s", id == zk.getSessionId());
        for (Transcript.Events events :
            new Transcript.Events[] {changed, deleted, parent, created}) {
            events.await(KeeperState.Disconnected);
            events.await(KeeperState.SyncConnected);
            events.next();
        }
        same.await(KeeperState.SyncConnected);
        persistent.await(KeeperState.SyncConnected);
        other.setData("/away/same", null, -1);
        same.next();
        other.create("/away/persistent", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        persistent.next();
        Transcript.call("the ephemeral node", () -> zk.exists("/away/ephemeral", false));
        zk.close();
        Transcript.call("after the close", () -> other.exists("/away/ephemeral", false));
        other.close();
    }

    /** A client that is away for longer than its timeout comes back to nothing. */
    private static void expired(String address, Proxy proxy) throws Exception {
        ZooKeeper other = Transcript.connect(address, 30000, new Transcript.Events("other"));
        Transcript.Events session = new Transcript.Events("late session");
        ZooKeeper zk = Transcript.connect(proxy.address(), 4000, session);
        zk.create("/late", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        Transcript.Events gone = new Transcript.Events("its ephemeral");
        other.exists("/late", gone);
        proxy.cut();
        gone.next();
        Transcript.call("the ephemeral node", () -> other.exists("/late", false));
        proxy.mend();
        session.await(KeeperState.Expired);
        Transcript.call("a call of an expired session", () -> zk.exists("/", false));
        zk.close();
        other.close();
    }

    /** Whoever knows id and password takes a session over, and can close it. */
    private static void moved(String address) throws Exception {
        Transcript.Events first = new Transcript.Events("first owner");
        ZooKeeper zk = Transcript.connect(address, 30000, first);
        zk.create("/moved", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        Transcript.Events second = new Transcript.Events("second owner");
        ZooKeeper taker =
            new ZooKeeper(address, 30000, second, zk.getSessionId(), zk.getSessionPasswd());
        second.await(KeeperState.SyncConnected);
        first.await(KeeperState.Disconnected);
        taker.close();
        first.await(KeeperState.Expired);
        ZooKeeper other = Transcript.connect(address, 30000, new Transcript.Events("other"));
        Transcript.call("its ephemeral", () -> other.exists("/moved", false));
        other.close();
        zk.close();
    }

    private static void refused(String address) throws Exception {
        Transcript.Events owner = new Transcript.Events("true owner");
        ZooKeeper zk = Transcript.connect(address, 30000, owner);
        Transcript.Events wrong = new Transcript.Events("wrong password");
        ZooKeeper thief = new ZooKeeper(address, 30000, wrong, zk.getSessionId(), new byte[16]);
        wrong.await(KeeperState.Expired);
        // Even an attempt with a wrong password cuts the owner's connection; its session lives.
        owner.await(KeeperState.Disconnected);
        owner.await(KeeperState.SyncConnected);
        thief.close();
        Transcript.Events unknown = new Transcript.Events("unknown session");
        ZooKeeper lost = new ZooKeeper(address, 30000, unknown, 0x123456789L, new byte[16]);
        unknown.await(KeeperState.Expired);
        lost.close();
        Transcript.call("the true owner", () -> zk.exists("/", false) != null);
        zk.close();
    }
}
