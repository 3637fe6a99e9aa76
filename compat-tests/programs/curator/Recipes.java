import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.zookeeper.CreateMode;

/** Curator's recipes, each used by several clients at once. */
public final class Recipes {
    private static final int WAIT_SECONDS = 30;
    private static final int CLIENTS = 4;

    private static String address;

    private Recipes() {
    }

    private interface Work {
        void run(CuratorFramework client, int number) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        run(args[0]);
        System.exit(0);
    }

    /** All of them, at servers with this address. */
    static void run(String at) throws Exception {
        address = at;
        mutex();
        readWriteLock();
        semaphore();
        leaderLatch();
        barriers();
        queue();
        counter();
        cache();
        persistentWatcher();
        nodes();
        transactions();
    }

    private static void say(String format, Object... values) {
        System.out.println(String.format(format, values));
    }

    private static CuratorFramework client() {
        CuratorFramework client = CuratorFrameworkFactory.newClient(
            address, 30000, 15000, new ExponentialBackoffRetry(100, 5));
        client.start();
        return client;
    }

    /** Runs work in several clients, each with a session of its own, and waits for all. */
    private static void together(Work work) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(CLIENTS);
        List<Future<?>> all = new ArrayList<>();
        for (int number = 0; number < CLIENTS; number++) {
            int mine = number;
            all.add(threads.submit(() -> {
                try (CuratorFramework client = client()) {
                    work.run(client, mine);
                }
                return null;
            }));
        }
        for (Future<?> one : all) {
            one.get(2 * WAIT_SECONDS, TimeUnit.SECONDS);
        }
        threads.shutdown();
    }

    private static void mutex() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger entered = new AtomicInteger();
        AtomicInteger crowded = new AtomicInteger();
        together((client, number) -> {
            InterProcessMutex mutex = new InterProcessMutex(client, "/mutex");
            for (int round = 0; round < 25; round++) {
                mutex.acquire();
                mutex.acquire();
                crowded.addAndGet(inside.incrementAndGet() == 1 ? 0 : 1);
                entered.incrementAndGet();
                inside.decrementAndGet();
                mutex.release();
                mutex.release();
            }
        });
        say("mutex: entered %d times, %d times not alone", entered.get(), crowded.get());
    }

    private static void readWriteLock() throws Exception {
        AtomicInteger writers = new AtomicInteger();
        AtomicInteger wrong = new AtomicInteger();
        together((client, number) -> {
            InterProcessReadWriteLock lock = new InterProcessReadWriteLock(client, "/read-write");
            for (int round = 0; round < 10; round++) {
                if (number == 0) {
                    lock.writeLock().acquire();
                    writers.incrementAndGet();
                    Thread.yield();
                    writers.decrementAndGet();
                    lock.writeLock().release();
                } else {
                    lock.readLock().acquire();
                    wrong.addAndGet(writers.get());
                    lock.readLock().release();
                }
            }
        });
        say("read-write lock: %d readers beside a writer", wrong.get());
    }

    private static void semaphore() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger crowded = new AtomicInteger();
        together((client, number) -> {
            InterProcessSemaphoreV2 semaphore =
                new InterProcessSemaphoreV2(client, "/semaphore", 2);
            for (int round = 0; round < 10; round++) {
                Lease lease = semaphore.acquire();
                crowded.addAndGet(inside.incrementAndGet() <= 2 ? 0 : 1);
                inside.decrementAndGet();
                semaphore.returnLease(lease);
            }
        });
        say("semaphore of 2: %d times crowded", crowded.get());
    }

    private static void leaderLatch() throws Exception {
        AtomicInteger leaders = new AtomicInteger();
        AtomicInteger wrong = new AtomicInteger();
        together((client, number) -> {
            try (LeaderLatch latch = new LeaderLatch(client, "/leader", "client " + number)) {
                latch.start();
                if (!latch.await(WAIT_SECONDS, TimeUnit.SECONDS)) {
                    wrong.incrementAndGet();
                }
                leaders.incrementAndGet();
                if (!latch.hasLeadership()
                    || !latch.getLeader().getId().equals("client " + number)) {
                    wrong.incrementAndGet();
                }
            }
        });
        say("leader latch: %d led one after the other, %d things wrong", leaders.get(),
            wrong.get());
    }

    private static void barriers() throws Exception {
        AtomicInteger arrived = new AtomicInteger();
        AtomicInteger early = new AtomicInteger();
        together((client, number) -> {
            DistributedDoubleBarrier barrier =
                new DistributedDoubleBarrier(client, "/double-barrier", CLIENTS);
            arrived.incrementAndGet();
            boolean entered = barrier.enter(WAIT_SECONDS, TimeUnit.SECONDS);
            early.addAndGet(entered && arrived.get() == CLIENTS ? 0 : 1);
            barrier.leave(WAIT_SECONDS, TimeUnit.SECONDS);
        });
        say("double barrier: %d came, %d early", arrived.get(), early.get());
        try (CuratorFramework keeper = client()) {
            DistributedBarrier gate = new DistributedBarrier(keeper, "/barrier");
            gate.setBarrier();
            CountDownLatch waiting = new CountDownLatch(CLIENTS);
            AtomicInteger through = new AtomicInteger();
            Thread opener = new Thread(() -> {
                try {
                    waiting.await();
                    gate.removeBarrier();
                } catch (Exception e) {
                    say("barrier: %s", e);
                }
            });
            opener.start();
            together((client, number) -> {
                DistributedBarrier barrier = new DistributedBarrier(client, "/barrier");
                waiting.countDown();
                through.addAndGet(barrier.waitOnBarrier(WAIT_SECONDS, TimeUnit.SECONDS) ? 1 : 0);
            });
            opener.join();
            say("barrier: %d went through", through.get());
        }
    }

    private static void queue() throws Exception {
        BlockingQueue<String> taken = new LinkedBlockingQueue<>();
        together((client, number) -> {
            SimpleDistributedQueue queue = new SimpleDistributedQueue(client, "/queue");
            for (int i = 0; i < 25; i++) {
                if (number % 2 == 0) {
                    queue.offer((number + "-" + i).getBytes());
                } else {
                    taken.add(new String(queue.take()));
                }
            }
        });
        say("queue: %d taken, %d of them different", taken.size(),
            taken.stream().distinct().count());
    }

    private static void counter() throws Exception {
        together((client, number) -> {
            DistributedAtomicLong counter =
                new DistributedAtomicLong(client, "/counter", new ExponentialBackoffRetry(5, 25));
            for (int added = 0; added < 20;) {
                added += counter.increment().succeeded() ? 1 : 0;
            }
        });
        try (CuratorFramework client = client()) {
            DistributedAtomicLong counter =
                new DistributedAtomicLong(client, "/counter", new ExponentialBackoffRetry(5, 25));
            say("counter: %d", counter.get().postValue());
        }
    }

    private static void cache() throws Exception {
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        try (CuratorFramework client = client(); CuratorFramework other = client()) {
            other.create().creatingParentsIfNeeded().forPath("/cached/before", "1".getBytes());
            CountDownLatch ready = new CountDownLatch(1);
            CuratorCache cache = CuratorCache.build(client, "/cached");
            cache.listenable().addListener(
                new org.apache.curator.framework.recipes.cache.CuratorCacheListener() {
                    @Override
                    public void event(Type type,
                        org.apache.curator.framework.recipes.cache.ChildData old,
                        org.apache.curator.framework.recipes.cache.ChildData data) {
                        if (ready.getCount() == 0) {
                            seen.add(type + " " + (data == null ? old : data).getPath());
                        }
                    }

                    @Override
                    public void initialized() {
                        ready.countDown();
                    }
                });
            cache.start();
            say("cache: ready %s, of %d nodes", ready.await(WAIT_SECONDS, TimeUnit.SECONDS),
                cache.size());
            other.create().forPath("/cached/new");
            show("cache", seen, 1);
            other.setData().forPath("/cached/new", "2".getBytes());
            show("cache", seen, 1);
            other.create().forPath("/cached/new/below");
            show("cache", seen, 1);
            other.delete().deletingChildrenIfNeeded().forPath("/cached/new");
            show("cache", seen, 2);
            say("cache: data \"%s\", %d nodes",
                new String(cache.get("/cached/before").get().getData()), cache.size());
            cache.close();
        }
    }

    private static void show(String what, BlockingQueue<String> seen, int count) throws Exception {
        for (int i = 0; i < count; i++) {
            say("%s: %s", what, seen.poll(WAIT_SECONDS, TimeUnit.SECONDS));
        }
    }

    private static void persistentWatcher() throws Exception {
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        try (CuratorFramework client = client(); CuratorFramework other = client()) {
            PersistentWatcher watcher = new PersistentWatcher(client, "/persistently", true);
            CountDownLatch set = new CountDownLatch(1);
            watcher.getResetListenable().addListener(set::countDown);
            watcher.getListenable().addListener(event -> {
                if (event.getPath() != null) {
                    seen.add(event.getType() + " " + event.getPath());
                }
            });
            watcher.start();
            set.await(WAIT_SECONDS, TimeUnit.SECONDS);
            other.create().creatingParentsIfNeeded().forPath("/persistently/a/b");
            other.setData().forPath("/persistently/a", null);
            other.delete().deletingChildrenIfNeeded().forPath("/persistently");
            show("persistent watcher", seen, 7);
            watcher.close();
        }
    }

    private static void nodes() throws Exception {
        try (CuratorFramework client = client(); CuratorFramework other = client()) {
            PersistentNode node =
                new PersistentNode(client, CreateMode.EPHEMERAL, false, "/kept", "here".getBytes());
            node.start();
            say("persistent node: there %s",
                node.waitForInitialCreate(WAIT_SECONDS, TimeUnit.SECONDS));
            other.delete().forPath("/kept");
            boolean back = false;
            for (int tries = 0; tries < 300 && !back; tries++) {
                Thread.sleep(100);
                back = other.checkExists().forPath("/kept") != null;
            }
            say("persistent node: back %s", back);
            node.close();
            PersistentTtlNode ttl = new PersistentTtlNode(client, "/kept-ttl", 600000, new byte[0]);
            ttl.start();
            say("persistent TTL node: there %s",
                ttl.waitForInitialCreate(WAIT_SECONDS, TimeUnit.SECONDS));
            ttl.close();
            GroupMember member = new GroupMember(client, "/group", "me", "hello".getBytes());
            member.start();
            for (int tries = 0; tries < 300 && other.checkExists().forPath("/group/me") == null;
                tries++) {
                Thread.sleep(100);
            }
            say("group member: \"%s\"", new String(other.getData().forPath("/group/me")));
            member.close();
        }
    }

    private static void transactions() throws Exception {
        try (CuratorFramework client = client()) {
            client.transaction()
                .forOperations(
                    client.transactionOp().create().forPath("/transaction", "t".getBytes()),
                    client.transactionOp().create().forPath("/transaction/child"),
                    client.transactionOp().setData().withVersion(0).forPath(
                        "/transaction", "u".getBytes()),
                    client.transactionOp().check().withVersion(1).forPath("/transaction"))
                .forEach(
                    result -> say("transaction: %s %s", result.getType(), result.getForPath()));
        }
    }
}
