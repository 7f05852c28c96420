package redisstore

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/lua"
	"tokengate/session"
)

// confirmation is what replicas answered about a step.
type confirmation struct {
	asked  bool          // Options.WaitReplicas asks for it
	state  *replicaState // nil if no WAIT was sent
	enough bool          // enough replicas have what the connection wrote before the WAIT
}

// written returns the durability of a step that has written something. For other steps
// the answer to WAIT means nothing: Redis 7.2 and newer answer at once, with all replicas,
// on a connection that has written nothing. So only written records whether replicas lag.
func (c confirmation) written() session.Durability {
	switch {
	case !c.asked:
		return session.NotRequested
	case c.enough:
		c.state.answered()
		return session.Replicated
	case c.state != nil:
		c.state.timedOut()
	}
	return session.Pending
}

var errUnconfirmed = errors.New("fewer replicas than WAIT_REPLICAS have confirmed that the server is still the primary: bring replicas back")

// processAndWait sends a script and WAIT in one pipeline, because WAIT covers only the
// writes of its own connection. With prove, the pipeline begins with a write, and
// processAndWait fails with errUnconfirmed if too few replicas confirm it. So it shows that
// the server was the primary when the script ran, and that the replicas have everything that
// the script has found. While replicas lag, the script runs without WAIT, and with prove not
// at all.
func (s *Store) processAndWait(ctx context.Context, cmd noRetryCmd, key string, prove bool) (confirmation, error) {
	server, err := s.nodeOf(ctx, key)
	if err != nil {
		return confirmation{}, err
	}
	c := confirmation{asked: true, state: s.replicas.of(server.name)}
	switch waits := c.state.worthWaiting(); {
	case !waits && prove:
		return c, errUnconfirmed
	case !waits:
		return confirmation{asked: true}, s.process(ctx, cmd, key)
	}
	pipe := server.client.Pipeline()
	beat := new(redis.Cmd)
	if prove {
		beat = queueHeartbeat(ctx, pipe, key)
	}
	_ = pipe.Process(ctx, cmd) // a pipeline only queues it
	wait := s.queueWait(ctx, pipe, s.options.WaitTimeout)
	_, failed := pipe.Exec(ctx)
	if err := cmp.Or(beat.Err(), errorOf(cmd.Cmd, failed)); err != nil {
		return c, err
	}
	c.enough = s.isEnough(wait)
	if prove && c.written() != session.Replicated {
		return c, errUnconfirmed
	}
	return c, nil
}

// queueHeartbeat adds a write to a pipeline that changes nothing, in the slot of a key.
func queueHeartbeat(ctx context.Context, pipe redis.Pipeliner, key string) *redis.Cmd {
	return pipe.Eval(ctx, lua.Heartbeat.Text, []string{probeKey(key)})
}

// queueWait adds WAIT to a pipeline.
func (s *Store) queueWait(ctx context.Context, pipe redis.Pipeliner, timeout time.Duration) *redis.IntCmd {
	wait := redis.NewIntCmd(ctx, "wait", s.options.WaitReplicas, timeout.Milliseconds())
	_ = pipe.Process(ctx, wait)
	return wait
}

// isEnough reports whether a WAIT was answered by as many replicas as Options.WaitReplicas.
func (s *Store) isEnough(wait *redis.IntCmd) bool {
	n, err := wait.Result()
	return err == nil && n >= int64(s.options.WaitReplicas)
}

// laggingPeriod is the period, after a step has waited for replicas in vain, in which other
// steps do not wait for them. A step holds its connection while it waits, so waiting for
// replicas that are down would exhaust the pool, and steps that are "pending" would fail
// with 503 instead.
const laggingPeriod = time.Second

// replicaState records whether the replicas of one node answer in time.
type replicaState struct {
	laggingUntil atomic.Int64 // Unix ns; 0 while the replicas answer
}

// worthWaiting reports whether a step should wait for the replicas. While they lag, one
// step per second does, to find out whether they are back.
func (r *replicaState) worthWaiting() bool {
	until, now := r.laggingUntil.Load(), time.Now()
	return until == 0 || until <= now.UnixNano() && r.laggingUntil.CompareAndSwap(until, now.Add(laggingPeriod).UnixNano())
}

// timedOut records that too few replicas answered.
func (r *replicaState) timedOut() { r.laggingUntil.Store(time.Now().Add(laggingPeriod).UnixNano()) }

// waitNext has the next step wait for the replicas, if they lag: the last one has waited, but
// wrote nothing.
func (r *replicaState) waitNext() {
	if r.laggingUntil.Load() != 0 {
		r.laggingUntil.Store(1)
	}
}

// answered records that enough replicas answered.
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
