import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.CuratorWatcher;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.data.Stat;

/** Every area of the matrix, by Curator. */
public final class Areas {
    private static final String ROOT = Checks.ROOT;
    private static final String NODE = ROOT + "/node";

    private Areas() {
    }

    /** Events of nodes in their order. */
    private static final class Events implements CuratorWatcher {
        private final BlockingQueue<WatchedEvent> queue = new LinkedBlockingQueue<>();

        @Override
        public void process(WatchedEvent event) {
            if (event.getPath() != null) {
                queue.add(event);
            }
        }

        void next(EventType type, String path) throws InterruptedException {
            WatchedEvent event = queue.poll(Checks.WAIT_SECONDS, TimeUnit.SECONDS);
            Checks.equal(
                type + " " + path, event == null ? null : event.getType() + " " + event.getPath());
        }
    }

    /** States of a connection in their order. */
    private static final class States {
        private final BlockingQueue<ConnectionState> queue = new LinkedBlockingQueue<>();

        States(CuratorFramework client) {
            client.getConnectionStateListenable().addListener((c, state) -> queue.add(state));
        }

        void await(ConnectionState wanted) throws InterruptedException {
            ConnectionState state;
            do {
                state = queue.poll(Checks.WAIT_SECONDS, TimeUnit.SECONDS);
                Checks.isTrue("a connection that is " + wanted, state != null);
            } while (state != wanted);
        }
    }

    public static void main(String[] args) throws Exception {
        Checks.begin(args[0]);
        if (args[0].equals("read-only")) {
            readOnly();
            System.exit(0);
        }
        CuratorFramework client = connect(builder(Checks.HOSTS));
        CuratorFramework other = connect(builder(Checks.otherHosts()));
        client.create().forPath(ROOT, new byte[0]);
        sync(other);
        switch (args[0]) {
            case "operations": operations(client, other); break;
            case "watches": watches(client, other); break;
            case "sessions": sessions(client, other); break;
            case "acl": acl(other); break;
            case "multi": multi(client); break;
            case "ttl": ttl(client); break;
            case "reconfig": reconfig(client); break;
            case "quotas": quotas(client); break;
            default: recipes();
        }
        System.exit(0);
    }

    private static CuratorFrameworkFactory.Builder builder(String hosts) {
        return CuratorFrameworkFactory.builder()
            .connectString(hosts)
            .sessionTimeoutMs(20000)
            .connectionTimeoutMs(15000)
            .retryPolicy(new ExponentialBackoffRetry(100, 5));
    }

    private static CuratorFramework connect(CuratorFrameworkFactory.Builder builder)
        throws Exception {
        CuratorFramework client = builder.build();
        client.start();
        Checks.isTrue(
            "a connection", client.blockUntilConnected(Checks.WAIT_SECONDS, TimeUnit.SECONDS));
        return client;
    }

    private static void sync(CuratorFramework client) throws Exception {
        CountDownLatch done = new CountDownLatch(1);
        client.sync().inBackground((c, event) -> done.countDown()).forPath("/");
        Checks.isTrue("a sync", done.await(Checks.WAIT_SECONDS, TimeUnit.SECONDS));
    }

    private static boolean exists(CuratorFramework client, String path) throws Exception {
        return client.checkExists().forPath(path) != null;
    }

    private static void create(CuratorFramework client, String path) throws Exception {
        client.create().forPath(path, "1".getBytes());
    }

