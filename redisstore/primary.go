package redisstore

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

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
	for primary, keys := range primaries {
		wg.Go(func() {
			dataset, failed := s.proveByOneOf(ctx, primary, keys)
			mu.Lock()
			defer mu.Unlock()
			datasets = append(datasets, dataset)
			err = cmp.Or(err, failed)
		})
	}
	wg.Wait()
	if err != nil {
		return nil, err
	}
	return datasets, nil
}

// primaries returns the servers that have the outboxes, each with the keys of some of them.
func (s *Store) primaries(ctx context.Context, outboxes []*outbox) (map[node][]string, error) {
	found := map[node][]string{}
	for _, o := range outboxes {
		primary, err := s.nodeOf(ctx, o.key)
		if err != nil {
			return nil, err
		}
		if len(found[primary]) < proofKeys {
			found[primary] = append(found[primary], o.key)
		}
	}
	return found, nil
}

// proofKeys is how many keys of a server are tried. The slot of a key may be moving to another
// server, which does not happen to many slots at once.
const proofKeys = 3

// proveByOneOf is provePrimary with the first of some keys whose slot is not moving.
func (s *Store) proveByOneOf(ctx context.Context, primary node, keys []string) (dataset string, err error) {
	for _, key := range keys {
		if dataset, err = s.provePrimary(ctx, primary, key); !redirected(err) {
			break
		}
	}
	return dataset, err
}

// provePrimary fails unless a server shows that it is a primary, and returns the ID of its
// dataset: its replication ID, or the empty string if it does not tell it.
func (s *Store) provePrimary(ctx context.Context, primary node, key string) (dataset string, err error) {
	pipe := primary.client.Pipeline()
	beat := queueHeartbeat(ctx, pipe, key)
	info := pipe.Info(ctx, "replication")
	var confirmed confirmation
	var wait *redis.IntCmd
	if s.options.WaitReplicas > 0 {
		confirmed = confirmation{asked: true, state: s.replicas.of(primary.name)}
		wait = s.queueWait(ctx, pipe, proofTimeout)
	}
	_, failed := pipe.Exec(ctx)
	if err := errorOf(beat, failed); err != nil {
		return "", err
	}
	if wait != nil {
		confirmed.enough = s.isEnough(wait)
		if confirmed.written() == session.Pending {
			return "", errUnconfirmed
		}
	}
	return parseInfo(info.Val())["master_replid"], nil
}

// node is a server that has keys.
type node struct {
	client redis.UniversalClient
	name   string // its address in a Cluster; else empty, because a Sentinel may give its role to another server
}

// nodeOf returns the server that has a key.
func (s *Store) nodeOf(ctx context.Context, key string) (node, error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return node{client: s.client}, nil
	}
	master, err := cluster.MasterForKey(ctx, key)
	if err != nil {
		return node{}, err
	}
	return node{master, master.Options().Addr}, nil
}
