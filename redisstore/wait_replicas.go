package redisstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// processAndWait sends a script and WAIT in one pipeline, because WAIT covers only the
// writes of its own connection.
func (s *Store) processAndWait(ctx context.Context, cmd noRetryCmd, key string) (session.Durability, error) {
	client, node := redis.Cmdable(s.client), ""
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, key)
		if err != nil {
			return "", err
		}
		client, node = master, master.Options().Addr
	}
	replicas := s.replicas.of(node)
	timeout, full := replicas.timeout(s.options.WaitTimeout)
	pipe := client.Pipeline()
	_ = pipe.Process(ctx, cmd) // a pipeline only queues it
	wait := redis.NewIntCmd(ctx, "wait", s.options.WaitReplicas, timeout.Milliseconds())
	_ = pipe.Process(ctx, wait)
	_, _ = pipe.Exec(ctx) // each command has its own error
	if err := cmd.Err(); err != nil {
		return "", err
	}
	if n, err := wait.Result(); err != nil || n < int64(s.options.WaitReplicas) {
		replicas.timedOut(full)
		return session.Pending, nil
	}
	replicas.answered()
	return session.Replicated, nil
}

// laggingPeriod is the period, after a step has waited for replicas in vain, in which other
// steps wait for them only briefly. A step holds its connection while it waits, so
// waiting in full for replicas that are down would exhaust the pool, and steps that are
// "pending" would fail with 503 instead.
const laggingPeriod = time.Second

// replicaState records whether the replicas of one node answer in time.
type replicaState struct {
	laggingUntil atomic.Int64 // Unix ns; 0 while the replicas answer
}

// timeout returns how long a step waits for the replicas, and whether that is all of
// limit. While replicas lag, one step per second waits in full to find out whether they
// are back: a shorter wait can't distinguish a replica that is down from one that takes
// some milliseconds.
func (r *replicaState) timeout(limit time.Duration) (wait time.Duration, full bool) {
	until, now := r.laggingUntil.Load(), time.Now()
	if until == 0 || until <= now.UnixNano() && r.laggingUntil.CompareAndSwap(until, now.Add(laggingPeriod).UnixNano()) {
		return limit, true
	}
	return time.Millisecond, false
}

// timedOut records that too few replicas answered. A wait that was not full does not
// count: otherwise each short wait would cause the next one, and healthy replicas would
// count as lagging for as long as there are steps.
func (r *replicaState) timedOut(full bool) {
	if full {
		r.laggingUntil.Store(time.Now().Add(laggingPeriod).UnixNano())
	}
}

// answered records that enough replicas answered, however short the wait was.
func (r *replicaState) answered() { r.laggingUntil.Store(0) }

// replicaStates holds a replicaState for each node of a Cluster, so that a shard
// without replicas does not shorten the waits of the others. The key is the node's
// address. Addresses that are no longer used are kept, at about a hundred bytes each.
type replicaStates struct{ byNode sync.Map }

// of returns the state of a node's replicas. The node is "" if there is no Cluster.
func (s *replicaStates) of(node string) *replicaState {
	r, ok := s.byNode.Load(node)
	if !ok {
		r, _ = s.byNode.LoadOrStore(node, new(replicaState))
	}
	return r.(*replicaState)
}
