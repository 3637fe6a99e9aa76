import static org.apache.zookeeper.CreateMode.CONTAINER;
import static org.apache.zookeeper.CreateMode.EPHEMERAL;
import static org.apache.zookeeper.CreateMode.PERSISTENT;
import static org.apache.zookeeper.CreateMode.PERSISTENT_SEQUENTIAL;
import static org.apache.zookeeper.CreateMode.PERSISTENT_WITH_TTL;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.Watcher.WatcherType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.Stat;

/** Every area of the matrix, by Apache's Java client. */
public final class Areas {
    private static final int TIMEOUT_MS = 20000;
    private static final String ROOT = Checks.ROOT;

    private Areas() {
    }

    /** Events in their order. */
    private static final class Events implements Watcher {
        private final BlockingQueue<WatchedEvent> queue = new LinkedBlockingQueue<>();

        @Override
        public void process(WatchedEvent event) {
            queue.add(event);
        }

        /** The next event of a node is this one. */
        void next(EventType type, String path) throws InterruptedException {
            WatchedEvent event;
            do {
                event = queue.poll(Checks.WAIT_SECONDS, TimeUnit.SECONDS);
            } while (event != null && event.getType() == EventType.None);
            Checks.equal(
                type + " " + path, event == null ? null : event.getType() + " " + event.getPath());
        }

        void await(KeeperState... states) throws InterruptedException {
            WatchedEvent event;
            do {
                event = queue.poll(Checks.WAIT_SECONDS, TimeUnit.SECONDS);
                Checks.isTrue("an event of " + Arrays.toString(states), event != null);
            } while (!Arrays.asList(states).contains(event.getState()));
        }

        void none() {
            Checks.equal("[]", queue.toString());
        }
    }

    public static void main(String[] args) throws Exception {
        Checks.begin(args[0]);
        if (args[0].equals("read-only")) {
            readOnly();
            System.exit(0);
        }
        Events session = new Events();
        ZooKeeper zk = new ZooKeeper(Checks.HOSTS, TIMEOUT_MS, session);
        session.await(KeeperState.SyncConnected);
        ZooKeeper other = connect(Checks.otherHosts());
        zk.create(ROOT, null, OPEN_ACL_UNSAFE, PERSISTENT);
        sync(other);
        switch (args[0]) {
            case "operations": operations(zk, other); break;
            case "watches": watches(zk, other); break;
            case "sessions": sessions(zk, other, session); break;
            case "acl": acl(zk, other); break;
            case "multi": multi(zk); break;
            case "ttl": ttl(zk); break;
            case "reconfig": reconfig(); break;
            case "quotas": quotas(zk); break;
            default: Checks.none("the library has no recipes");
        }
        System.exit(0);
    }

    private static ZooKeeper connect(String hosts) throws Exception {
        Events events = new Events();
        ZooKeeper zk = new ZooKeeper(hosts, TIMEOUT_MS, events);
        events.await(KeeperState.SyncConnected);
        return zk;
    }

    /** The client of 3.8 has it with a callback only. */
    private static void sync(ZooKeeper zk) throws Exception {
        CountDownLatch done = new CountDownLatch(1);
        zk.sync("/", (rc, path, context) -> done.countDown(), null);
        Checks.isTrue("a sync", done.await(Checks.WAIT_SECONDS, TimeUnit.SECONDS));
    }

    private static String create(ZooKeeper zk, String path) throws Exception {
        return zk.create(path, "1".getBytes(), OPEN_ACL_UNSAFE, PERSISTENT);
    }

