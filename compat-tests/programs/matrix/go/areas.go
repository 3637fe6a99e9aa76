// Every area of the matrix that go-zookeeper can do.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// How long anything may take that is waited for.
const wait = 60 * time.Second

var (
	area       = os.Args[1]
	hosts      = strings.Split(os.Getenv("MATRIX_HOSTS"), ",")
	otherHosts = append(append([]string{}, hosts[1:]...), hosts[0])
	root       = os.Getenv("MATRIX_ROOT")
	serverLine = os.Getenv("MATRIX_SERVER_LINE")
	node       = root + "/node"
	open       = zk.WorldACL(zk.PermAll)
	answers    = bufio.NewReader(os.Stdin)
)

// silent is a logger that writes nothing: standard output is for checks.
type silent struct{}

func (silent) Printf(string, ...interface{}) {}

// check says whether a step ends as it should. A step panics with what is wrong.
func check(name string, step func()) {
	defer func() {
		if why := recover(); why != nil {
			fmt.Printf("FAIL %s %s: %v\n", area, name, why)
		} else {
			fmt.Printf("ok %s %s\n", area, name)
		}
	}()
	step()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func refused(wanted error, err error) {
	if !errors.Is(err, wanted) {
		panic(fmt.Sprintf("wanted %v, got %v", wanted, err))
	}
}

func equal(wanted, seen interface{}) {
	if !reflect.DeepEqual(wanted, seen) {
		panic(fmt.Sprintf("wanted %v, seen %v", wanted, seen))
	}
}

func eventually(what string, condition func() bool) {
	for deadline := time.Now().Add(wait); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic("not in time: " + what)
		}
	}
}

// next waits for the event of a watch.
func next(events <-chan zk.Event, kind zk.EventType, path string) {
	select {
	case event := <-events:
		equal(fmt.Sprint(kind, path), fmt.Sprint(event.Type, event.Path))
	case <-time.After(wait):
		panic(fmt.Sprintf("no event %v %s", kind, path))
	}
}

// await waits until a session is in a state.
func await(session <-chan zk.Event, state zk.State) {
	for timeout := time.After(wait); ; {
		select {
		case event := <-session:
			if event.State == state {
				return
			}
		case <-timeout:
			panic(fmt.Sprintf("never %v", state))
		}
	}
}

func connect(hosts []string) (*zk.Conn, <-chan zk.Event) {
	client, session, err := zk.Connect(hosts, 20*time.Second, zk.WithLogger(silent{}))
	must(err)
	await(session, zk.StateHasSession)
	return client, session
}

// ask has whoever runs this program do something to the servers.
func ask(request string) {
	fmt.Println("?", request)
	_, err := answers.ReadString('\n')
	must(err)
}

func create(client *zk.Conn, path string) string {
	name, err := client.Create(path, []byte("1"), zk.FlagPersistent, open)
	must(err)
	return name
}

func exists(client *zk.Conn, path string) bool {
	there, _, err := client.Exists(path)
	must(err)
	return there
}

func sync_(client *zk.Conn) {
	_, err := client.Sync("/")
	must(err)
}

func operations(client, other *zk.Conn) {
	check("create and get", func() {
		equal(node, create(client, node))
		data, stat, err := client.Get(node)
		must(err)
		equal("1 0 1", fmt.Sprint(string(data), " ", stat.Version, " ", stat.DataLength))
	})
	check("set", func() {
		stat, err := client.Set(node, []byte("2"), 0)
		must(err)
		equal(int32(1), stat.Version)
	})
	check("exists", func() {
		equal(true, exists(client, node))
		equal(false, exists(client, root+"/absent"))
	})
	check("children", func() {
		create(client, node+"/a")
		create(client, node+"/b")
		names, stat, err := client.Children(node)
		must(err)
		sort.Strings(names)
		equal([]string{"a", "b"}, names)
		equal(int32(2), stat.NumChildren)
	})
	check("sequential nodes", func() {
		first, err := client.Create(node+"/s-", nil, zk.FlagSequence, open)
		must(err)
		second, err := client.CreateProtectedEphemeralSequential(node+"/s-", nil, open)
		must(err)
		equal(node+"/s-0000000002", first)
		equal(true, strings.HasSuffix(second, "s-0000000003"))
	})
	check("errors", func() {
		_, err := client.Create(node, nil, 0, open)
		refused(zk.ErrNodeExists, err)
		_, err = client.Create(root+"/absent/child", nil, 0, open)
		refused(zk.ErrNoNode, err)
		_, err = client.Set(node, nil, 7)
		refused(zk.ErrBadVersion, err)
		refused(zk.ErrNotEmpty, client.Delete(node, -1))
	})
	check("delete", func() {
		must(client.Delete(node+"/a", 0))
		equal(false, exists(client, node+"/a"))
	})
	check("sync at another member", func() {
		create(client, root+"/new")
		sync_(other)
		equal(true, exists(other, root+"/new"))
	})
}

