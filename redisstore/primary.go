package redisstore

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/lua"
	"tokengate/session"
)

// proofTimeout is how long a primary waits for its replicas to confirm a proof: long enough
// for replicas that are slower than steps wait for.
const proofTimeout = time.Second

// prove fails unless each server that has one of the outboxes shows that it is a primary: it
// takes a write, and the replicas that Options.WaitReplicas asks for confirm it. It returns
// the IDs of the servers' datasets. A server that is promoted, or is started with another
// file, has a new one.
func (s *Store) prove(ctx context.Context, outboxes []*outbox) (datasets []string, err error) {
	primaries, err := s.primaries(ctx, outboxes)
	if err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for primary, key := range primaries {
		wg.Go(func() {
			dataset, failed := s.provePrimary(ctx, primary, key)
			mu.Lock()
			defer mu.Unlock()
			datasets = append(datasets, dataset)
			err = cmp.Or(err, failed)
		})
	}
	wg.Wait()
	return datasets, err
}

// primaries returns the servers that have the outboxes, each with the key of one of them.
func (s *Store) primaries(ctx context.Context, outboxes []*outbox) (map[redis.UniversalClient]string, error) {
	found := map[redis.UniversalClient]string{}
	cluster, ok := s.client.(*redis.ClusterClient)
	for _, o := range outboxes {
		if !ok {
			return map[redis.UniversalClient]string{s.client: o.key}, nil
		}
		primary, err := cluster.MasterForKey(ctx, o.key)
		if err != nil {
			return nil, err
		}
		found[primary] = o.key
	}
	return found, nil
}

// provePrimary fails unless a server shows that it is a primary, and returns the ID of its
// dataset: its replication ID, or the empty string if it does not tell it.
func (s *Store) provePrimary(ctx context.Context, primary redis.UniversalClient, key string) (dataset string, err error) {
	pipe := primary.Pipeline()
	beat := pipe.Eval(ctx, lua.Heartbeat.Text, []string{probeKey(key)})
	info := pipe.Info(ctx, "replication")
	var confirmed confirmation
	var wait *redis.IntCmd
	if s.options.WaitReplicas > 0 {
		confirmed = confirmation{asked: true, state: s.replicas.of(s.nodeName(primary))}
		wait = s.queueWait(ctx, pipe, proofTimeout)
	}
	_, failed := pipe.Exec(ctx)
	if err := beat.Err(); err != nil {
		return "", err
	}
	if beat.Val() == nil { // the commands have no errors if a new connection was refused
		return "", failed
	}
	if wait != nil {
		confirmed.enough = wait.Err() == nil && wait.Val() >= int64(s.options.WaitReplicas)
		if confirmed.written() == session.Pending {
			return "", errUnconfirmed
		}
	}
	return parseInfo(info.Val())["master_replid"], nil
}

// nodeName returns the name under which the replicas of a server are recorded.
func (s *Store) nodeName(server redis.UniversalClient) string {
	if node, ok := server.(*redis.Client); ok && s.clocks.single == nil {
		return node.Options().Addr
	}
	return ""
}
