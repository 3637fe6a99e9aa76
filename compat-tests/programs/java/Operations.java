import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/** Every operation of the Java client, with its results and its errors. */
public final class Operations {
    private static ZooKeeper zk;

    private Operations() {
    }

    public static void main(String[] args) throws Exception {
        zk = Transcript.connect(args[0], 30000, new Transcript.Events("session"));
        create();
        readAndChange();
        errors();
        multi();
        pipelined();
        admin(args[0]);
        zk.close();
    }

    private static void create() throws Exception {
        Transcript.call("create /ops",
            () -> zk.create("/ops", "root".getBytes(), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        for (CreateMode mode : CreateMode.values()) {
            Stat stat = new Stat();
            long ttl = mode.isTTL() ? 3600000 : -1;
            String path = "/ops/" + mode.name().toLowerCase();
            Transcript.call("create " + mode,
                () -> zk.create(path, new byte[] {'x'}, OPEN_ACL_UNSAFE, mode, stat, ttl));
            Transcript.say("its stat %s", Transcript.text(stat));
            Transcript.call("create " + mode + " again",
                () -> zk.create(path, null, OPEN_ACL_UNSAFE, mode, new Stat(), ttl));
        }
        for (int i = 0; i < 3; i++) {
            Transcript.call("sequence",
                () -> zk.create("/ops/", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        }
        Transcript.call("null data", () -> zk.getData("/ops/0000000012", false, null));
        List<String> children = zk.getChildren("/ops", false);
        Collections.sort(children);
        Transcript.say("children %s", children);
        Transcript.call("all children", () -> zk.getAllChildrenNumber("/ops"));
        Transcript.call("ephemerals", () -> {
            List<String> paths = zk.getEphemerals();
            Collections.sort(paths);
            return paths;
        });
        Transcript.call("ephemerals below", () -> {
            List<String> paths = zk.getEphemerals("/ops/ephemeral_");
            Collections.sort(paths);
            return paths;
        });
    }

    private static void readAndChange() throws Exception {
        Stat stat = new Stat();
        Transcript.call("getData", () -> zk.getData("/ops", false, stat));
        Transcript.say("stat %s", Transcript.text(stat));
        Transcript.call("setData", () -> zk.setData("/ops", "changed".getBytes(), 0));
        Transcript.call("setData any version", () -> zk.setData("/ops", null, -1));
        Transcript.call("getData of null", () -> zk.getData("/ops", false, null));
        Transcript.call("setData empty", () -> zk.setData("/ops", new byte[0], -1));
        Transcript.call("exists", () -> zk.exists("/ops", false));
        Transcript.call("exists not", () -> zk.exists("/absent", false));
        Transcript.call("getACL", () -> zk.getACL("/ops", stat));
        Transcript.call("setACL", () -> zk.setACL("/ops", Ids.READ_ACL_UNSAFE, 0));
        Transcript.call("getACL", () -> zk.getACL("/ops", stat));
        Transcript.call("refused by ACL",
            () -> zk.create("/ops/no", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("setACL refused", () -> zk.setACL("/ops", OPEN_ACL_UNSAFE, -1));
        Transcript.call("children of a leaf", () -> zk.getChildren("/ops/persistent", false, stat));
        Transcript.say("stat %s", Transcript.text(stat));
        Transcript.call("delete", () -> {
            zk.create("/gone", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            zk.delete("/gone", 0);
            return "done";
        });
        Transcript.call("deleted", () -> zk.exists("/gone", false));
        CountDownLatch synced = new CountDownLatch(1);
        zk.sync("/ops", (rc, path, context) -> {
            Transcript.say("sync -> %s %s", KeeperException.Code.get(rc), path);
            synced.countDown();
        }, null);
        synced.await(Transcript.WAIT_SECONDS, TimeUnit.SECONDS);
        Transcript.call("whoAmI", () -> {
            List<String> who = new ArrayList<>();
            zk.whoAmI().forEach(info -> who.add(info.getAuthScheme() + ":" + info.getUser()));
            return who;
        });
    }

    private static void errors() throws Exception {
        Transcript.call(
            "no parent", () -> zk.create("/no/node", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("child of an ephemeral",
            () -> zk.create("/ops/ephemeral/child", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("getData", () -> zk.getData("/absent", false, null));
        Transcript.call("setData", () -> zk.setData("/absent", null, -1));
        Transcript.call("delete", () -> {
            zk.delete("/absent", -1);
            return null;
        });
        Transcript.call("getChildren", () -> zk.getChildren("/absent", false));
        Transcript.call("getACL", () -> zk.getACL("/absent", null));
        Transcript.call("setACL", () -> zk.setACL("/absent", OPEN_ACL_UNSAFE, -1));
        Transcript.call("all children", () -> zk.getAllChildrenNumber("/absent"));
        zk.create("/full", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/full/child", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Transcript.call("not empty", () -> {
            zk.delete("/full", -1);
            return null;
        });
        Transcript.call("bad version of setData", () -> zk.setData("/full", null, 5));
        Transcript.call("bad version of delete", () -> {
            zk.delete("/full/child", 5);
            return null;
        });
        Transcript.call("bad version of setACL", () -> zk.setACL("/full", OPEN_ACL_UNSAFE, 5));
        Transcript.call("delete of the root", () -> {
            zk.delete("/", -1);
            return null;
        });
        Transcript.call("delete of /zookeeper", () -> {
            zk.delete("/zookeeper", -1);
            return null;
        });
        Transcript.call("no ACL",
            () -> zk.create("/acl", null, Collections.emptyList(), CreateMode.PERSISTENT));
        Transcript.call("unknown scheme",
            () -> zk.create("/acl", null, acl("nobody", "x"), CreateMode.PERSISTENT));
        Transcript.call("bad digest",
            () -> zk.create("/acl", null, acl("digest", "nocolon"), CreateMode.PERSISTENT));
        Transcript.call(
            "bad ip", () -> zk.create("/acl", null, acl("ip", "300.1.1.1"), CreateMode.PERSISTENT));
        Transcript.call("auth of nobody",
            () -> zk.create("/acl", null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        Transcript.call("relative path",
            () -> zk.create("relative", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call("ttl of zero",
            ()
                -> zk.create(
                    "/ttl", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, null, 0));
        Transcript.call("ttl too long",
            ()
                -> zk.create(
                    "/ttl", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, null, 1L << 40));
    }

    private static List<ACL> acl(String scheme, String id) {
        return Collections.singletonList(new ACL(31, new Id(scheme, id)));
    }

    private static void multi() throws Exception {
        say(zk.multi(Arrays.asList(
            Op.create("/multi", "m".getBytes(), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create("/multi/s-", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
            Op.create("/multi/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL),
            Op.create("/multi/c", null, OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
            Op.create("/multi/t", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 100000),
            Op.setData("/multi", "n".getBytes(), 0), Op.check("/multi", 1),
            Op.delete("/multi/e", -1))));
        try {
            zk.multi(
                Arrays.asList(Op.create("/multi/a", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                    Op.setData("/multi", null, 7), Op.delete("/multi", -1)));
            Transcript.say("a failing multi did not fail");
        } catch (KeeperException e) {
            Transcript.say("multi -> %s %s", e.code(), e.getPath());
            say(e.getResults());
        }
        Transcript.call("nothing of it is left", () -> zk.exists("/multi/a", false));
        Transcript.call("empty multi", () -> zk.multi(Collections.emptyList()));
        say(zk.multi(Arrays.asList(Op.getData("/multi"), Op.getChildren("/full"),
            Op.getData("/absent"), Op.getChildren("/absent"))));
        Transcript.call("stat after it", () -> zk.exists("/multi", false));
    }

    private static void say(List<OpResult> results) {
        for (OpResult result : results) {
            String text = result.getClass().getSimpleName();
            if (result instanceof OpResult.CreateResult) {
                text += " " + ((OpResult.CreateResult) result).getPath();
            } else if (result instanceof OpResult.SetDataResult) {
                text += " " + Transcript.text(((OpResult.SetDataResult) result).getStat());
            } else if (result instanceof OpResult.ErrorResult) {
                text += " " + KeeperException.Code.get(((OpResult.ErrorResult) result).getErr());
            } else if (result instanceof OpResult.GetDataResult) {
                text += " " + Transcript.text(((OpResult.GetDataResult) result).getData());
            } else if (result instanceof OpResult.GetChildrenResult) {
                text += " " + ((OpResult.GetChildrenResult) result).getChildren();
            }
            Transcript.say("  %s", text);
        }
    }

    /** Replies come in the order of the requests, writes and reads mixed. */
    private static void pipelined() throws Exception {
        int count = 300;
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch done = new CountDownLatch(count);
        zk.create("/pipe", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        for (int i = 0; i < count; i++) {
            if (i % 3 == 0) {
                zk.setData("/pipe", ("v" + i).getBytes(), i / 3, (rc, path, context, stat) -> {
                    seen.add("set " + rc + " " + stat.getVersion());
                    done.countDown();
                }, null);
            } else {
                zk.getData("/pipe", false, (rc, path, context, data, stat) -> {
                    seen.add("get " + rc + " " + new String(data));
                    done.countDown();
                }, null);
            }
        }
        done.await(Transcript.WAIT_SECONDS, TimeUnit.SECONDS);
        int wrong = 0;
        for (int i = 0; i < count; i++) {
            String wanted = i % 3 == 0 ? "set 0 " + (i / 3 + 1) : "get 0 v" + i / 3 * 3;
            wrong += wanted.equals(seen.get(i)) ? 0 : 1;
        }
        Transcript.say("pipelined: %d answers, %d not as wanted", seen.size(), wrong);
    }

    private static void admin(String address) throws Exception {
        Transcript.Events events = new Transcript.Events("admin session");
        try (ZooKeeperAdmin admin = new ZooKeeperAdmin(address, 30000, events)) {
            events.await(org.apache.zookeeper.Watcher.Event.KeeperState.SyncConnected);
            Transcript.call("config", () -> zk.getConfig(false, null));
            Transcript.call("reconfigure",
                () -> admin.reconfigure("server.2=localhost:1:2;3", null, null, -1, null));
            admin.addAuthInfo("digest", "super:secret".getBytes());
            Transcript.call("reconfigure as super",
                () -> admin.reconfigure("server.2=localhost:1:2;3", null, null, -1, null));
        }
    }
}