    private static void operations(ZooKeeper zk, ZooKeeper other) throws Exception {
        String node = ROOT + "/node";
        Checks.check("create and get", () -> {
            Checks.equal(node, create(zk, node));
            Stat stat = new Stat();
            Checks.equal("1".getBytes(), zk.getData(node, false, stat));
            Checks.equal("0 1", stat.getVersion() + " " + stat.getDataLength());
        });
        Checks.check("set", () -> {
            Checks.equal(1, zk.setData(node, "2".getBytes(), 0).getVersion());
            Checks.equal("2".getBytes(), zk.getData(node, false, null));
        });
        Checks.check("exists", () -> {
            Checks.equal(1, zk.exists(node, false).getVersion());
            Checks.equal(null, zk.exists(ROOT + "/absent", false));
        });
        Checks.check("children", () -> {
            create(zk, node + "/a");
            create(zk, node + "/b");
            List<String> names = new ArrayList<>(zk.getChildren(node, false));
            Collections.sort(names);
            Checks.equal(Arrays.asList("a", "b"), names);
            Checks.equal(2, zk.getAllChildrenNumber(node));
        });
        Checks.check("sequential nodes", () -> {
            String path = node + "/s-";
            String first = zk.create(path, null, OPEN_ACL_UNSAFE, PERSISTENT_SEQUENTIAL);
            String second = zk.create(path, null, OPEN_ACL_UNSAFE, PERSISTENT_SEQUENTIAL);
            Checks.isTrue(first + " before " + second, first.compareTo(second) < 0);
            Checks.equal(path.length() + 10, first.length());
        });
        Checks.check("errors", () -> {
            Checks.refused(Code.NODEEXISTS, () -> create(zk, node));
            Checks.refused(Code.NONODE, () -> create(zk, ROOT + "/absent/child"));
            Checks.refused(Code.BADVERSION, () -> zk.setData(node, null, 7));
            Checks.refused(Code.NOTEMPTY, () -> {
                zk.delete(node, -1);
                return "deleted";
            });
        });
        Checks.check("delete", () -> {
            zk.delete(node + "/a", 0);
            Checks.equal(null, zk.exists(node + "/a", false));
        });
        Checks.check("sync at another member", () -> {
            create(zk, ROOT + "/new");
            sync(other);
            Checks.isTrue("it is there", other.exists(ROOT + "/new", false) != null);
        });
        Checks.check("pipelined writes in order", () -> {
            List<Integer> versions = Collections.synchronizedList(new ArrayList<>());
            for (int i = 0; i < 200; i++) {
                zk.setData(ROOT + "/new", null, -1, (rc, path, context, stat) -> {
                    versions.add(stat == null ? -1 : stat.getVersion());
                }, null);
            }
            Checks.eventually("all answers", () -> versions.size() == 200);
            for (int i = 0; i < 200; i++) {
                Checks.equal(i + 1, versions.get(i));
            }
        });
    }

    private static void watches(ZooKeeper zk, ZooKeeper other) throws Exception {
        String node = ROOT + "/node";
        Events data = new Events();
        Events children = new Events();
        Checks.check("a node is created", () -> {
            Events exists = new Events();
            zk.exists(node, exists);
            create(other, node);
            exists.next(EventType.NodeCreated, node);
        });
        Checks.check("data change", () -> {
            zk.getData(node, data, null);
            other.setData(node, null, -1);
            data.next(EventType.NodeDataChanged, node);
        });
        Checks.check("children change", () -> {
            zk.getChildren(node, children);
            create(other, node + "/child");
            children.next(EventType.NodeChildrenChanged, node);
        });
        Checks.check("once only", () -> {
            other.setData(node, null, -1);
            other.delete(node + "/child", -1);
            Stat seen = new Stat();
            Checks.eventually("the change is seen", () -> {
                zk.getData(node, false, seen);
                return seen.getVersion() == 2 && seen.getNumChildren() == 0;
            });
            data.none();
            children.none();
        });
        Checks.check("a node is deleted", () -> {
            zk.getData(node, data, null);
            other.delete(node, -1);
            data.next(EventType.NodeDeleted, node);
        });
        Checks.check("persistent watch", () -> {
            Events events = new Events();
            zk.addWatch(ROOT + "/p", events, AddWatchMode.PERSISTENT);
            create(other, ROOT + "/p");
            other.setData(ROOT + "/p", null, -1);
            create(other, ROOT + "/p/child");
            events.next(EventType.NodeCreated, ROOT + "/p");
            events.next(EventType.NodeDataChanged, ROOT + "/p");
            events.next(EventType.NodeChildrenChanged, ROOT + "/p");
        });
        Checks.check("recursive watch", () -> {
            Events events = new Events();
            zk.addWatch(ROOT + "/r", events, AddWatchMode.PERSISTENT_RECURSIVE);
            create(other, ROOT + "/r");
            create(other, ROOT + "/r/child");
            other.setData(ROOT + "/r/child", null, -1);
            other.delete(ROOT + "/r/child", -1);
            events.next(EventType.NodeCreated, ROOT + "/r");
            events.next(EventType.NodeCreated, ROOT + "/r/child");
            events.next(EventType.NodeDataChanged, ROOT + "/r/child");
            events.next(EventType.NodeDeleted, ROOT + "/r/child");
        });
        Checks.check("remove a watch", () -> {
            Events removed = new Events();
            zk.getData(ROOT + "/p", removed, null);
            zk.removeWatches(ROOT + "/p", removed, WatcherType.Data, false);
            removed.next(EventType.DataWatchRemoved, ROOT + "/p");
            Checks.refused(Code.NOWATCHER, () -> {
                zk.removeWatches(ROOT + "/p", removed, WatcherType.Data, false);
                return "removed";
            });
        });
    }

