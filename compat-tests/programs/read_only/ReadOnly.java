import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;

/** A client that takes a server without a leader for a while, and goes back to one that has one. */
public final class ReadOnly {
    private ReadOnly() {
    }

    private static final BlockingQueue<KeeperState> STATES = new LinkedBlockingQueue<>();

    public static void main(String[] args) throws Exception {
        ZooKeeper zk = connect(args[0], KeeperState.SyncConnected);
        System.out.println("read-write");
        zk.create("/written", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.close();
        // A session of the ensemble is not served without it; a new one is.
        zk = connect(args[0], KeeperState.ConnectedReadOnly);
        System.out.println("read-only");
        System.out.println("read: " + (zk.exists("/written", false) == null ? "no" : "yes"));
        try {
            zk.create("/refused", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            System.out.println("write: accepted");
        } catch (KeeperException.NotReadOnlyException e) {
            System.out.println("write: refused");
        }
        await(KeeperState.SyncConnected);
        System.out.println("read-write");
        zk.create("/again", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        System.out.println("written");
        zk.close();
    }

    /** Opens clients until one is in this state: one that is connected stays where it is. */
    private static ZooKeeper connect(String addresses, KeeperState wanted) throws Exception {
        while (true) {
            STATES.clear();
            ZooKeeper zk =
                new ZooKeeper(addresses, 20000, event -> STATES.add(event.getState()), true);
            KeeperState state = STATES.take();
            if (state == wanted) {
                return zk;
            }
            zk.close();
            Thread.sleep(200);
        }
    }

    private static void await(KeeperState wanted) throws InterruptedException {
        while (STATES.take() != wanted) {
            continue;
        }
    }
}