func watches(client, other *zk.Conn) {
	check("a node is created", func() {
		_, _, created, err := client.ExistsW(node)
		must(err)
		create(other, node)
		next(created, zk.EventNodeCreated, node)
	})
	check("data change", func() {
		_, _, data, err := client.GetW(node)
		must(err)
		_, err = other.Set(node, nil, -1)
		must(err)
		next(data, zk.EventNodeDataChanged, node)
	})
	check("children change", func() {
		_, _, children, err := client.ChildrenW(node)
		must(err)
		create(other, node+"/child")
		next(children, zk.EventNodeChildrenChanged, node)
		must(other.Delete(node+"/child", -1))
	})
	check("a node is deleted", func() {
		_, _, data, err := client.GetW(node)
		must(err)
		must(other.Delete(node, -1))
		next(data, zk.EventNodeDeleted, node)
	})
}

func sessions(client, other *zk.Conn, session <-chan zk.Event) {
	mine, id := root+"/mine", client.SessionID()
	check("its ephemerals end with it", func() {
		brief, _ := connect(hosts)
		_, err := brief.Create(root+"/brief", nil, zk.FlagEphemeral, open)
		must(err)
		brief.Close()
		sync_(other)
		equal(false, exists(other, root+"/brief"))
	})
	_, err := client.Create(mine, nil, zk.FlagEphemeral, open)
	must(err)
	_, _, changed, err := client.GetW(mine)
	must(err)
	ask(fmt.Sprintf("kill-member-of %#x", uint64(id)))
	check("goes on at another member", func() {
		await(session, zk.StateDisconnected)
		await(session, zk.StateHasSession)
		equal(id, client.SessionID())
	})
	check("its ephemeral is there", func() {
		_, stat, err := client.Exists(mine)
		must(err)
		equal(id, stat.EphemeralOwner)
	})
	check("its watch is there", func() {
		_, err := client.Set(mine, nil, -1)
		must(err)
		next(changed, zk.EventNodeDataChanged, mine)
	})
}

func acl(client, other *zk.Conn) {
	creator := zk.AuthACL(zk.PermAll)
	check("who has no identity owns nothing", func() {
		_, err := client.Create(node, nil, 0, creator)
		refused(zk.ErrInvalidACL, err)
	})
	check("its creator's only", func() {
		must(client.AddAuth("digest", []byte("user:pass")))
		_, err := client.Create(node, []byte("1"), 0, creator)
		must(err)
		_, _, err = client.Get(node)
		must(err)
		sync_(other)
		_, _, err = other.Get(node)
		refused(zk.ErrNoAuth, err)
		_, err = other.Set(node, nil, -1)
		refused(zk.ErrNoAuth, err)
	})
	check("read and change an ACL", func() {
		acls, _, err := client.GetACL(node)
		must(err)
		equal("digest", acls[0].Scheme)
		stat, err := client.SetACL(node, zk.WorldACL(zk.PermRead), 0)
		must(err)
		equal(int32(1), stat.Aversion)
		sync_(other)
		_, _, err = other.Get(node)
		must(err)
		_, err = other.Set(node, nil, -1)
		refused(zk.ErrNoAuth, err)
	})
	check("the super user", func() {
		must(other.AddAuth("digest", []byte("super:secret")))
		_, err := other.Set(node, nil, -1)
		must(err)
	})
}

func multi(client *zk.Conn) {
	check("all of it", func() {
		results, err := client.Multi(
			&zk.CreateRequest{Path: node, Data: []byte("1"), Acl: open},
			&zk.CreateRequest{Path: node + "/s-", Acl: open, Flags: zk.FlagSequence},
			&zk.SetDataRequest{Path: node, Data: []byte("2"), Version: 0},
			&zk.CheckVersionRequest{Path: node, Version: 1},
			&zk.DeleteRequest{Path: node + "/s-0000000000", Version: -1})
		must(err)
		equal(node+"/s-0000000000", results[1].String)
		data, stat, err := client.Get(node)
		must(err)
		equal("2 0", fmt.Sprint(string(data), " ", stat.NumChildren))
	})
	check("or nothing", func() {
		results, err := client.Multi(
			&zk.CreateRequest{Path: node + "/a", Acl: open},
			&zk.CheckVersionRequest{Path: node, Version: 7},
			&zk.SetDataRequest{Path: node, Version: -1})
		refused(zk.ErrBadVersion, err)
		equal(3, len(results))
		equal(false, exists(client, node+"/a"))
	})
}