    private static void sessions(ZooKeeper zk, ZooKeeper other, Events session) throws Exception {
        String mine = ROOT + "/mine";
        long id = zk.getSessionId();
        Checks.check("timeout", () -> Checks.equal(TIMEOUT_MS, zk.getSessionTimeout()));
        Checks.check("its ephemerals end with it", () -> {
            ZooKeeper brief = connect(Checks.HOSTS);
            brief.create(ROOT + "/brief", null, OPEN_ACL_UNSAFE, EPHEMERAL);
            Events gone = new Events();
            brief.close();
            sync(other);
            Checks.equal(null, other.exists(ROOT + "/brief", gone));
        });
        Events changed = new Events();
        zk.create(mine, null, OPEN_ACL_UNSAFE, EPHEMERAL);
        zk.getData(mine, changed, null);
        String killed = Checks.ask("kill-member-of 0x" + Long.toHexString(id));
        Checks.check("goes on at another member", () -> {
            session.await(KeeperState.Disconnected);
            session.await(KeeperState.SyncConnected);
            Checks.equal(id, zk.getSessionId());
        });
        Checks.check("its ephemeral is there", () -> {
            Checks.equal(id, zk.exists(mine, false).getEphemeralOwner());
        });
        Checks.check("its watch is there", () -> {
            zk.setData(mine, null, -1);
            changed.next(EventType.NodeDataChanged, mine);
        });
        Checks.ask("start-members");
        Checks.check("taken over, and closed, at another member", () -> {
            Events taken = new Events();
            ZooKeeper taker =
                new ZooKeeper(killed, TIMEOUT_MS, taken, id, zk.getSessionPasswd());
            taken.await(KeeperState.SyncConnected);
            Checks.equal(id, taker.exists(mine, false).getEphemeralOwner());
            taker.close();
            session.await(KeeperState.Expired);
            Checks.equal(null, connect(killed).exists(mine, false));
        });
        Checks.check("a wrong password", () -> {
            Events refused = new Events();
            ZooKeeper stranger = new ZooKeeper(
                Checks.HOSTS, TIMEOUT_MS, refused, other.getSessionId(), new byte[16]);
            refused.await(KeeperState.Expired);
            stranger.close();
        });
    }

    private static void acl(ZooKeeper zk, ZooKeeper other) throws Exception {
        String node = ROOT + "/node";
        Checks.check("who has no identity owns nothing", () -> {
            Checks.refused(Code.INVALIDACL,
                () -> zk.create(node, null, Ids.CREATOR_ALL_ACL, PERSISTENT));
        });
        Checks.check("its creator's only", () -> {
            zk.addAuthInfo("digest", "user:pass".getBytes());
            zk.create(node, "1".getBytes(), Ids.CREATOR_ALL_ACL, PERSISTENT);
            Checks.equal("1".getBytes(), zk.getData(node, false, null));
            sync(other);
            Checks.refused(Code.NOAUTH, () -> other.getData(node, false, null));
            Checks.refused(Code.NOAUTH, () -> other.setData(node, null, -1));
        });
        Checks.check("read and change an ACL", () -> {
            Stat stat = new Stat();
            Checks.equal("digest", zk.getACL(node, stat).get(0).getId().getScheme());
            Checks.equal(1, zk.setACL(node, Ids.READ_ACL_UNSAFE, 0).getAversion());
            sync(other);
            Checks.equal("1".getBytes(), other.getData(node, false, null));
            Checks.refused(Code.NOAUTH, () -> other.setData(node, null, -1));
        });
        Checks.check("the super user", () -> {
            other.addAuthInfo("digest", "super:secret".getBytes());
            Checks.equal(1, other.setData(node, null, -1).getVersion());
        });
        Checks.check("who am I", () -> {
            Checks.isTrue("user", zk.whoAmI().toString().contains("user"));
        });
        Checks.check("an unknown scheme", () -> {
            Events events = new Events();
            ZooKeeper unknown = new ZooKeeper(Checks.HOSTS, TIMEOUT_MS, events);
            unknown.addAuthInfo("nonsense", "x".getBytes());
            events.await(KeeperState.AuthFailed);
            unknown.close();
        });
    }

