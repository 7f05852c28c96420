package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Ping fails with Unavailable unless Redis can run steps. It asks for a key, because a
// Cluster that has lost slots, a server that is loading its data, and a user without
// rights all answer the command PING.
//
// In a Cluster, one master's answer is enough, because ready means that the steps of
// some users succeed. If a master is down, the steps of its users fail with Unavailable
// until its replica takes over, on this instance and on every other one, so sending
// users to another instance would help none of them.
func (s *Store) Ping(ctx context.Context) error {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return ping(ctx, s.client, s.sampleKey(0))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // stops the requests that have not been answered
	asked := map[*redis.Client]bool{}
	answers := make(chan error, buckets)
	for n := range uint32(buckets) { // enough keys to find every master with a usual share of the slots
		key := s.sampleKey(n)
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

func ping(ctx context.Context, server redis.Cmdable, key string) error {
	if err := server.Exists(ctx, key).Err(); err != nil {
		return classify("ping", err)
	}
	return nil
}

// sampleKey returns one of as many keys as an app has buckets. No app uses them. They
// have the same form as the keys of apps, so the Redis user needs no further rights, and
// their slots are spread over a Cluster in the same way.
func (s *Store) sampleKey(bucket uint32) string {
	return keyText(s.schema.bucket("", bucket).addNotBefore)
}

// Connections describes the client's connection pool.
type Connections struct {
	// Total and Idle are the numbers of connections now.
	Total, Idle uint32
	// Hits, Misses and Timeouts count the steps since the start that took an idle
	// connection, opened a new one, or failed because none was free in time.
	Hits, Misses, Timeouts uint32
}

// Connections returns the state of the connection pool, for metrics.
func (s *Store) Connections() Connections {
	p := s.client.PoolStats()
	return Connections{Total: p.TotalConns, Idle: p.IdleConns, Hits: p.Hits, Misses: p.Misses, Timeouts: p.Timeouts}
}
