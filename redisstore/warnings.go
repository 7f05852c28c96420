package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// Warnings returns what an operator should change on the servers. It fails if a server
// is too old, of another kind than the URL says, or denies a command that the gateway
// needs; and with Unavailable if one does not answer.
func (s *Store) Warnings(ctx context.Context) ([]string, error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return s.inspect(ctx, s.client, onlyNode, s.sampleKey(0))
	}
	if err := checkSlots(ctx, cluster); err != nil {
		return nil, err
	}
	keys, err := s.masters(ctx, cluster)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var all []string
	var faults []error
	err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		warnings, err := s.inspect(ctx, master, master.Options().Addr, keys[master])
		mu.Lock()
		defer mu.Unlock()
		all, faults = append(all, warnings...), append(faults, err)
		return nil
	})
	if err != nil {
		return all, clusterError(err)
	}
	return all, errors.Join(faults...)
}

// clusterSlots is the number of slots of a Cluster.
const clusterSlots = 16384

// checkSlots fails if a slot of a Cluster has no master: steps of its users would fail.
func checkSlots(ctx context.Context, cluster *redis.ClusterClient) error {
	slots := redis.NewClusterSlotsCmd(ctx, "cluster", "slots") // CLUSTER SHARDS needs Redis 7.0
	if err := cluster.Process(ctx, slots); err != nil {
		return clusterError(err)
	}
	covered := 0
	for _, r := range slots.Val() {
		covered += r.End - r.Start + 1
	}
	if covered < clusterSlots {
		return session.Fail(session.Unavailable, fmt.Errorf("%d of the Cluster's %d slots have no master: assign them, as with redis-cli --cluster fix", clusterSlots-covered, clusterSlots))
	}
	return nil
}

// inspect returns the warnings about one server, whose name is node. key is a sample key
// that it has, or empty if none is known.
func (s *Store) inspect(ctx context.Context, server redis.UniversalClient, node, key string) ([]string, error) {
	text, err := server.Info(ctx).Result()
	if err != nil && !isUnknown(err, "info") {
		return nil, classify("info", err)
	}
	info, warnings := parseInfo(text), []string{}
	if err != nil {
		warnings = append(warnings, "the server does not know INFO, so its version, role, maxmemory-policy and appendonly are unknown")
	} else {
		warnings = s.configurationWarnings(info)
	}
	if v := info["redis_version"]; tooOld(v) {
		return nil, fmt.Errorf("the server's version is %s: upgrade it to %d.%d or later", v, oldestMajor, oldestMinor)
	}
	if err := s.checkRole(info); err != nil {
		return nil, err
	}
	if key != "" {
		if err := s.runEveryCommand(ctx, server, key); err != nil {
			return warnings, err
		}
	}
	clock, err := s.sample(ctx, server)
	if err != nil {
		return nil, classify("time", err)
	}
	if clock.offset().Abs() > warnOffset {
		warnings = append(warnings, clockWarning(node, clock.offset()))
	}
	return warnings, nil
}

// isUnknown reports whether a server does not know a command.
func isUnknown(err error, command string) bool {
	reply, ok := errors.AsType[redis.Error](err)
	text := ""
	if ok {
		text = strings.ToLower(reply.Error())
	}
	return strings.Contains(text, "unknown command") && strings.Contains(text, command)
}

// configurationWarnings returns the warnings about a server's INFO.
func (s *Store) configurationWarnings(info map[string]string) (warnings []string) {
	if p, known := info["maxmemory_policy"]; known && p != "noeviction" {
		warnings = append(warnings, "maxmemory-policy is "+p+
			": the server may delete sessions when memory is full; set it to noeviction")
	}
	if info["aof_enabled"] == "0" {
		warnings = append(warnings, "the append-only file is off: "+
			"a restart loses the sessions created since the last snapshot, or all if there is none; set appendonly to yes")
	}
	return append(warnings, s.replicaWarnings(info)...)
}

// replicaWarnings returns the warnings about a server's INFO that concern replicas.
func (s *Store) replicaWarnings(info map[string]string) (warnings []string) {
	connected, _ := strconv.Atoi(info["connected_slaves"])
	if connected < s.options.WaitReplicas {
		warnings = append(warnings, fmt.Sprintf("%d replicas are connected, fewer than WAIT_REPLICAS (%d): "+
			"revocations will be pending or refused, and access tokens can't be verified; connect more replicas or lower WAIT_REPLICAS",
			connected, s.options.WaitReplicas))
	}
	if s.options.WaitReplicas == 0 && connected > 0 {
		warnings = append(warnings, "replicas are connected, but WAIT_REPLICAS is 0: a replica that takes over may lack "+
			"the last revocations, also those that were answered; set WAIT_REPLICAS to 1")
	}
	// INFO has this field if both settings are on. The default of min-replicas-max-lag is 10.
	if _, refuses := info["min_slaves_good_slaves"]; s.options.WaitReplicas > 0 && info["role"] == "master" && !refuses {
		warnings = append(warnings, "min-replicas-to-write is 0: a primary that is cut off from its replicas keeps answering "+
			"although another may have taken over; set min-replicas-to-write to 1 and min-replicas-max-lag to 3, as in deploy/redis-ha.conf")
	}
	return warnings
}

// runEveryCommand runs each command that the gateway needs once, on a server that has the
// key. The probe covers the commands that it has in common with the scripts.
func (s *Store) runEveryCommand(ctx context.Context, server redis.UniversalClient, key string) error {
	if _, err := s.send(ctx, s.probe, s.probeCall(key), noReplicas, true); err != nil { // EVAL; then EVALSHA
		return classify("probe", err)
	}
	if err := s.runProbe(ctx, key); err != nil {
		return err
	}
	pipe := server.Pipeline()
	pipe.Ping(ctx)
	pipe.SMembers(ctx, key)
	pipe.XRangeN(ctx, key, firstID, "+", 1)
	pipe.Publish(ctx, s.schema.channel(), "") // followers ignore an empty message
	if s.options.WaitReplicas > 0 {
		_ = pipe.Process(ctx, redis.NewIntCmd(ctx, "wait", 0, 1)) // a pipeline only queues it
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return classify("probe", err)
	}
	channel := server.Subscribe(ctx, s.schema.channel())
	defer func() { _ = channel.Close() }()
	if _, err := channel.ReceiveTimeout(ctx, subscribeTimeout); err != nil {
		return classify("subscribe", err)
	}
	return nil
}

// subscribeTimeout bounds the wait for the confirmation of a subscription.
const subscribeTimeout = time.Second

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