    private static void multi(ZooKeeper zk) throws Exception {
        String node = ROOT + "/node";
        Checks.check("all of it", () -> {
            List<OpResult> results = zk.multi(Arrays.asList(
                Op.create(node, null, OPEN_ACL_UNSAFE, PERSISTENT),
                Op.create(node + "/s-", null, OPEN_ACL_UNSAFE, PERSISTENT_SEQUENTIAL),
                Op.setData(node, "2".getBytes(), 0), Op.check(node, 1),
                Op.delete(node + "/s-0000000000", -1)));
            Checks.equal(5, results.size());
            Checks.equal("2".getBytes(), zk.getData(node, false, null));
            Checks.equal(0, zk.exists(node, false).getNumChildren());
        });
        Checks.check("or nothing", () -> {
            List<Op> ops = Arrays.asList(
                Op.create(node + "/a", null, OPEN_ACL_UNSAFE, PERSISTENT),
                Op.check(node, 7), Op.setData(node, null, -1));
            try {
                zk.multi(ops);
                throw new AssertionError("it is not refused");
            } catch (KeeperException e) {
                Checks.equal(Code.BADVERSION, e.code());
                List<Integer> codes = new ArrayList<>();
                e.getResults().forEach(r -> codes.add(((OpResult.ErrorResult) r).getErr()));
                Checks.equal(Arrays.asList(0, -103, -2), codes);
            }
            Checks.equal(null, zk.exists(node + "/a", false));
        });
        Checks.check("reads", () -> {
            List<OpResult> results =
                zk.multi(Arrays.asList(Op.getData(node), Op.getChildren(ROOT)));
            Checks.equal("2".getBytes(), ((OpResult.GetDataResult) results.get(0)).getData());
            Checks.equal(Arrays.asList("node"),
                ((OpResult.GetChildrenResult) results.get(1)).getChildren());
        });
    }

    private static void ttl(ZooKeeper zk) throws Exception {
        Checks.check("an empty container is removed", () -> {
            String container = ROOT + "/container";
            zk.create(container, null, OPEN_ACL_UNSAFE, CONTAINER);
            create(zk, container + "/child");
            zk.delete(container + "/child", -1);
            Checks.eventually("the container goes", () -> zk.exists(container, false) == null);
        });
        Checks.check("a node lives as long as told", () -> {
            Stat stat = new Stat();
            zk.create(ROOT + "/brief", null, OPEN_ACL_UNSAFE, PERSISTENT_WITH_TTL, stat, 500);
            zk.create(ROOT + "/long", null, OPEN_ACL_UNSAFE, PERSISTENT_WITH_TTL, stat, 600000);
            Checks.eventually("it goes", () -> zk.exists(ROOT + "/brief", false) == null);
            Checks.isTrue("the other stays", zk.exists(ROOT + "/long", false) != null);
        });
        Checks.check("one with children stays", () -> {
            Stat stat = new Stat();
            zk.create(ROOT + "/parent", null, OPEN_ACL_UNSAFE, PERSISTENT_WITH_TTL, stat, 3000);
            create(zk, ROOT + "/parent/child");
            zk.create(ROOT + "/next", null, OPEN_ACL_UNSAFE, PERSISTENT_WITH_TTL, stat, 3000);
            Checks.eventually("the next goes", () -> zk.exists(ROOT + "/next", false) == null);
            Checks.isTrue("the parent stays", zk.exists(ROOT + "/parent", false) != null);
        });
    }

