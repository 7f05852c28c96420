package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Ping tells whether a step would find Redis: it asks for a key, as a Cluster
// that has lost slots, a server that loads and a user without rights answer
// PING all the same. Unavailable if not. Of a Cluster one master's answer is
// enough: to be ready means that some users' steps come out. Those of a dead
// master's users are answered Unavailable until its replica takes over, here as
// in every other instance, so to send users elsewhere would help none of them.
func (s *Store) Ping(ctx context.Context) error {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return ping(ctx, s.client, s.pingKey(0))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // who has yet to answer need not
	asked := map[*redis.Client]bool{}
	answers := make(chan error, buckets)
	for n := range uint32(buckets) { // a master without a bucket has no users to answer for
		key := s.pingKey(n)
		master, err := cluster.MasterForKey(ctx, key)
		if err != nil {
			return classify("ping", err)
		}
		if !asked[master] {
			asked[master] = true
			go func() { answers <- ping(ctx, master, key) }()
		}
	}
	var err error
	for range asked {
		if err = <-answers; err == nil {
			return nil
		}
	}
	return err
}

// pingKey is a key that each of an app's buckets may have.
func (s *Store) pingKey(bucket uint32) string {
	key := newCall()
	owner{head: s.schema.bucket("", bucket)}.epoch(key)
	return string(key.buf)
}

func ping(ctx context.Context, server redis.Cmdable, key string) error {
	if err := server.Exists(ctx, key).Err(); err != nil {
		return classify("ping", err)
	}
	return nil
}

// Connections is the state of the client's pool.
type Connections struct {
	Total, Idle            uint32 // now
	Hits, Misses, Timeouts uint32 // takings since the start; a time-out is a step that failed
}

// Connections counts for metrics.
func (s *Store) Connections() Connections {
	p := s.client.PoolStats()
	return Connections{Total: p.TotalConns, Idle: p.IdleConns, Hits: p.Hits, Misses: p.Misses, Timeouts: p.Timeouts}
}

// Warnings says what an operator should change at the servers. It fails where
// a server is too old, with an error that says so, and with Unavailable where
// one doesn't answer.
func (s *Store) Warnings(ctx context.Context) ([]string, error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return s.inspect(ctx, s.client)
	}
	var mu sync.Mutex
	var all []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		warnings, err := s.inspect(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, warnings...)
		return err
	})
	return all, err
}

// oldestMajor.oldestMinor is the first version that has all that the scripts use.
const oldestMajor, oldestMinor = 6, 2

// inspect reads what one server says of itself.
func (s *Store) inspect(ctx context.Context, server redis.Cmdable) ([]string, error) {
	text, err := server.Info(ctx).Result()
	if redis.HasErrorPrefix(err, "NOPERM") {
		return []string{"INFO is not allowed to this user, so version, maxmemory-policy and appendonly are unknown"}, nil
	}
	if err != nil {
		return nil, classify("info", err)
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[name] = value
	}
	if v := info["redis_version"]; tooOld(v) {
		return nil, fmt.Errorf("the server's version is %s: %d.%d or later is needed", v, oldestMajor, oldestMinor)
	}
	var warnings []string
	if p := info["maxmemory_policy"]; p != "noeviction" {
		warnings = append(warnings, "maxmemory-policy is "+p+
			": the server may drop sessions when memory is full; set it to noeviction")
	}
	if info["aof_enabled"] == "0" {
		warnings = append(warnings, "the append-only file is off: "+
			"sessions made since the last snapshot, if any, are lost at a restart; set appendonly to yes")
	}
	if err := server.Publish(ctx, s.schema.channel(), "").Err(); redis.HasErrorPrefix(err, "NOPERM") { // an empty message tells nobody anything
		warnings = append(warnings, "this user may not publish to "+s.schema.channel()+
			": endings reach the other instances late; allow it the channel (ACL &"+s.schema.channel()+")")
	}
	if n, _ := strconv.Atoi(info["connected_slaves"]); n < s.o.WaitReplicas {
		warnings = append(warnings, fmt.Sprintf("%d replicas are connected, fewer than WAIT_REPLICAS (%d): "+
			"endings will be answered as pending", n, s.o.WaitReplicas))
	}
	return warnings, nil
}

// tooOld compares the first two numbers. A version of another form is taken for
// a server that is new, not for a reason to stay down.
func tooOld(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (major < oldestMajor || major == oldestMajor && minor < oldestMinor)
}