func ttl(client *zk.Conn) {
	check("an empty container is removed", func() {
		_, err := client.CreateContainer(root+"/container", nil, zk.FlagContainer, open)
		must(err)
		create(client, root+"/container/child")
		must(client.Delete(root+"/container/child", -1))
		eventually("the container goes", func() bool { return !exists(client, root+"/container") })
	})
	check("a node lives as long as told", func() {
		for name, ttl := range map[string]time.Duration{"/brief": wait / 100, "/long": time.Hour} {
			_, err := client.CreateTTL(root+name, nil, zk.FlagTTL, open, ttl)
			must(err)
		}
		eventually("it goes", func() bool { return !exists(client, root+"/brief") })
		equal(true, exists(client, root+"/long"))
	})
}

func reconfig(client *zk.Conn) {
	observer := strings.Replace(serverLine, ":participant", ":observer", 1)
	// Empty while the client has no connection.
	config := func() string {
		data, _, _ := client.Get("/zookeeper/config")
		return string(data)
	}
	change := func(line string) func() bool {
		return func() bool {
			// A member whose part changes closes its connections: the reply may be lost.
			_, err := client.IncrementalReconfig([]string{line}, nil, -1)
			return err == nil
		}
	}
	check("read the configuration", func() { equal(true, strings.Contains(config(), serverLine)) })
	check("not for everybody", func() {
		_, err := client.IncrementalReconfig([]string{observer}, nil, -1)
		refused(zk.ErrNoAuth, err)
	})
	must(client.AddAuth("digest", []byte("super:secret")))
	check("of another version", func() {
		_, err := client.IncrementalReconfig([]string{observer}, nil, 1)
		refused(zk.ErrBadVersion, err)
	})
	check("a voter observes and votes again", func() {
		_, _, changed, err := client.GetW("/zookeeper/config")
		must(err)
		eventually("it observes", change(observer))
		next(changed, zk.EventNodeDataChanged, "/zookeeper/config")
		eventually("it is said to", func() bool { return strings.Contains(config(), observer) })
		eventually("it votes", change(serverLine))
		eventually("it is said to", func() bool { return strings.Contains(config(), serverLine) })
	})
}

func quotas(client *zk.Conn) {
	quota := "/zookeeper/quota" + node
	stats := func() string {
		data, _, err := client.Get(quota + "/zookeeper_stats")
		must(err)
		return strings.Split(string(data), ";")[0]
	}
	// The library has no name for the code.
	exceeded := func(err error) { equal("unknown error: -125", fmt.Sprint(err)) }
	create(client, node)
	check("set a quota", func() {
		create(client, "/zookeeper/quota"+root)
		create(client, quota)
		limits := []byte("count=2,bytes=-1;byteHardLimit=10;countHardLimit=3")
		_, err := client.Create(quota+"/zookeeper_limits", limits, 0, open)
		must(err)
		_, err = client.Create(quota+"/zookeeper_stats", []byte("count=0,bytes=0"), 0, open)
		must(err)
	})
	check("what is there is counted", func() {
		create(client, node+"/a")
		equal("count=2,bytes=2", stats())
	})
	check("a soft limit lets through", func() {
		create(client, node+"/b")
		equal("count=3,bytes=3", stats())
	})
	check("a hard limit does not", func() {
		_, err := client.Create(node+"/c", nil, 0, open)
		exceeded(err)
		_, err = client.Set(node, []byte("12345678901"), -1)
		exceeded(err)
	})
	check("nor without a quota", func() {
		must(client.Delete(quota+"/zookeeper_limits", -1))
		must(client.Delete(quota+"/zookeeper_stats", -1))
		create(client, node+"/c")
	})
}

func recipes() {
	check("lock", func() {
		var clients sync.WaitGroup
		var inside sync.Mutex
		failures := make(chan interface{}, 100)
		for number := 0; number < 4; number++ {
			clients.Add(1)
			go func() {
				defer clients.Done()
				defer func() {
					if why := recover(); why != nil {
						failures <- why
					}
				}()
				client, _ := connect(hosts)
				defer client.Close()
				for round := 0; round < 5; round++ {
					lock := zk.NewLock(client, root+"/lock", open)
					must(lock.Lock())
					if !inside.TryLock() {
						panic("two are inside")
					}
					inside.Unlock()
					must(lock.Unlock())
				}
			}()
		}
		clients.Wait()
		equal(0, len(failures))
	})
}

func main() {
	if area == "read-only" {
		fmt.Println("none read-only: go-zookeeper asks for servers with a leader only")
		return
	}
	client, session := connect(hosts)
	other, _ := connect(otherHosts)
	create(client, root)
	sync_(other)
	switch area {
	case "operations":
		operations(client, other)
	case "watches":
		watches(client, other)
	case "sessions":
		sessions(client, other, session)
	case "acl":
		acl(client, other)
	case "multi":
		multi(client)
	case "ttl":
		ttl(client)
	case "reconfig":
		reconfig(client)
	case "quotas":
		quotas(client)
	case "recipes":
		recipes()
	}
}