    private static void reconfig() throws Exception {
        Events events = new Events();
        ZooKeeperAdmin admin = new ZooKeeperAdmin(Checks.HOSTS, TIMEOUT_MS, events);
        events.await(KeeperState.SyncConnected);
        String line = Checks.SERVER_LINE;
        String observer = line.replace(":participant", ":observer");
        Checks.check("read the configuration", () -> {
            String config = new String(admin.getConfig(false, null));
            Checks.isTrue(line + " in " + config, config.contains(line));
            Checks.isTrue("a version in " + config, config.contains("version="));
        });
        Checks.check("not for everybody", () -> {
            Checks.refused(
                Code.NOAUTH, () -> admin.reconfigure(observer, null, null, -1, null));
        });
        admin.addAuthInfo("digest", "super:secret".getBytes());
        Checks.check("of another version", () -> {
            Checks.refused(
                Code.BADVERSION, () -> admin.reconfigure(observer, null, null, 1, null));
        });
        Checks.check("a voter observes and votes again", () -> {
            Events changed = new Events();
            admin.getConfig(changed, null);
            String config = new String(retried(admin, observer));
            Checks.isTrue(observer + " in " + config, config.contains(observer));
            changed.next(EventType.NodeDataChanged, "/zookeeper/config");
            config = new String(retried(admin, line));
            Checks.isTrue(line + " in " + config, config.contains(line));
        });
    }

    /** A member whose part changes closes its connections, and the reply may be lost with one. */
    private static byte[] retried(ZooKeeperAdmin admin, String line) throws Exception {
        byte[][] config = new byte[1][];
        Checks.eventually("a change of the members", () -> {
            try {
                config[0] = admin.reconfigure(line, null, null, -1, null);
                return true;
            } catch (KeeperException.ConnectionLossException e) {
                return false;
            } catch (KeeperException.ReconfigInProgress | KeeperException.NewConfigNoQuorum e) {
                return false;
            }
        });
        return config[0];
    }

    private static void readOnly() throws Exception {
        ZooKeeper writer = connect(Checks.HOSTS);
        create(writer, ROOT);
        writer.close();
        Checks.ask("lose-quorum");
        Events session = new Events();
        ZooKeeper zk = new ZooKeeper(Checks.HOSTS, TIMEOUT_MS, session, true);
        Checks.check("connect", () -> session.await(KeeperState.ConnectedReadOnly));
        Checks.check("read", () -> Checks.equal("1".getBytes(), zk.getData(ROOT, false, null)));
        Checks.check("no writes", () -> Checks.refused(Code.NOTREADONLY, () -> create(zk, ROOT)));
        Checks.ask("start-members");
        Checks.check("back to all members", () -> session.await(KeeperState.SyncConnected));
        Checks.check("write", () -> create(zk, ROOT + "/after"));
    }

    private static void quotas(ZooKeeper zk) throws Exception {
        String node = ROOT + "/node";
        String quota = "/zookeeper/quota" + node;
        create(zk, node);
        Checks.check("set a quota", () -> {
            String path = "/zookeeper/quota";
            for (String part : node.substring(1).split("/")) {
                path += "/" + part;
                zk.create(path, null, OPEN_ACL_UNSAFE, PERSISTENT);
            }
            byte[] limits = "count=2,bytes=-1;byteHardLimit=10;countHardLimit=3".getBytes();
            zk.create(quota + "/zookeeper_limits", limits, OPEN_ACL_UNSAFE, PERSISTENT);
            byte[] stats = "count=0,bytes=0".getBytes();
            zk.create(quota + "/zookeeper_stats", stats, OPEN_ACL_UNSAFE, PERSISTENT);
        });
        Checks.check("what is there is counted", () -> {
            create(zk, node + "/a");
            Checks.equal("count=2,bytes=2", stats(zk, quota));
        });
        Checks.check("a soft limit lets through", () -> {
            create(zk, node + "/b");
            Checks.equal("count=3,bytes=3", stats(zk, quota));
        });
        Checks.check("a hard limit does not", () -> {
            Checks.refused(Code.QUOTAEXCEEDED, () -> create(zk, node + "/c"));
            Checks.refused(
                Code.QUOTAEXCEEDED, () -> zk.setData(node, "12345678901".getBytes(), -1));
        });
        Checks.check("nor without a quota", () -> {
            zk.delete(quota + "/zookeeper_limits", -1);
            zk.delete(quota + "/zookeeper_stats", -1);
            create(zk, node + "/c");
        });
    }

    private static String stats(ZooKeeper zk, String quota) throws Exception {
        String stats = new String(zk.getData(quota + "/zookeeper_stats", false, null));
        // Limits that are not set may be left out.
        return stats.split(";")[0];
    }
}