    private static void operations(CuratorFramework client, CuratorFramework other)
        throws Exception {
        Checks.check("create and get", () -> {
            Stat stat = new Stat();
            create(client, NODE);
            byte[] data = client.getData().storingStatIn(stat).forPath(NODE);
            Checks.equal("1".getBytes(), data);
            Checks.equal(0, stat.getVersion());
        });
        Checks.check("set", () -> {
            Stat stat = client.setData().withVersion(0).forPath(NODE, "2".getBytes());
            Checks.equal(1, stat.getVersion());
        });
        Checks.check("exists", () -> {
            Checks.equal(true, exists(client, NODE));
            Checks.equal(false, exists(client, ROOT + "/absent"));
        });
        Checks.check("children", () -> {
            client.create().creatingParentsIfNeeded().forPath(NODE + "/a/b");
            create(client, NODE + "/c");
            List<String> names = new ArrayList<>(client.getChildren().forPath(NODE));
            Collections.sort(names);
            Checks.equal(Arrays.asList("a", "c"), names);
        });
        Checks.check("sequential nodes", () -> {
            String first = client.create().withProtection()
                .withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(NODE + "/s-");
            String second = client.create()
                .withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath(NODE + "/s-");
            Checks.isTrue("protected: " + first, first.startsWith(NODE + "/_c_"));
            Checks.equal(NODE + "/s-0000000003", second);
        });
        Checks.check("errors", () -> {
            Checks.refused(Code.NODEEXISTS, () -> client.create().forPath(NODE));
            Checks.refused(Code.NONODE, () -> client.create().forPath(ROOT + "/absent/child"));
            Checks.refused(Code.BADVERSION, () -> client.setData().withVersion(7).forPath(NODE));
            Checks.refused(Code.NOTEMPTY, () -> client.delete().forPath(NODE));
        });
        Checks.check("delete", () -> {
            client.delete().guaranteed().deletingChildrenIfNeeded().forPath(NODE);
            Checks.equal(false, exists(client, NODE));
        });
        Checks.check("sync at another member", () -> {
            create(client, ROOT + "/new");
            sync(other);
            Checks.equal(true, exists(other, ROOT + "/new"));
        });
        Checks.check("background writes in order", () -> {
            List<Integer> versions = Collections.synchronizedList(new ArrayList<>());
            for (int i = 0; i < 200; i++) {
                client.setData()
                    .inBackground((c, event) -> versions.add(event.getStat().getVersion()))
                    .forPath(ROOT + "/new", new byte[0]);
            }
            Checks.eventually("all answers", () -> versions.size() == 200);
            for (int i = 0; i < 200; i++) {
                Checks.equal(i + 1, versions.get(i));
            }
        });
    }

    private static void watches(CuratorFramework client, CuratorFramework other) throws Exception {
        Events data = new Events();
        Events children = new Events();
        Checks.check("a node is created", () -> {
            Events created = new Events();
            client.checkExists().usingWatcher(created).forPath(NODE);
            create(other, NODE);
            created.next(EventType.NodeCreated, NODE);
        });
        Checks.check("data change", () -> {
            client.getData().usingWatcher(data).forPath(NODE);
            other.setData().forPath(NODE, "2".getBytes());
            data.next(EventType.NodeDataChanged, NODE);
        });
        Checks.check("children change", () -> {
            client.getChildren().usingWatcher(children).forPath(NODE);
            create(other, NODE + "/child");
            children.next(EventType.NodeChildrenChanged, NODE);
        });
        Checks.check("once only", () -> {
            other.setData().forPath(NODE, "3".getBytes());
            other.delete().forPath(NODE + "/child");
            Checks.eventually("the change is seen", () -> {
                Stat stat = client.checkExists().forPath(NODE);
                return stat.getVersion() == 2 && stat.getNumChildren() == 0;
            });
            Checks.equal("[][]", "" + data.queue + children.queue);
        });
        Checks.check("a node is deleted", () -> {
            client.getData().usingWatcher(data).forPath(NODE);
            other.delete().forPath(NODE);
            data.next(EventType.NodeDeleted, NODE);
        });
        Events persistent = new Events();
        Checks.check("persistent watch", () -> {
            client.watchers().add().withMode(AddWatchMode.PERSISTENT).usingWatcher(persistent)
                .forPath(ROOT + "/p");
            create(other, ROOT + "/p");
            other.setData().forPath(ROOT + "/p", "2".getBytes());
            persistent.next(EventType.NodeCreated, ROOT + "/p");
            persistent.next(EventType.NodeDataChanged, ROOT + "/p");
        });
        Checks.check("recursive watch", () -> {
            Events events = new Events();
            client.watchers().add().withMode(AddWatchMode.PERSISTENT_RECURSIVE)
                .usingWatcher(events).forPath(ROOT + "/r");
            create(other, ROOT + "/r");
            create(other, ROOT + "/r/child");
            events.next(EventType.NodeCreated, ROOT + "/r");
            events.next(EventType.NodeCreated, ROOT + "/r/child");
        });
        Checks.check("remove a watch", () -> {
            client.watchers().remove(persistent).forPath(ROOT + "/p");
            persistent.next(EventType.PersistentWatchRemoved, ROOT + "/p");
        });
    }

    private static void sessions(CuratorFramework client, CuratorFramework other)
        throws Exception {
        String mine = ROOT + "/mine";
        long id = client.getZookeeperClient().getZooKeeper().getSessionId();
        Checks.check("its ephemerals end with it", () -> {
            CuratorFramework brief = connect(builder(Checks.HOSTS));
            brief.create().withMode(CreateMode.EPHEMERAL).forPath(ROOT + "/brief");
            brief.close();
            sync(other);
            Checks.equal(false, exists(other, ROOT + "/brief"));
        });
        Events changed = new Events();
        States states = new States(client);
        client.create().withMode(CreateMode.EPHEMERAL).forPath(mine);
        client.getData().usingWatcher(changed).forPath(mine);
        Checks.ask("kill-member-of 0x" + Long.toHexString(id));
        Checks.check("goes on at another member", () -> {
            states.await(ConnectionState.SUSPENDED);
            states.await(ConnectionState.RECONNECTED);
            Checks.equal(id, client.getZookeeperClient().getZooKeeper().getSessionId());
        });
        Checks.check("its ephemeral is there", () -> {
            Checks.equal(id, client.checkExists().forPath(mine).getEphemeralOwner());
        });
        Checks.check("its watch is there", () -> {
            client.setData().forPath(mine, "2".getBytes());
            changed.next(EventType.NodeDataChanged, mine);
        });
    }

