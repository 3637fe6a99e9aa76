/* A session of the C client, libzookeeper_mt: every operation it has, its errors, watches,
 * identities, a reconnect with a known session. Prints lines that are the same on every run. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper.h>

#define WAIT_SECONDS 30
#define EVENTS_MAX 64

struct event {
    int type;
    int state;
    char path[256];
};

/* Events of one watcher, in their order. */
struct events {
    const char *name;
    struct event kept[EVENTS_MAX];
    int count;
    int shown;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void watch(zhandle_t *zh, int type, int state, const char *path, void *context) {
    struct events *events = context ? context : (struct events *)zoo_get_context(zh);
    pthread_mutex_lock(&mutex);
    if (events->count < EVENTS_MAX) {
        struct event *event = &events->kept[events->count++];
        event->type = type;
        event->state = state;
        snprintf(event->path, sizeof event->path, "%s", path ? path : "");
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static const char *type_name(int type) {
    if (type == ZOO_CREATED_EVENT) return "created";
    if (type == ZOO_DELETED_EVENT) return "deleted";
    if (type == ZOO_CHANGED_EVENT) return "changed";
    if (type == ZOO_CHILD_EVENT) return "child";
    if (type == ZOO_SESSION_EVENT) return "session";
    return "other";
}

static const char *state_name(int state) {
    if (state == ZOO_CONNECTED_STATE) return "connected";
    if (state == ZOO_CONNECTING_STATE) return "connecting";
    if (state == ZOO_EXPIRED_SESSION_STATE) return "expired";
    if (state == ZOO_AUTH_FAILED_STATE) return "auth failed";
    return "other";
}

/* Waits for the next event of a watcher and prints it; session events of other states than
 * `state` are passed over when `state` is not 0. */
static void next(struct events *events, int state) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&mutex);
    for (;;) {
        while (events->shown == events->count) {
            if (pthread_cond_timedwait(&changed, &mutex, &until) == ETIMEDOUT) {
                printf("%s: no event came\n", events->name);
                pthread_mutex_unlock(&mutex);
                return;
            }
        }
        struct event *event = &events->kept[events->shown++];
        if (state == 0 || event->state == state) {
            printf("%s: %s %s %s\n", events->name, type_name(event->type),
                   state_name(event->state), event->path);
            break;
        }
    }
    pthread_mutex_unlock(&mutex);
}

static const char *order(int64_t a, int64_t b) { return a == b ? "=" : a > b ? ">" : "<"; }

static void show_stat(const struct Stat *s) {
    printf("  version=%d cversion=%d aversion=%d length=%d children=%d owner=%s mzxid%sczxid "
           "pzxid%sczxid\n",
           s->version, s->cversion, s->aversion, s->dataLength, s->numChildren,
           s->ephemeralOwner ? "some" : "none", order(s->mzxid, s->czxid),
           order(s->pzxid, s->czxid));
}

static void say(const char *what, int rc) { printf("%s -> %s\n", what, zerror(rc)); }

static void create(zhandle_t *zh) {
    struct { const char *name; int mode; } modes[] = {
        {"persistent", ZOO_PERSISTENT},
        {"ephemeral", ZOO_EPHEMERAL},
        {"persistent sequential", ZOO_PERSISTENT_SEQUENTIAL},
        {"ephemeral sequential", ZOO_EPHEMERAL_SEQUENTIAL},
        {"container", ZOO_CONTAINER},
        {"ttl", ZOO_PERSISTENT_WITH_TTL},
        {"ttl sequential", ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL},
    };
    char real[256], path[256];
    say("create /c", zoo_create(zh, "/c", "root", 4, &ZOO_OPEN_ACL_UNSAFE, 0, real, sizeof real));
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct Stat stat = {0};
        int ttl = modes[i].mode >= ZOO_PERSISTENT_WITH_TTL;
        snprintf(path, sizeof path, "/c/node %zu-", i);
        real[0] = 0;
        int rc = ttl ? zoo_create2_ttl(zh, path, "x", 1, &ZOO_OPEN_ACL_UNSAFE, modes[i].mode,
                                       3600000, real, sizeof real, &stat)
                     : zoo_create2(zh, path, "x", 1, &ZOO_OPEN_ACL_UNSAFE, modes[i].mode, real,
                                   sizeof real, &stat);
        printf("create %s -> %s %s\n", modes[i].name, zerror(rc), real);
        show_stat(&stat);
    }
    say("create again", zoo_create(zh, "/c", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    say("no parent", zoo_create(zh, "/no/node", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    say("child of an ephemeral",
        zoo_create(zh, "/c/node 1-/child", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    say("bad path", zoo_create(zh, "c", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    struct ACL_vector none = {0, NULL};
    say("no ACL", zoo_create(zh, "/acl", NULL, -1, &none, 0, NULL, 0));
}

static void read_and_change(zhandle_t *zh) {
    char data[64];
    int length = sizeof data;
    struct Stat stat = {0};
    say("get", zoo_get(zh, "/c", 0, data, &length, &stat));
    printf("  %d bytes: %.*s\n", length, length, data);
    show_stat(&stat);
    say("set", zoo_set2(zh, "/c", "changed", 7, 0, &stat));
    show_stat(&stat);
    say("set of a bad version", zoo_set(zh, "/c", "no", 2, 0));
    say("set null", zoo_set(zh, "/c", NULL, -1, -1));
    length = sizeof data;
    say("get", zoo_get(zh, "/c", 0, data, &length, &stat));
    printf("  %d bytes\n", length);
    say("get of what is absent", zoo_get(zh, "/absent", 0, data, &length, &stat));
    say("exists", zoo_exists(zh, "/c", 0, &stat));
    say("exists not", zoo_exists(zh, "/absent", 0, &stat));
    struct String_vector names = {0, NULL};
    say("children", zoo_get_children2(zh, "/c", 0, &names, &stat));
    printf("  %d of them\n", names.count);
    show_stat(&stat);
    deallocate_String_vector(&names);
    say("delete of what is not empty", zoo_delete(zh, "/c", -1));
    say("delete of a bad version", zoo_delete(zh, "/c/node 0-", 4));
    say("delete", zoo_delete(zh, "/c/node 0-", 0));
    say("delete again", zoo_delete(zh, "/c/node 0-", 0));
}

static void multi(zhandle_t *zh) {
    char first[64], second[64];
    struct Stat stat = {0};
    zoo_op_t ops[4];
    zoo_op_result_t results[4];
    memset(results, 0, sizeof results);
    zoo_create_op_init(&ops[0], "/m", "m", 1, &ZOO_OPEN_ACL_UNSAFE, 0, first, sizeof first);
    zoo_create_op_init(&ops[1], "/m/s", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, second,
                       sizeof second);
    zoo_set_op_init(&ops[2], "/m", "n", 1, 0, &stat);
    zoo_check_op_init(&ops[3], "/m", 1);
    say("multi", zoo_multi(zh, 4, ops, results));
    printf("  %s %s\n", first, second);
    show_stat(&stat);
    zoo_create_op_init(&ops[0], "/m/a", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, first, sizeof first);
    zoo_delete_op_init(&ops[1], "/m", -1);
    zoo_check_op_init(&ops[2], "/m", 1);
    say("failing multi", zoo_multi(zh, 3, ops, results));
    for (int i = 0; i < 3; i++) printf("  %s\n", zerror(results[i].err));
    say("nothing of it is left", zoo_exists(zh, "/m/a", 0, &stat));
}

static void watches(zhandle_t *zh, zhandle_t *other) {
    struct events data = {"data watch"}, exists = {"exists watch"}, children = {"child watch"},
                  removed = {"removed watch"};
    char buffer[8];
    int length = sizeof buffer;
    struct Stat stat;
    struct String_vector names = {0, NULL};
    say("wget", zoo_wget(zh, "/m", watch, &data, buffer, &length, &stat));
    say("wexists", zoo_wexists(zh, "/m/new", watch, &exists, &stat));
    say("wget_children", zoo_wget_children(zh, "/m", watch, &children, &names));
    deallocate_String_vector(&names);
    zoo_create(other, "/m/new", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    zoo_set(other, "/m", "x", 1, -1);
    next(&exists, 0);
    next(&children, 0);
    next(&data, 0);
    say("wexists", zoo_wexists(zh, "/m/new", watch, &exists, &stat));
    zoo_delete(other, "/m/new", -1);
    next(&exists, 0);
    say("wexists", zoo_wexists(zh, "/m", watch, &removed, &stat));
    say("remove a watch",
        zoo_remove_watches(zh, "/m", ZWATCHTYPE_DATA, watch, &removed, 0));
    say("remove it again",
        zoo_remove_watches(zh, "/m", ZWATCHTYPE_DATA, watch, &removed, 0));
}

static int auth_rc;
static int auth_done;

static void auth_completed(int rc, const void *unused) {
    (void)unused;
    pthread_mutex_lock(&mutex);
    auth_rc = rc;
    auth_done = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void add_auth(zhandle_t *zh, const char *credentials) {
    pthread_mutex_lock(&mutex);
    auth_done = 0;
    pthread_mutex_unlock(&mutex);
    int rc = zoo_add_auth(zh, "digest", credentials, strlen(credentials), auth_completed, NULL);
    pthread_mutex_lock(&mutex);
    while (rc == ZOK && !auth_done) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    say("add_auth", rc == ZOK ? auth_rc : rc);
}

static void auth(zhandle_t *zh, zhandle_t *other) {
    struct ACL_vector acl = {0, NULL};
    struct Stat stat = {0};
    char buffer[64];
    int length = sizeof buffer;
    say("creator all without an identity",
        zoo_create(zh, "/auth", "s", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    add_auth(zh, "user:pass");
    say("creator all", zoo_create(zh, "/auth", "s", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    say("get_acl", zoo_get_acl(zh, "/auth", &acl, &stat));
    for (int i = 0; i < acl.count; i++)
        printf("  %s:%s:%d\n", acl.data[i].id.scheme, acl.data[i].id.id, acl.data[i].perms);
    deallocate_ACL_vector(&acl);
    say("a stranger reads", zoo_get(other, "/auth", 0, buffer, &length, &stat));
    say("set_acl", zoo_set_acl(zh, "/auth", 0, &ZOO_READ_ACL_UNSAFE));
    length = sizeof buffer;
    say("a stranger reads", zoo_get(other, "/auth", 0, buffer, &length, &stat));
    say("a stranger writes", zoo_set(other, "/auth", "t", 1, -1));
}

#define PIPELINED 500
static int answers;
static int out_of_order;

static void answered(int rc, const struct Stat *stat, const void *data) {
    pthread_mutex_lock(&mutex);
    if (rc != ZOK || stat->version != answers + 1 || (long)data != answers) out_of_order++;
    answers++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void pipelined(zhandle_t *zh) {
    zoo_create(zh, "/pipe", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    for (long i = 0; i < PIPELINED; i++) zoo_aset(zh, "/pipe", "v", 1, i, answered, (void *)i);
    pthread_mutex_lock(&mutex);
    while (answers < PIPELINED) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    printf("pipelined: %d answers, %d out of order\n", answers, out_of_order);
}

/* Leaves a session with an ephemeral node behind: in a process that ends without a close, as a
 * handle that is still there would connect again. Runs before the threads of other handles. */
static clientid_t left_behind(const char *address) {
    clientid_t id = {0};
    int ends[2];
    if (pipe(ends) != 0) exit(1);
    pid_t child = fork();
    if (child == 0) {
        struct events events = {"first owner"};
        zhandle_t *zh = zookeeper_init(address, watch, 30000, NULL, &events, 0);
        next(&events, ZOO_CONNECTED_STATE);
        say("create an ephemeral",
            zoo_create(zh, "/left", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0));
        printf("granted %d\n", zoo_recv_timeout(zh));
        fflush(stdout);
        ssize_t written = write(ends[1], zoo_client_id(zh), sizeof id);
        _exit(written == sizeof id ? 0 : 1);
    }
    if (read(ends[0], &id, sizeof id) != sizeof id) exit(1);
    waitpid(child, NULL, 0);
    return id;
}

static void sessions(zhandle_t *other, struct events *others, const char *address,
                     clientid_t left) {
    struct Stat stat;
    struct events taker = {"taker"}, thief = {"thief"}, gone = {"its ephemeral"};
    zhandle_t *second = zookeeper_init(address, watch, 30000, &left, &taker, 0);
    next(&taker, ZOO_CONNECTED_STATE);
    printf("the same session: %s\n",
           zoo_client_id(second)->client_id == left.client_id ? "yes" : "no");
    say("its ephemeral", zoo_exists(second, "/left", 0, &stat));
    /* A close does not wait for its answer. */
    say("wexists", zoo_wexists(other, "/left", watch, &gone, &stat));
    say("close", zookeeper_close(second));
    next(&gone, 0);
    clientid_t wrong = *zoo_client_id(other);
    memset(wrong.passwd, 1, sizeof wrong.passwd);
    zhandle_t *third = zookeeper_init(address, watch, 30000, &wrong, &thief, 0);
    next(&thief, ZOO_EXPIRED_SESSION_STATE);
    zookeeper_close(third);
    /* The attempt has cut the true owner off, who comes back to the same session. */
    next(others, ZOO_CONNECTING_STATE);
    next(others, ZOO_CONNECTED_STATE);
    say("the true owner", zoo_exists(other, "/c", 0, &stat));
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s host:port\n", argv[0]);
        return 2;
    }
    zoo_set_debug_level(0);
    clientid_t left = left_behind(argv[1]);
    struct events mine = {"session"}, others = {"other session"};
    zhandle_t *zh = zookeeper_init(argv[1], watch, 30000, NULL, &mine, 0);
    zhandle_t *other = zookeeper_init(argv[1], watch, 30000, NULL, &others, 0);
    next(&mine, ZOO_CONNECTED_STATE);
    next(&others, ZOO_CONNECTED_STATE);
    create(zh);
    read_and_change(zh);
    multi(zh);
    watches(zh, other);
    auth(zh, other);
    pipelined(zh);
    sessions(other, &others, argv[1], left);
    zookeeper_close(other);
    zookeeper_close(zh);
    return 0;
}
