/* Every area of the matrix that the C client, libzookeeper_mt, can do. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper.h>

#define TIMEOUT_MS 20000
#define WAIT_SECONDS 60
#define EVENTS_MAX 256

/* Events of one watcher, in their order. */
struct events {
    struct {
        int type, state;
        char path[256];
    } kept[EVENTS_MAX];
    int count, taken;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static const char *hosts, *root, *server_line, *area;
static char other_hosts[512], node[256], killed[64];
static zhandle_t *zk, *other;
static struct events session;

static void watch(zhandle_t *zh, int type, int state, const char *path, void *context) {
    struct events *events = context ? context : (struct events *)zoo_get_context(zh);
    pthread_mutex_lock(&mutex);
    if (events->count < EVENTS_MAX) {
        events->kept[events->count].type = type;
        events->kept[events->count].state = state;
        snprintf(events->kept[events->count++].path, 256, "%s", path ? path : "");
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* Waits for an event of this type and, unless it is 0, of this state; what comes before it is
 * passed over. */
static int comes(struct events *events, int type, int state, const char *path) {
    struct timespec until;
    int found = 0, late = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&mutex);
    while (!found && !late) {
        while (events->taken == events->count && !late)
            late = pthread_cond_timedwait(&changed, &mutex, &until) == ETIMEDOUT;
        if (late) break;
        int i = events->taken++;
        found = events->kept[i].type == type && (!state || events->kept[i].state == state) &&
                (!path || strcmp(events->kept[i].path, path) == 0);
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

static int is_connected(struct events *events) {
    return comes(events, ZOO_SESSION_EVENT, ZOO_CONNECTED_STATE, NULL);
}

static const char *failed(const char *format, ...) {
    static char why[512];
    va_list values;
    va_start(values, format);
    vsnprintf(why, sizeof why, format, values);
    va_end(values);
    return why;
}

/* A check gives NULL, or why it failed. */
#define MUST(condition) \
    do { \
        if (!(condition)) return failed("not so: %s", #condition); \
    } while (0)
#define GIVES(code, call) \
    do { \
        int rc_ = (call); \
        if (rc_ != (code)) return failed("%s gave %s", #call, zerror(rc_)); \
    } while (0)
#define EVENTUALLY(condition) \
    do { \
        int tries_ = WAIT_SECONDS * 20; \
        while (!(condition) && tries_-- > 0) usleep(50000); \
        MUST(tries_ > 0 || (condition)); \
    } while (0)

static char *under(const char *name) {
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, 256, "%s/%s", root, name);
    return path;
}

static int make(zhandle_t *zh, const char *path, int mode) {
    return zoo_create(zh, path, "1", 1, &ZOO_OPEN_ACL_UNSAFE, mode, NULL, 0);
}

static int exists(zhandle_t *zh, const char *path) {
    struct Stat stat;
    return zoo_exists(zh, path, 0, &stat);
}

static void ask(const char *request, char *answer) {
    char line[64];
    printf("? %s\n", request);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(1);
    line[strcspn(line, "\n")] = 0;
    if (answer) strcpy(answer, line);
}

static int synced;

static void on_sync(int rc, const char *path, const void *unused) {
    (void)path, (void)unused;
    pthread_mutex_lock(&mutex);
    synced = rc == ZOK ? 1 : -1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static int sync_other(void) {
    synced = 0;
    int rc = zoo_async(other, "/", on_sync, NULL);
    pthread_mutex_lock(&mutex);
    while (rc == ZOK && !synced) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return rc == ZOK && synced < 0 ? ZSYSTEMERROR : rc;
}

/* --- operations --- */

static const char *create_and_get(void) {
    char data[8];
    int length = sizeof data;
    struct Stat stat;
    GIVES(ZOK, make(zk, node, 0));
    GIVES(ZOK, zoo_get(zk, node, 0, data, &length, &stat));
    MUST(length == 1 && data[0] == '1' && stat.version == 0);
    return NULL;
}

static const char *set(void) {
    struct Stat stat;
    GIVES(ZOK, zoo_set2(zk, node, "22", 2, 0, &stat));
    MUST(stat.version == 1 && stat.dataLength == 2);
    return NULL;
}

static const char *existence(void) {
    GIVES(ZOK, exists(zk, node));
    GIVES(ZNONODE, exists(zk, under("absent")));
    return NULL;
}

static const char *children(void) {
    struct String_vector names;
    struct Stat stat;
    GIVES(ZOK, make(zk, under("node/a"), 0));
    GIVES(ZOK, make(zk, under("node/b"), 0));
    GIVES(ZOK, zoo_get_children2(zk, node, 0, &names, &stat));
    MUST(names.count == 2 && stat.numChildren == 2);
    deallocate_String_vector(&names);
    return NULL;
}

static const char *sequential(void) {
    char first[256], second[256];
    const char *path = under("node/s-");
    GIVES(ZOK, zoo_create(zk, path, NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, first, 256));
    GIVES(ZOK, zoo_create(zk, path, NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, second, 256));
    MUST(strlen(first) == strlen(path) + 10 && strcmp(first, second) < 0);
    return NULL;
}

static const char *errors(void) {
    GIVES(ZNODEEXISTS, make(zk, node, 0));
    GIVES(ZNONODE, make(zk, under("absent/child"), 0));
    GIVES(ZBADVERSION, zoo_set(zk, node, "", 0, 7));
    GIVES(ZNOTEMPTY, zoo_delete(zk, node, -1));
    return NULL;
}

static const char *delete(void) {
    GIVES(ZOK, zoo_delete(zk, under("node/a"), 0));
    GIVES(ZNONODE, exists(zk, under("node/a")));
    return NULL;
}

static const char *sync_elsewhere(void) {
    GIVES(ZOK, make(zk, under("new"), 0));
    GIVES(ZOK, sync_other());
    GIVES(ZOK, exists(other, under("new")));
    return NULL;
}

static int answers, out_of_order;

static void answered(int rc, const struct Stat *stat, const void *unused) {
    (void)unused;
    pthread_mutex_lock(&mutex);
    answers++;
    if (rc != ZOK || stat->version != answers) out_of_order++;
    pthread_mutex_unlock(&mutex);
}

static const char *pipelined(void) {
    for (int i = 0; i < 200; i++)
        GIVES(ZOK, zoo_aset(zk, under("new"), "v", 1, -1, answered, NULL));
    EVENTUALLY(answers == 200);
    MUST(out_of_order == 0);
    return NULL;
}

/* --- watches --- */

static struct events data_watch, child_watch;

static int read_watched(struct events *events, struct Stat *stat) {
    char data[8];
    int length = sizeof data;
    return zoo_wget(zk, node, events ? watch : NULL, events, data, &length, stat);
}

static const char *created(void) {
    struct Stat stat;
    static struct events events;
    GIVES(ZNONODE, zoo_wexists(zk, node, watch, &events, &stat));
    GIVES(ZOK, make(other, node, 0));
    MUST(comes(&events, ZOO_CREATED_EVENT, 0, node));
    return NULL;
}

static const char *data_changed(void) {
    struct Stat stat;
    GIVES(ZOK, read_watched(&data_watch, &stat));
    GIVES(ZOK, zoo_set(other, node, "2", 1, -1));
    MUST(comes(&data_watch, ZOO_CHANGED_EVENT, 0, node));
    return NULL;
}

static const char *children_changed(void) {
    struct String_vector names;
    GIVES(ZOK, zoo_wget_children(zk, node, watch, &child_watch, &names));
    deallocate_String_vector(&names);
    GIVES(ZOK, make(other, under("node/child"), 0));
    MUST(comes(&child_watch, ZOO_CHILD_EVENT, 0, node));
    return NULL;
}

static const char *once_only(void) {
    struct Stat stat;
    GIVES(ZOK, zoo_set(other, node, "3", 1, -1));
    GIVES(ZOK, zoo_delete(other, under("node/child"), -1));
    EVENTUALLY(read_watched(NULL, &stat) == ZOK && stat.version == 2 && stat.numChildren == 0);
    MUST(data_watch.count == data_watch.taken && child_watch.count == child_watch.taken);
    return NULL;
}

static const char *deleted(void) {
    struct Stat stat;
    GIVES(ZOK, read_watched(&data_watch, &stat));
    GIVES(ZOK, zoo_delete(other, node, -1));
    MUST(comes(&data_watch, ZOO_DELETED_EVENT, 0, node));
    return NULL;
}

static const char *watch_removed(void) {
    struct Stat stat;
    static struct events events;
    GIVES(ZOK, zoo_wexists(zk, root, watch, &events, &stat));
    GIVES(ZOK, zoo_remove_watches(zk, root, ZWATCHTYPE_DATA, watch, &events, 0));
    GIVES(ZNOWATCHER, zoo_remove_watches(zk, root, ZWATCHTYPE_DATA, watch, &events, 0));
    return NULL;
}

/* --- sessions --- */

static struct events mine_watch;

static const char *timeout(void) {
    MUST(zoo_recv_timeout(zk) == TIMEOUT_MS);
    return NULL;
}

static const char *ephemerals_end(void) {
    static struct events events;
    zhandle_t *brief = zookeeper_init(hosts, watch, TIMEOUT_MS, NULL, &events, 0);
    MUST(is_connected(&events));
    GIVES(ZOK, make(brief, under("brief"), ZOO_EPHEMERAL));
    zookeeper_close(brief);
    EVENTUALLY(exists(other, under("brief")) == ZNONODE);
    return NULL;
}

static const char *goes_on(void) {
    struct Stat stat;
    int64_t id = zoo_client_id(zk)->client_id;
    char request[64];
    GIVES(ZOK, make(zk, under("mine"), ZOO_EPHEMERAL));
    GIVES(ZOK, zoo_wexists(zk, under("mine"), watch, &mine_watch, &stat));
    snprintf(request, sizeof request, "kill-member-of 0x%" PRIx64, (uint64_t)id);
    ask(request, killed);
    MUST(comes(&session, ZOO_SESSION_EVENT, ZOO_CONNECTING_STATE, NULL));
    MUST(is_connected(&session));
    MUST(zoo_client_id(zk)->client_id == id);
    return NULL;
}

static const char *ephemeral_stays(void) {
    struct Stat stat;
    GIVES(ZOK, zoo_exists(zk, under("mine"), 0, &stat));
    MUST(stat.ephemeralOwner == zoo_client_id(zk)->client_id);
    return NULL;
}

static const char *watch_stays(void) {
    GIVES(ZOK, zoo_set(zk, under("mine"), "2", 1, -1));
    MUST(comes(&mine_watch, ZOO_CHANGED_EVENT, 0, under("mine")));
    ask("start-members", NULL);
    return NULL;
}

static const char *taken_over(void) {
    static struct events events;
    clientid_t id = *zoo_client_id(zk);
    zhandle_t *taker = zookeeper_init(killed, watch, TIMEOUT_MS, &id, &events, 0);
    MUST(is_connected(&events));
    MUST(zoo_client_id(taker)->client_id == id.client_id);
    GIVES(ZOK, exists(taker, under("mine")));
    zookeeper_close(taker);
    MUST(comes(&session, ZOO_SESSION_EVENT, ZOO_EXPIRED_SESSION_STATE, NULL));
    return NULL;
}

static const char *wrong_password(void) {
    static struct events events;
    clientid_t id = *zoo_client_id(other);
    memset(id.passwd, 0, sizeof id.passwd);
    zhandle_t *stranger = zookeeper_init(hosts, watch, TIMEOUT_MS, &id, &events, 0);
    MUST(comes(&events, ZOO_SESSION_EVENT, ZOO_EXPIRED_SESSION_STATE, NULL));
    zookeeper_close(stranger);
    return NULL;
}

/* --- acl --- */

static int auth_rc;

static void auth_completed(int rc, const void *unused) {
    (void)unused;
    pthread_mutex_lock(&mutex);
    auth_rc = rc;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static int add_auth(zhandle_t *zh, const char *scheme, const char *credentials) {
    auth_rc = 1;
    int rc = zoo_add_auth(zh, scheme, credentials, strlen(credentials), auth_completed, NULL);
    pthread_mutex_lock(&mutex);
    while (rc == ZOK && auth_rc == 1) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return rc == ZOK ? auth_rc : rc;
}

static int get(zhandle_t *zh) {
    char data[64];
    int length = sizeof data;
    struct Stat stat;
    return zoo_get(zh, node, 0, data, &length, &stat);
}

static const char *no_identity(void) {
    GIVES(ZINVALIDACL, zoo_create(zk, node, "1", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    return NULL;
}

static const char *creators_only(void) {
    GIVES(ZOK, add_auth(zk, "digest", "user:pass"));
    GIVES(ZOK, zoo_create(zk, node, "1", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    GIVES(ZOK, get(zk));
    GIVES(ZOK, sync_other());
    GIVES(ZNOAUTH, get(other));
    GIVES(ZNOAUTH, zoo_set(other, node, "2", 1, -1));
    return NULL;
}

static const char *acl_changed(void) {
    struct ACL_vector acl;
    struct Stat stat;
    GIVES(ZOK, zoo_get_acl(zk, node, &acl, &stat));
    MUST(acl.count == 1 && strcmp(acl.data[0].id.scheme, "digest") == 0);
    deallocate_ACL_vector(&acl);
    GIVES(ZOK, zoo_set_acl(zk, node, 0, &ZOO_READ_ACL_UNSAFE));
    GIVES(ZOK, sync_other());
    GIVES(ZOK, get(other));
    GIVES(ZNOAUTH, zoo_set(other, node, "2", 1, -1));
    return NULL;
}

static const char *super_user(void) {
    GIVES(ZOK, add_auth(other, "digest", "super:secret"));
    GIVES(ZOK, zoo_set(other, node, "2", 1, -1));
    return NULL;
}

static const char *unknown_scheme(void) {
    static struct events events;
    zhandle_t *unknown = zookeeper_init(hosts, watch, TIMEOUT_MS, NULL, &events, 0);
    MUST(is_connected(&events));
    GIVES(ZAUTHFAILED, add_auth(unknown, "nonsense", "x"));
    zookeeper_close(unknown);
    return NULL;
}

/* --- multi --- */

static const char *all_of_it(void) {
    char second[256];
    struct Stat stat;
    zoo_op_t ops[5];
    zoo_op_result_t results[5];
    zoo_create_op_init(&ops[0], node, "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    zoo_create_op_init(&ops[1], under("node/s-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE,
                       second, sizeof second);
    zoo_set_op_init(&ops[2], node, "2", 1, 0, &stat);
    zoo_check_op_init(&ops[3], node, 1);
    zoo_delete_op_init(&ops[4], under("node/s-0000000000"), -1);
    GIVES(ZOK, zoo_multi(zk, 5, ops, results));
    MUST(stat.version == 1 && strcmp(second, under("node/s-0000000000")) == 0);
    GIVES(ZNONODE, exists(zk, second));
    return NULL;
}

static const char *or_nothing(void) {
    struct Stat stat;
    zoo_op_t ops[3];
    zoo_op_result_t results[3];
    memset(results, 0, sizeof results);
    zoo_create_op_init(&ops[0], under("node/a"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    zoo_check_op_init(&ops[1], node, 7);
    zoo_set_op_init(&ops[2], node, "", 0, -1, &stat);
    GIVES(ZBADVERSION, zoo_multi(zk, 3, ops, results));
    MUST(results[0].err == ZOK && results[1].err == ZBADVERSION);
    MUST(results[2].err == ZRUNTIMEINCONSISTENCY);
    GIVES(ZNONODE, exists(zk, under("node/a")));
    return NULL;
}

/* --- ttl --- */

static const char *container(void) {
    GIVES(ZOK, make(zk, under("container"), ZOO_CONTAINER));
    GIVES(ZOK, make(zk, under("container/child"), 0));
    GIVES(ZOK, zoo_delete(zk, under("container/child"), -1));
    EVENTUALLY(exists(zk, under("container")) == ZNONODE);
    return NULL;
}

static int make_ttl(const char *path, int64_t ttl) {
    return zoo_create_ttl(zk, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, ttl,
                          NULL, 0);
}

static const char *as_long_as_told(void) {
    GIVES(ZOK, make_ttl(under("brief"), 500));
    GIVES(ZOK, make_ttl(under("long"), 600000));
    EVENTUALLY(exists(zk, under("brief")) == ZNONODE);
    GIVES(ZOK, exists(zk, under("long")));
    return NULL;
}

static const char *with_children(void) {
    GIVES(ZOK, make_ttl(under("parent"), 3000));
    GIVES(ZOK, make(zk, under("parent/child"), 0));
    GIVES(ZOK, make_ttl(under("next"), 3000));
    EVENTUALLY(exists(zk, under("next")) == ZNONODE);
    GIVES(ZOK, exists(zk, under("parent")));
    return NULL;
}

/* --- reconfig --- */

static char observer_line[256];

static int reconfig(const char *joining, int64_t version, char *config, int size) {
    struct Stat stat;
    int length = size - 1;
    int rc = zoo_reconfig(zk, joining, NULL, NULL, version, config, &length, &stat);
    config[rc == ZOK && length > 0 ? length : 0] = 0;
    return rc;
}

static const char *read_config(void) {
    char config[4096];
    int length = sizeof config - 1;
    struct Stat stat;
    GIVES(ZOK, zoo_getconfig(zk, 0, config, &length, &stat));
    config[length] = 0;
    MUST(strstr(config, server_line) && strstr(config, "version="));
    const char *part = strstr(server_line, ":participant");
    snprintf(observer_line, sizeof observer_line, "%.*s:observer%s", (int)(part - server_line),
             server_line, part + strlen(":participant"));
    return NULL;
}

static const char *not_for_everybody(void) {
    char config[4096];
    GIVES(ZNOAUTH, reconfig(observer_line, -1, config, sizeof config));
    return NULL;
}

static const char *of_another_version(void) {
    char config[4096];
    GIVES(ZOK, add_auth(zk, "digest", "super:secret"));
    GIVES(ZBADVERSION, reconfig(observer_line, 1, config, sizeof config));
    return NULL;
}

static const char *observes_and_votes(void) {
    static struct events events;
    char config[4096];
    int length = sizeof config;
    struct Stat stat;
    /* A member whose part changes closes its connections, and the reply may be lost with one. */
    GIVES(ZOK, zoo_wgetconfig(zk, watch, &events, config, &length, &stat));
    EVENTUALLY(reconfig(observer_line, -1, config, sizeof config) == ZOK);
    MUST(strstr(config, observer_line));
    MUST(comes(&events, ZOO_CHANGED_EVENT, 0, "/zookeeper/config"));
    EVENTUALLY(reconfig(server_line, -1, config, sizeof config) == ZOK);
    MUST(strstr(config, server_line));
    return NULL;
}

/* --- read-only --- */

static const char *connect_read_only(void) {
    zk = zookeeper_init(hosts, watch, TIMEOUT_MS, NULL, &session, ZOO_READONLY);
    MUST(comes(&session, ZOO_SESSION_EVENT, ZOO_READONLY_STATE, NULL));
    return NULL;
}

static const char *read_it(void) {
    GIVES(ZOK, exists(zk, root));
    return NULL;
}

static const char *no_writes(void) {
    GIVES(ZNOTREADONLY, make(zk, under("refused"), 0));
    return NULL;
}

static const char *back_to_all(void) {
    ask("start-members", NULL);
    MUST(is_connected(&session));
    return NULL;
}

static const char *write_it(void) {
    GIVES(ZOK, make(zk, under("after"), 0));
    return NULL;
}

/* --- quotas --- */

/* The library of 3.8 has no name for it. */
#define QUOTA_EXCEEDED -125

static char quota[512], limits[600], stats[600];

static const char *set_quota(void) {
    const char *text = "count=2,bytes=-1;byteHardLimit=10;countHardLimit=3";
    GIVES(ZOK, make(zk, node, 0));
    snprintf(quota, sizeof quota, "/zookeeper/quota%s", root);
    GIVES(ZOK, make(zk, quota, 0));
    snprintf(quota, sizeof quota, "/zookeeper/quota%s", node);
    GIVES(ZOK, make(zk, quota, 0));
    snprintf(limits, sizeof limits, "%s/zookeeper_limits", quota);
    snprintf(stats, sizeof stats, "%s/zookeeper_stats", quota);
    GIVES(ZOK, zoo_create(zk, limits, text, strlen(text), &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    text = "count=0,bytes=0";
    GIVES(ZOK, zoo_create(zk, stats, text, strlen(text), &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    return NULL;
}

static int counted(const char *wanted) {
    char data[256];
    int length = sizeof data;
    struct Stat stat;
    return zoo_get(zk, stats, 0, data, &length, &stat) == ZOK &&
           strncmp(data, wanted, strlen(wanted)) == 0;
}

static const char *counts(void) {
    GIVES(ZOK, make(zk, under("node/a"), 0));
    MUST(counted("count=2,bytes=2"));
    return NULL;
}

static const char *soft_limit(void) {
    GIVES(ZOK, make(zk, under("node/b"), 0));
    MUST(counted("count=3,bytes=3"));
    return NULL;
}

static const char *hard_limit(void) {
    GIVES(QUOTA_EXCEEDED, make(zk, under("node/c"), 0));
    GIVES(QUOTA_EXCEEDED, zoo_set(zk, node, "12345678901", 11, -1));
    return NULL;
}

static const char *no_quota(void) {
    GIVES(ZOK, zoo_delete(zk, limits, -1));
    GIVES(ZOK, zoo_delete(zk, stats, -1));
    GIVES(ZOK, make(zk, under("node/c"), 0));
    return NULL;
}

static const struct {
    const char *area, *name;
    const char *(*run)(void);
} checks[] = {
    {"operations", "create and get", create_and_get},
    {"operations", "set", set},
    {"operations", "exists", existence},
    {"operations", "children", children},
    {"operations", "sequential nodes", sequential},
    {"operations", "errors", errors},
    {"operations", "delete", delete},
    {"operations", "sync at another member", sync_elsewhere},
    {"operations", "pipelined writes in order", pipelined},
    {"watches", "a node is created", created},
    {"watches", "data change", data_changed},
    {"watches", "children change", children_changed},
    {"watches", "once only", once_only},
    {"watches", "a node is deleted", deleted},
    {"watches", "remove a watch", watch_removed},
    {"sessions", "timeout", timeout},
    {"sessions", "its ephemerals end with it", ephemerals_end},
    {"sessions", "goes on at another member", goes_on},
    {"sessions", "its ephemeral is there", ephemeral_stays},
    {"sessions", "its watch is there", watch_stays},
    {"sessions", "taken over, and closed, at another member", taken_over},
    {"sessions", "a wrong password", wrong_password},
    {"acl", "who has no identity owns nothing", no_identity},
    {"acl", "its creator's only", creators_only},
    {"acl", "read and change an ACL", acl_changed},
    {"acl", "the super user", super_user},
    {"acl", "an unknown scheme", unknown_scheme},
    {"multi", "all of it", all_of_it},
    {"multi", "or nothing", or_nothing},
    {"ttl", "an empty container is removed", container},
    {"ttl", "a node lives as long as told", as_long_as_told},
    {"ttl", "one with children stays", with_children},
    {"reconfig", "read the configuration", read_config},
    {"reconfig", "not for everybody", not_for_everybody},
    {"reconfig", "of another version", of_another_version},
    {"reconfig", "a voter observes and votes again", observes_and_votes},
    {"read-only", "connect", connect_read_only},
    {"read-only", "read", read_it},
    {"read-only", "no writes", no_writes},
    {"read-only", "back to all members", back_to_all},
    {"read-only", "write", write_it},
    {"quotas", "set a quota", set_quota},
    {"quotas", "what is there is counted", counts},
    {"quotas", "a soft limit lets through", soft_limit},
    {"quotas", "a hard limit does not", hard_limit},
    {"quotas", "nor without a quota", no_quota},
};

int main(int argc, char **argv) {
    static struct events others;
    if (argc != 2) return 2;
    area = argv[1];
    hosts = getenv("MATRIX_HOSTS");
    root = getenv("MATRIX_ROOT");
    server_line = getenv("MATRIX_SERVER_LINE");
    const char *comma = strchr(hosts, ',');
    snprintf(other_hosts, sizeof other_hosts, "%s,%.*s", comma + 1, (int)(comma - hosts), hosts);
    snprintf(node, sizeof node, "%s/node", root);
    zoo_set_debug_level(0);
    if (strcmp(area, "recipes") == 0) {
        printf("none recipes: Debian has the library without its recipes\n");
        return 0;
    }
    zk = zookeeper_init(hosts, watch, TIMEOUT_MS, NULL, &session, 0);
    if (!is_connected(&session) || make(zk, root, 0) != ZOK) return 1;
    if (strcmp(area, "read-only") == 0) {
        zookeeper_close(zk);
        memset(&session, 0, sizeof session);
        ask("lose-quorum", NULL);
    } else {
        other = zookeeper_init(other_hosts, watch, TIMEOUT_MS, NULL, &others, 0);
        if (!is_connected(&others) || sync_other() != ZOK) return 1;
    }
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (strcmp(checks[i].area, area) != 0) continue;
        const char *why = checks[i].run();
        if (why) printf("FAIL %s %s: %s\n", area, checks[i].name, why);
        else printf("ok %s %s\n", area, checks[i].name);
        fflush(stdout);
    }
    return 0;
}
