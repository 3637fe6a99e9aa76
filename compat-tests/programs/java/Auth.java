import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/** Identities and what ACLs let them do. */
public final class Auth {
    private Auth() {
    }

    public static void main(String[] args) throws Exception {
        ZooKeeper owner = Transcript.connect(args[0], 30000, new Transcript.Events("owner"));
        ZooKeeper stranger = Transcript.connect(args[0], 30000, new Transcript.Events("stranger"));
        owner.addAuthInfo("digest", "owner:pass".getBytes());
        owner.addAuthInfo("digest", "second:name".getBytes());
        Transcript.call("who is the owner", () -> identities(owner));
        Transcript.call("who is the stranger", () -> identities(stranger));

        owner.create("/auth", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        owner.create("/auth/own", "secret".getBytes(), Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        Transcript.call("ACL as the owner sees it", () -> owner.getACL("/auth/own", new Stat()));
        everything("owner", owner, "/auth/own");
        everything("stranger", stranger, "/auth/own");

        for (int perm :
            new int[] {Perms.READ, Perms.WRITE, Perms.CREATE, Perms.DELETE, Perms.ADMIN}) {
            String path = "/auth/perm" + perm;
            owner.create(path, null,
                Arrays.asList(
                    new ACL(perm, Ids.ANYONE_ID_UNSAFE), new ACL(Perms.ALL, new Id("auth", ""))),
                CreateMode.PERSISTENT);
            everything("stranger with " + perm, stranger, path);
            Transcript.call("ACL as the stranger sees it", () -> stranger.getACL(path, new Stat()));
        }

        owner.create("/auth/ip", null,
            Collections.singletonList(new ACL(Perms.ALL, new Id("ip", "127.0.0.0/8"))),
            CreateMode.PERSISTENT);
        owner.create("/auth/far", null,
            Collections.singletonList(new ACL(Perms.ALL, new Id("ip", "10.1.2.3"))),
            CreateMode.PERSISTENT);
        Transcript.call("near ip", () -> stranger.setData("/auth/ip", null, -1));
        Transcript.call("far ip", () -> stranger.setData("/auth/far", null, -1));

        Transcript.call("watch without READ",
            () -> stranger.exists("/auth/own", new Transcript.Events("unused")));
        Transcript.call("multi with a refused part",
            ()
                -> stranger.multi(Arrays.asList(
                    Op.create("/auth/m", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                    Op.setData("/auth/own", null, -1))));
        Transcript.call(
            "check without READ", () -> stranger.multi(Arrays.asList(Op.check("/auth/own", 0))));

        stranger.addAuthInfo("digest", "super:secret".getBytes());
        Transcript.call("super reads", () -> stranger.getData("/auth/own", false, null));
        Transcript.call(
            "super changes the ACL", () -> stranger.setACL("/auth/own", OPEN_ACL_UNSAFE, -1));
        Transcript.call("who is super", () -> identities(stranger));

        Transcript.Events events = new Transcript.Events("of an unknown scheme");
        ZooKeeper unknown = Transcript.connect(args[0], 30000, events);
        unknown.addAuthInfo("nonsense", "x".getBytes());
        events.await(KeeperState.AuthFailed);
        Transcript.call("after a failed authentication", () -> unknown.exists("/auth", false));
        unknown.close();
        owner.close();
        stranger.close();
    }

    private static void everything(String who, ZooKeeper zk, String path) throws Exception {
        Transcript.call(who + " getData", () -> zk.getData(path, false, null));
        Transcript.call(who + " exists", () -> zk.exists(path, false));
        Transcript.call(who + " getChildren", () -> zk.getChildren(path, false));
        Transcript.call(who + " all children", () -> zk.getAllChildrenNumber(path));
        Transcript.call(who + " setData", () -> zk.setData(path, "new".getBytes(), -1));
        Transcript.call(who + " create",
            () -> zk.create(path + "/child", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Transcript.call(who + " delete", () -> {
            zk.delete(path + "/child", -1);
            return "done";
        });
        Transcript.call(who + " setACL", () -> {
            List<ACL> acl = zk.getACL(path, new Stat());
            return zk.setACL(path, acl, -1);
        });
    }

    private static List<String> identities(ZooKeeper zk) throws Exception {
        List<String> who = new ArrayList<>();
        zk.whoAmI().forEach(info -> who.add(info.getAuthScheme() + ":" + info.getUser()));
        Collections.sort(who);
        return who;
    }
}