    private static void acl(CuratorFramework other) throws Exception {
        CuratorFramework owner =
            connect(builder(Checks.HOSTS).authorization("digest", "user:pass".getBytes()));
        Checks.check("who has no identity owns nothing", () -> {
            Checks.refused(Code.INVALIDACL,
                () -> other.create().withACL(Ids.CREATOR_ALL_ACL).forPath(NODE));
        });
        Checks.check("its creator's only", () -> {
            owner.create().withACL(Ids.CREATOR_ALL_ACL).forPath(NODE, "1".getBytes());
            Checks.equal("1".getBytes(), owner.getData().forPath(NODE));
            sync(other);
            Checks.refused(Code.NOAUTH, () -> other.getData().forPath(NODE));
            Checks.refused(Code.NOAUTH, () -> other.setData().forPath(NODE));
        });
        Checks.check("read and change an ACL", () -> {
            Checks.equal("digest", owner.getACL().forPath(NODE).get(0).getId().getScheme());
            owner.setACL().withACL(Ids.READ_ACL_UNSAFE).forPath(NODE);
            sync(other);
            Checks.equal("1".getBytes(), other.getData().forPath(NODE));
            Checks.refused(Code.NOAUTH, () -> other.setData().forPath(NODE));
        });
        Checks.check("the super user", () -> {
            CuratorFramework superUser = connect(
                builder(Checks.HOSTS).authorization("digest", "super:secret".getBytes()));
            sync(superUser);
            Checks.equal(1, superUser.setData().forPath(NODE, "2".getBytes()).getVersion());
        });
    }

    private static void multi(CuratorFramework client) throws Exception {
        Checks.check("all of it", () -> {
            List<CuratorTransactionResult> results = client.transaction().forOperations(
                client.transactionOp().create().forPath(NODE, "1".getBytes()),
                client.transactionOp().create().forPath(NODE + "/a"),
                client.transactionOp().setData().withVersion(0).forPath(NODE, "2".getBytes()),
                client.transactionOp().check().withVersion(1).forPath(NODE),
                client.transactionOp().delete().forPath(NODE + "/a"));
            Checks.equal(5, results.size());
            Checks.equal("2".getBytes(), client.getData().forPath(NODE));
            Checks.equal(false, exists(client, NODE + "/a"));
        });
        Checks.check("or nothing", () -> {
            Checks.refused(Code.BADVERSION, () -> client.transaction().forOperations(
                client.transactionOp().create().forPath(NODE + "/a"),
                client.transactionOp().check().withVersion(7).forPath(NODE),
                client.transactionOp().setData().forPath(NODE)));
            Checks.equal(false, exists(client, NODE + "/a"));
        });
    }

    private static void ttl(CuratorFramework client) throws Exception {
        Checks.check("an empty container is removed", () -> {
            client.create().creatingParentContainersIfNeeded().forPath(ROOT + "/container/child");
            client.delete().forPath(ROOT + "/container/child");
            Checks.eventually("the container goes", () -> !exists(client, ROOT + "/container"));
        });
        Checks.check("a node lives as long as told", () -> {
            client.create().withTtl(500).withMode(CreateMode.PERSISTENT_WITH_TTL)
                .forPath(ROOT + "/brief");
            client.create().withTtl(600000).withMode(CreateMode.PERSISTENT_WITH_TTL)
                .forPath(ROOT + "/long");
            Checks.eventually("it goes", () -> !exists(client, ROOT + "/brief"));
            Checks.equal(true, exists(client, ROOT + "/long"));
        });
    }

