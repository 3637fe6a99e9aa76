import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.Arrays;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher.WatcherType;
import org.apache.zookeeper.ZooKeeper;

/** One-shot, persistent and recursive watches; every event in its order. */
public final class Watches {
    private static ZooKeeper zk;
    private static ZooKeeper other;

    private Watches() {
    }

    public static void main(String[] args) throws Exception {
        zk = Transcript.connect(args[0], 30000, new Transcript.Events("session"));
        other = Transcript.connect(args[0], 30000, new Transcript.Events("other session"));
        create("/watch");
        oneShot();
        persistent();
        recursive();
        removal();
        ephemeral();
        ordered();
        zk.close();
        other.close();
    }

    private static void create(String path) throws Exception {
        other.create(path, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    /** A read that the server answers after everything that was sent to this session before. */
    private static void settle() throws Exception {
        zk.sync("/");
    }

    private static void oneShot() throws Exception {
        Transcript.Events data = new Transcript.Events("data watch");
        Transcript.Events exists = new Transcript.Events("exists watch");
        Transcript.Events children = new Transcript.Events("child watch");
        Transcript.Events absent = new Transcript.Events("watch of what is absent");
        zk.getData("/watch", data, null);
        zk.exists("/watch", exists);
        zk.getChildren("/watch", children);
        zk.exists("/watch/a", absent);
        create("/watch/a");
        children.next();
        absent.next();
        other.setData("/watch", "1".getBytes(), -1);
        data.next();
        exists.next();
        other.setData("/watch", "2".getBytes(), -1);
        create("/watch/b");
        settle();
        data.none();
        exists.none();
        children.none();
        zk.getData("/watch/b", data, null);
        zk.getChildren("/watch/b", children);
        zk.exists("/watch/b", exists);
        other.delete("/watch/b", -1);
        data.next();
        children.next();
        exists.next();
        Transcript.call("watch by a failing read", () -> zk.getData("/watch/none", data, null));
        create("/watch/none");
        settle();
        data.none();
        zk.getData("/watch/a", data, null);
        other.setACL("/watch/a", OPEN_ACL_UNSAFE, -1);
        settle();
        data.none();
        zk.setData("/watch/a", "own".getBytes(), -1);
        data.next();
    }

    private static void persistent() throws Exception {
        Transcript.Events events = new Transcript.Events("persistent watch");
        zk.addWatch("/persistent", events, AddWatchMode.PERSISTENT);
        create("/persistent");
        other.setData("/persistent", null, -1);
        other.setData("/persistent", null, -1);
        create("/persistent/child");
        create("/persistent/child/grandchild");
        other.setData("/persistent/child", null, -1);
        other.delete("/persistent/child/grandchild", -1);
        other.delete("/persistent/child", -1);
        other.delete("/persistent", -1);
        for (int i = 0; i < 6; i++) {
            events.next();
        }
        settle();
        events.none();
    }

    private static void recursive() throws Exception {
        Transcript.Events events = new Transcript.Events("recursive watch");
        zk.addWatch("/recursive", events, AddWatchMode.PERSISTENT_RECURSIVE);
        create("/recursive");
        create("/recursive/a");
        create("/recursive/a/b");
        create("/recursives");
        other.setData("/recursive/a/b", null, -1);
        other.setData("/recursive", null, -1);
        other.delete("/recursive/a/b", -1);
        other.multi(
            Arrays.asList(Op.create("/recursive/m", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.setData("/recursive/m", null, -1), Op.delete("/recursive/m", -1)));
        for (int i = 0; i < 9; i++) {
            events.next();
        }
        Transcript.Events oneShot = new Transcript.Events("one-shot watch below");
        zk.getChildren("/recursive/a", oneShot);
        create("/recursive/a/c");
        oneShot.next();
        events.next();
        settle();
        events.none();
    }

    private static void removal() throws Exception {
        Transcript.Events data = new Transcript.Events("removed data watch");
        Transcript.Events events = new Transcript.Events("removed recursive watch");
        zk.getData("/watch", data, null);
        zk.addWatch("/watch", events, AddWatchMode.PERSISTENT_RECURSIVE);
        Transcript.call("remove a child watch", () -> {
            zk.removeWatches("/watch", data, WatcherType.Children, false);
            return "done";
        });
        Transcript.call("remove a data watch", () -> {
            zk.removeWatches("/watch", data, WatcherType.Data, false);
            return "done";
        });
        data.next();
        Transcript.call("remove any", () -> {
            zk.removeAllWatches("/watch", WatcherType.Any, false);
            return "done";
        });
        events.next();
        Transcript.call("remove again", () -> {
            zk.removeAllWatches("/watch", WatcherType.Any, false);
            return "done";
        });
        other.setData("/watch", null, -1);
        settle();
        data.none();
        events.none();
    }

    private static void ephemeral() throws Exception {
        Transcript.Events deleted = new Transcript.Events("watch of an ephemeral");
        Transcript.Events children = new Transcript.Events("watch of its parent");
        other.create("/watch/ephemeral", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        zk.exists("/watch/ephemeral", deleted);
        zk.getChildren("/watch", children);
        other.close();
        deleted.next();
        children.next();
        Transcript.call(
            "ephemeral of a closed session", () -> zk.exists("/watch/ephemeral", false));
    }

    /** A client sees the event of a change before it sees the change itself. */
    private static void ordered() throws Exception {
        int early = 0;
        for (int i = 0; i < 200; i++) {
            boolean[] told = new boolean[1];
            boolean[] toldBeforeReply = new boolean[1];
            java.util.concurrent.CountDownLatch answered =
                new java.util.concurrent.CountDownLatch(1);
            zk.getData("/watch", event -> told[0] = true, null);
            zk.setData("/watch", null, -1, (rc, path, context, stat) -> {
                toldBeforeReply[0] = told[0];
                answered.countDown();
            }, null);
            answered.await();
            early += toldBeforeReply[0] ? 1 : 0;
        }
        Transcript.say("events before the reply of their change: %d of 200", early);
    }
}
