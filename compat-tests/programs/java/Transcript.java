import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Stat;

/** What the programs share: lines that are the same on every run, and a queue of events. */
final class Transcript {
    static final int WAIT_SECONDS = 30;

    interface Call {
        Object run() throws Exception;
    }

    private Transcript() {
    }

    static void say(String format, Object... values) {
        System.out.println(String.format(format, values));
    }

    /** Prints the result of a call, or the code of its error. */
    static void call(String what, Call call) throws Exception {
        try {
            say("%s -> %s", what, text(call.run()));
        } catch (KeeperException e) {
            say("%s -> %s %s", what, e.code(), e.getPath());
        } catch (IllegalArgumentException e) {
            say("%s -> IllegalArgumentException", what);
        }
    }

    static String text(Object value) {
        if (value instanceof byte[]) {
            return "\"" + new String((byte[]) value) + "\"";
        }
        if (value instanceof Stat) {
            return text((Stat) value);
        }
        if (value instanceof ACL) {
            ACL acl = (ACL) value;
            return acl.getId().getScheme() + ":" + acl.getId().getId() + ":" + acl.getPerms();
        }
        if (value instanceof List) {
            List<String> parts = new ArrayList<>();
            for (Object part : (List<?>) value) {
                parts.add(text(part));
            }
            if (!parts.isEmpty() && ((List<?>) value).get(0) instanceof ACL) {
                // Where an ACL grants to all identities of a client, their order is a hash's.
                Collections.sort(parts);
            }
            return parts.toString();
        }
        return String.valueOf(value);
    }

    /** A Stat without what changes from run to run; of the zxids it tells how they compare. */
    static String text(Stat s) {
        return String.format("version=%d cversion=%d aversion=%d length=%d children=%d owner=%s "
                             + "mzxid%sczxid pzxid%sczxid mtime%sctime",
            s.getVersion(), s.getCversion(), s.getAversion(), s.getDataLength(), s.getNumChildren(),
            s.getEphemeralOwner() == 0 ? "none" : "some", order(s.getMzxid(), s.getCzxid()),
            order(s.getPzxid(), s.getCzxid()), s.getMtime() >= s.getCtime() ? ">=" : "<");
    }

    private static String order(long a, long b) {
        return a == b ? "=" : a > b ? ">" : "<";
    }

    /** Keeps events, for a program to take one by one. */
    static final class Events implements Watcher {
        private final String name;
        private final BlockingQueue<WatchedEvent> queue = new LinkedBlockingQueue<>();

        Events(String name) {
            this.name = name;
        }

        @Override
        public void process(WatchedEvent event) {
            queue.add(event);
        }

        /** Waits for the next event and prints it. */
        void next() throws InterruptedException {
            WatchedEvent event = queue.poll(WAIT_SECONDS, TimeUnit.SECONDS);
            say("%s: %s", name, event == null ? "no event came" : describe(event));
        }

        /** Waits until the session reaches a state; events of other states are passed over. */
        void await(KeeperState state) throws InterruptedException {
            while (true) {
                WatchedEvent event = queue.poll(WAIT_SECONDS, TimeUnit.SECONDS);
                if (event == null) {
                    say("%s: never %s", name, state);
                    return;
                }
                if (event.getType() == EventType.None && event.getState() == state) {
                    say("%s: %s", name, state);
                    return;
                }
            }
        }

        /** Prints whether events wait; what was caused before a reply has come before the reply. */
        void none() {
            say("%s: %s", name,
                queue.isEmpty() ? "nothing more" : "also " + describe(queue.poll()));
        }

        private static String describe(WatchedEvent event) {
            return event.getType() + " " + event.getState() + " " + event.getPath();
        }
    }

    /** A connected client; its own events go to {@code events}. */
    static ZooKeeper connect(String address, int timeoutMs, Events events) throws Exception {
        ZooKeeper client = new ZooKeeper(address, timeoutMs, events);
        events.await(KeeperState.SyncConnected);
        return client;
    }
}
