package redisstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// processAndWait sends a script and WAIT together, on one connection: WAIT is
// about what its own connection wrote.
func (s *Store) processAndWait(ctx context.Context, cmd once, key string) (session.Durability, error) {
	client, node := redis.Cmdable(s.client), ""
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, key)
		if err != nil {
			return "", err
		}
		client, node = master, master.Options().Addr
	}
	known := s.replicas.of(node)
	patience, full := known.patience(s.o.WaitTimeout)
	pipe := client.Pipeline()
	_ = pipe.Process(ctx, cmd) // a pipeline takes any command
	wait := redis.NewIntCmd(ctx, "wait", s.o.WaitReplicas, patience.Milliseconds())
	_ = pipe.Process(ctx, wait)
	_, _ = pipe.Exec(ctx) // each command has its own error
	if err := cmd.Err(); err != nil {
		return "", err
	}
	if n, err := wait.Result(); err != nil || n < int64(s.o.WaitReplicas) {
		known.missed(full)
		return session.Pending, nil
	}
	known.answered()
	return session.Replicated, nil
}

// lagging is how long replicas that kept one step waiting in vain are given no
// time worth a wait. A step holds its connection while it waits, so waiting for
// replicas that are gone would use the pool up, and turn "pending" into 503.
const lagging = time.Second

// replicas is what is known of one node's replicas: until when they are taken
// not to answer, in Unix ns; 0 while they answer.
type replicas struct{ laggingUntil atomic.Int64 }

// patience is how long to wait for the replicas, and whether that is all of the
// time that they may take. While they lag, one step a second waits in full to
// see whether they are back: to wait less long would not tell a replica that is
// gone from one that is some milliseconds away.
func (r *replicas) patience(all time.Duration) (wait time.Duration, full bool) {
	until, now := r.laggingUntil.Load(), time.Now()
	if until == 0 || until <= now.UnixNano() && r.laggingUntil.CompareAndSwap(until, now.Add(lagging).UnixNano()) {
		return all, true
	}
	return time.Millisecond, false
}

// missed notes that the replicas did not answer. A wait that was cut short says
// nothing about them: were it to count, each would be the next one's reason, and
// replicas in good health would be lagging for as long as there are steps.
func (r *replicas) missed(full bool) {
	if full {
		r.laggingUntil.Store(time.Now().Add(lagging).UnixNano())
	}
}

// answered notes that they did, however short the wait.
func (r *replicas) answered() { r.laggingUntil.Store(0) }

// replicasByNode keeps a Cluster's shards apart, so that one without a replica
// costs the others no patience. A node is its address; an address that is gone
// is kept, which is a hundred bytes for each that the client has ever known.
type replicasByNode struct{ known sync.Map }

// of gives a node's; "" is the only one where there is no Cluster.
func (b *replicasByNode) of(node string) *replicas {
	r, ok := b.known.Load(node)
	if !ok {
		r, _ = b.known.LoadOrStore(node, new(replicas))
	}
	return r.(*replicas)
}