    private static void reconfig(CuratorFramework client) throws Exception {
        String line = Checks.SERVER_LINE;
        String observer = line.replace(":participant", ":observer");
        CuratorFramework admin =
            connect(builder(Checks.HOSTS).authorization("digest", "super:secret".getBytes()));
        Checks.check("read the configuration", () -> {
            String config = new String(client.getConfig().forEnsemble());
            Checks.isTrue(line + " in " + config, config.contains(line));
        });
        Checks.check("not for everybody", () -> {
            Checks.refused(
                Code.NOAUTH, () -> client.reconfig().joining(observer).forEnsemble());
        });
        Checks.check("of another version", () -> {
            Checks.refused(Code.BADVERSION,
                () -> admin.reconfig().joining(observer).fromConfig(1).forEnsemble());
        });
        Checks.check("a voter observes and votes again", () -> {
            Events changed = new Events();
            client.getConfig().usingWatcher(changed).forEnsemble();
            String config = new String(changeTo(admin, observer));
            Checks.isTrue(observer + " in " + config, config.contains(observer));
            changed.next(EventType.NodeDataChanged, "/zookeeper/config");
            config = new String(changeTo(admin, line));
            Checks.isTrue(line + " in " + config, config.contains(line));
        });
    }

    /** Curator itself repeats what a lost connection may have lost. */
    private static byte[] changeTo(CuratorFramework admin, String line) throws Exception {
        byte[][] config = new byte[1][];
        Checks.eventually("a change of the members", () -> {
            try {
                config[0] = admin.reconfig().joining(line).forEnsemble();
                return true;
            } catch (KeeperException.ReconfigInProgress | KeeperException.NewConfigNoQuorum e) {
                return false;
            }
        });
        return config[0];
    }

    private static void readOnly() throws Exception {
        CuratorFramework writer = connect(builder(Checks.HOSTS));
        create(writer, ROOT);
        writer.close();
        Checks.ask("lose-quorum");
        CuratorFramework client = builder(Checks.HOSTS).canBeReadOnly(true).build();
        States states = new States(client);
        client.start();
        Checks.check("connect", () -> states.await(ConnectionState.READ_ONLY));
        Checks.check("read", () -> Checks.equal("1".getBytes(), client.getData().forPath(ROOT)));
        Checks.check("no writes", () -> {
            Checks.refused(Code.NOTREADONLY, () -> client.create().forPath(ROOT + "/refused"));
        });
        Checks.ask("start-members");
        Checks.check("back to all members", () -> {
            // It says so for the first time: until now it was connected for reading only.
            states.await(ConnectionState.CONNECTED);
        });
        Checks.check("write", () -> create(client, ROOT + "/after"));
    }

    private static void quotas(CuratorFramework client) throws Exception {
        String quota = "/zookeeper/quota" + NODE;
        create(client, NODE);
        Checks.check("set a quota", () -> {
            byte[] limits = "count=2,bytes=-1;byteHardLimit=10;countHardLimit=3".getBytes();
            client.create().creatingParentsIfNeeded().forPath(quota + "/zookeeper_limits", limits);
            client.create().forPath(quota + "/zookeeper_stats", "count=0,bytes=0".getBytes());
        });
        Checks.check("what is there is counted", () -> {
            create(client, NODE + "/a");
            Checks.equal("count=2,bytes=2", stats(client, quota));
        });
        Checks.check("a soft limit lets through", () -> {
            create(client, NODE + "/b");
            Checks.equal("count=3,bytes=3", stats(client, quota));
        });
        Checks.check("a hard limit does not", () -> {
            Checks.refused(Code.QUOTAEXCEEDED, () -> client.create().forPath(NODE + "/c"));
            Checks.refused(Code.QUOTAEXCEEDED,
                () -> client.setData().forPath(NODE, "12345678901".getBytes()));
        });
        Checks.check("nor without a quota", () -> {
            client.delete().forPath(quota + "/zookeeper_limits");
            client.delete().forPath(quota + "/zookeeper_stats");
            create(client, NODE + "/c");
        });
    }

    private static String stats(CuratorFramework client, String quota) throws Exception {
        return new String(client.getData().forPath(quota + "/zookeeper_stats")).split(";")[0];
    }

    /** Each recipe says what it says with one server of Apache's. */
    private static void recipes() throws Exception {
        Path expected = Paths.get(System.getenv("MATRIX_RECIPES"));
        ByteArrayOutputStream seen = new ByteArrayOutputStream();
        PrintStream out = System.out;
        System.setOut(new PrintStream(seen, true));
        try {
            Recipes.run(Checks.HOSTS + ROOT);
        } finally {
            System.setOut(out);
        }
        Map<String, List<String>> said = byRecipe(Arrays.asList(seen.toString().split("\n")));
        byRecipe(Files.readAllLines(expected)).forEach((recipe, lines) -> {
            Checks.check(recipe, () -> Checks.equal(lines, said.get(recipe)));
        });
    }

    private static Map<String, List<String>> byRecipe(List<String> lines) {
        Map<String, List<String>> recipes = new LinkedHashMap<>();
        for (String line : lines) {
            String recipe = line.split(":")[0];
            recipes.computeIfAbsent(recipe, name -> new ArrayList<>()).add(line);
        }
        return recipes;
    }
}
