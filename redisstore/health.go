package redisstore

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// Ping fails with Unavailable unless Redis can run steps, and says why. It runs every
// command of the scripts, because a Cluster that has lost slots, a server that is loading
// its data or has no memory left, a replica, and a user without rights all answer the
// command PING.
//
// In a Cluster, one master's answer is enough, because ready means that the steps of
// some users succeed. If a master is down, the steps of its users fail with Unavailable
// until its replica takes over, on this instance and on every other one, so sending
// users to another instance would help none of them.
func (s *Store) Ping(ctx context.Context) error {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		info, err := s.client.Info(ctx).Result()
		if _, isReply := errors.AsType[redis.Error](err); err != nil && !isReply {
			return classify("info", err)
		}
		if err := s.checkRole(parseInfo(info)); err != nil { // empty if the server does not know INFO, or denies it
			return err
		}
		return s.runProbe(ctx, s.sampleKey(0))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // stops the requests that have not been answered
	masters, err := s.masters(ctx, cluster)
	if err != nil {
		return err
	}
	answers := make(chan error, len(masters))
	for _, key := range masters {
		go func() { answers <- s.runProbe(ctx, key) }()
	}
	for range masters {
		if err = <-answers; err == nil {
			return nil
		}
	}
	return err
}

// Ready implements [session.Store].
func (s *Store) Ready(ctx context.Context, owner session.Owner) error {
	c := newCall()
	s.schema.owner(owner).addProbe(c)
	c.endKeys()
	_, err := s.run(ctx, s.ready, c, noReplicas)
	return err
}

// runProbe runs the script that runs every command, on the server that has a sample key.
func (s *Store) runProbe(ctx context.Context, key string) error {
	_, err := s.run(ctx, s.probe, s.probeCall(key), noReplicas)
	if err == nil {
		s.denied.Store(false)
	}
	return err
}

func (s *Store) probeCall(key string) *call {
	c := newCall()
	c.add(key)
	c.endKeys()
	c.add(s.schema.channel())
	return c
}

// checkRole returns an error that says what to give instead if a server's INFO shows that
// the URL is of another kind than the server. It ignores fields that are missing.
func (s *Store) checkRole(info map[string]string) error {
	_, isCluster := s.client.(*redis.ClusterClient)
	mode := cmp.Or(info["redis_mode"], info["server_mode"]) // Valkey's name is the second
	switch {
	case mode == "sentinel":
		return session.Fail(session.Unavailable, errors.New("the server is a Sentinel: give redis+sentinel://HOST:PORT/MASTER in the URL"))
	case !isCluster && (info["cluster_enabled"] == "1" || mode == "cluster"):
		return session.Fail(session.Unavailable, errors.New("the server is a node of a Cluster: give redis+cluster:// in the URL, or rediss+cluster:// with TLS"))
	case info["role"] == "slave":
		return session.Fail(session.Unavailable, errors.New("the server is a replica, which takes no writes: "+
			"give the URL of its primary, or redis+sentinel:// with the Sentinels that know it"))
	}
	return nil
}

// masters returns the masters of a Cluster that have a usual share of the slots, each
// with a sample key that it has.
func (s *Store) masters(ctx context.Context, cluster *redis.ClusterClient) (map[*redis.Client]string, error) {
	found := map[*redis.Client]string{}
	for n := range uint32(buckets) {
		key := s.sampleKey(n)
		master, err := cluster.MasterForKey(ctx, key)
		if err != nil {
			return nil, clusterError(err)
		}
		found[master] = key
	}
	return found, nil
}

// clusterError returns the error of finding a Cluster's masters.
func clusterError(err error) error {
	if strings.Contains(err.Error(), "cluster support disabled") {
		return session.Fail(session.Unavailable, errors.New("the server is not in a Cluster: give redis:// in the URL, or redis+sentinel:// with Sentinels"))
	}
	return classify("cluster", err)
}

// sampleKey returns one of as many keys as an app has buckets. No app uses them. They
// have the same form as the keys of apps, so the Redis user needs no further rights, and
// their slots are spread over a Cluster in the same way.
func (s *Store) sampleKey(bucket uint32) string {
	return keyText(s.schema.bucket("", bucket).addProbe)
}

// Connections describes the client's connection pool.
type Connections struct {
	// Total and Idle are the numbers of connections now.
	Total, Idle uint32
	// Hits, Misses and Timeouts count since the start how often a step, or several that are
	// sent together, took an idle connection, opened a new one, or failed because none was
	// free in time.
	Hits, Misses, Timeouts uint32
}

// Connections returns the state of the connection pool, for metrics.
func (s *Store) Connections() Connections {
	p := s.client.PoolStats()
	return Connections{Total: p.TotalConns, Idle: p.IdleConns, Hits: p.Hits, Misses: p.Misses, Timeouts: p.Timeouts}
}
