package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Warnings returns what an operator should change on the servers. It fails if a server
// is too old, and with Unavailable if one does not answer.
func (s *Store) Warnings(ctx context.Context) ([]string, error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return s.inspect(ctx, s.client, onlyNode)
	}
	var mu sync.Mutex
	var all []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		warnings, err := s.inspect(ctx, master, master.Options().Addr)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, warnings...)
		return err
	})
	return all, err
}

// inspect returns the warnings about one server, whose name is node.
func (s *Store) inspect(ctx context.Context, server redis.Cmdable, node string) ([]string, error) {
	text, err := server.Info(ctx).Result()
	if redis.HasErrorPrefix(err, "NOPERM") {
		return []string{"this Redis user may not run INFO, so the server's version, maxmemory-policy and appendonly are unknown: " +
			"allow it the command (ACL +info)"}, nil
	}
	if err != nil {
		return nil, classify("info", err)
	}
	info := parseInfo(text)
	if v := info["redis_version"]; tooOld(v) {
		return nil, fmt.Errorf("the server's version is %s: upgrade it to %d.%d or later", v, oldestMajor, oldestMinor)
	}
	var warnings []string
	if p := info["maxmemory_policy"]; p != "noeviction" {
		warnings = append(warnings, "maxmemory-policy is "+p+
			": the server may delete sessions when memory is full; set it to noeviction")
	}
	if info["aof_enabled"] == "0" {
		warnings = append(warnings, "the append-only file is off: "+
			"a restart loses the sessions created since the last snapshot, or all if there is none; set appendonly to yes")
	}
	clock, err := s.sample(ctx, server)
	if err != nil && !redis.HasErrorPrefix(err, "NOPERM") { // without TIME no step works, which Ping reports
		return nil, classify("time", err)
	}
	if err == nil && clock.offset().Abs() > warnOffset {
		warnings = append(warnings, clockWarning(node, clock.offset()))
	}
	err = server.Publish(ctx, s.schema.channel(), "").Err() // followers ignore an empty message
	if redis.HasErrorPrefix(err, "NOPERM") {
		warnings = append(warnings, "this Redis user may not publish to "+s.schema.channel()+
			": revocations reach the other instances late; allow it the channel (ACL &"+s.schema.channel()+")")
	}
	if n, _ := strconv.Atoi(info["connected_slaves"]); n < s.options.WaitReplicas {
		warnings = append(warnings, fmt.Sprintf("%d replicas are connected, fewer than WAIT_REPLICAS (%d): "+
			"revocations will be reported as pending; connect more replicas or lower WAIT_REPLICAS", n, s.options.WaitReplicas))
	}
	return warnings, nil
}

// parseInfo returns the fields of an INFO reply.
func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[name] = value
	}
	return info
}

// oldestMajor.oldestMinor is the first Redis version with everything that the scripts
// use.
const oldestMajor, oldestMinor = 6, 2

// tooOld compares the first two numbers of a version. A version that it can't parse
// counts as new, so that the gateway starts.
func tooOld(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (major < oldestMajor || major == oldestMajor && minor < oldestMinor)
}
