package redisstore

import (
	"context"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// clockOffset is how far a node's clock is ahead of this instance's, in nanoseconds.
// Create one with newClockOffset.
type clockOffset struct{ atomic.Int64 }

// unknownOffset is the value of a clockOffset that was never learned.
const unknownOffset = math.MinInt64

func newClockOffset() *clockOffset {
	o := new(clockOffset)
	o.Store(unknownOffset)
	return o
}

// learn corrects the offset by a sample. The node read its clock at some moment between
// sent and received, so the offset is within two bounds, and one that is within them
// already is kept: the time that an answer takes does not shift it.
func (o *clockOffset) learn(c clockSample) {
	least, most := int64(c.node.Sub(c.received)), int64(c.node.Sub(c.sent))
	known := o.Load()
	switch {
	case known == unknownOffset:
		o.Store(int64(c.offset()))
	case known < least:
		o.Store(least)
	case known > most:
		o.Store(most)
	}
}

// offset returns the middle of the two bounds.
func (c clockSample) offset() time.Duration {
	least, most := c.node.Sub(c.received), c.node.Sub(c.sent)
	return least + (most-least)/2
}

// clockOffsets holds the clockOffset of each node. In a Cluster, each bucket of an app
// has its own, by hash tag: the node of a bucket is looked up only when the clocks are
// measured, and each answer about a bucket corrects its offset even if the bucket has
// moved since.
type clockOffsets struct {
	single *clockOffset // of the only node that steps use; nil in a Cluster
	byTag  sync.Map
}

// of returns the offset for a hash tag, such as "shop:3f", of a Cluster.
func (c *clockOffsets) of(tag string) *clockOffset {
	o, ok := c.byTag.Load(tag)
	if !ok {
		o, _ = c.byTag.LoadOrStore(tag, newClockOffset())
	}
	return o.(*clockOffset)
}

// hashTag returns the part of a key between the braces.
func hashTag(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	tag, _, _ := strings.Cut(rest, "}")
	return tag
}

// clockOf returns the offset of the node that has a key.
func (s *Store) clockOf(key string) *clockOffset {
	if s.clocks.single != nil {
		return s.clocks.single
	}
	return s.clocks.of(hashTag(key))
}

// learnClock corrects the offset of the node that has the keys of a call by the time that
// the node gave in its reply.
func (s *Store) learnClock(c *call, at, sent time.Time) {
	s.clockOf(c.firstKey()).learn(clockSample{at, sent, time.Now()})
}

// clockTimeout bounds a query for the time of a node.
const clockTimeout = time.Second

// ClockOffset implements [session.Store].
func (s *Store) ClockOffset(ctx context.Context, owner session.Owner) (time.Duration, error) {
	if o := s.clocks.single; o != nil && o.Load() != unknownOffset {
		return time.Duration(o.Load()), nil // without building a key, because forward-auth comes here
	}
	return s.offset(ctx, s.schema.owner(owner).prefix)
}

// offset returns how far the clock of the node that has a key is ahead. It asks the node if
// that is not known.
func (s *Store) offset(ctx context.Context, key string) (time.Duration, error) {
	o := s.clockOf(key)
	if known := o.Load(); known != unknownOffset {
		return time.Duration(known), nil
	}
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	node, err := s.nodeOf(ctx, key)
	if err != nil {
		return 0, classify("time", err)
	}
	c, err := s.sample(ctx, node.client)
	if err != nil {
		return 0, classify("time", err)
	}
	o.learn(c)
	return time.Duration(o.Load()), nil
}

// onlyNode names the node in metrics and log if there is no Cluster. A Sentinel may give
// its role to another server at any time.
const onlyNode = "primary"

// warnOffset is the difference of two clocks from which on operators are warned.
const warnOffset = time.Second

// clockWarningInterval is the least time between two warnings about clocks in the log.
const clockWarningInterval = 5 * time.Minute

// clockInterval is how often the clocks are measured. Steps correct the offsets as well, so
// it matters only to an instance that runs none.
const clockInterval = 5 * time.Second

// followClocks measures the clocks at once and then at each interval, until ctx is done.
func (s *Store) followClocks(ctx context.Context, apps []string) {
	for {
		s.measureClocks(ctx, apps)
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(clockInterval, s.options.PollInterval)):
		}
	}
}

// clockSample is the time that a node gave in the answer to a request.
type clockSample struct{ node, sent, received time.Time }

// sample asks a node for its time.
func (s *Store) sample(ctx context.Context, node redis.Cmdable) (c clockSample, err error) {
	c.sent = time.Now()
	c.node, err = node.Time(ctx).Result()
	c.received = time.Now()
	if s.options.Now != nil {
		c.node = s.options.Now()
	}
	return c, err
}

// measureClocks measures the clocks of all nodes that have buckets of the apps, reports the
// offsets, and corrects those of the buckets by them. It ignores nodes that do not answer:
// steps on them fail as well.
func (s *Store) measureClocks(ctx context.Context, apps []string) {
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	if s.clocks.single != nil {
		s.measureClock(ctx, s.client, onlyNode, s.clocks.single)
		return
	}
	offsets := map[node][]*clockOffset{}
	for _, app := range apps {
		for n := range uint32(buckets) {
			key := s.schema.bucket(app, n).prefix
			if master, err := s.nodeOf(ctx, key); err == nil {
				offsets[master] = append(offsets[master], s.clocks.of(hashTag(key)))
			}
		}
	}
	var wg sync.WaitGroup
	for master, ofBuckets := range offsets {
		wg.Go(func() { s.measureClock(ctx, master.client, master.name, ofBuckets...) })
	}
	wg.Wait()
}

// measureClock measures the clock of one node, whose name is given.
func (s *Store) measureClock(ctx context.Context, node redis.Cmdable, name string, offsets ...*clockOffset) {
	c, err := s.sample(ctx, node)
	if err != nil {
		return
	}
	for _, o := range offsets {
		o.learn(c)
	}
	s.reportClock(name, c.offset())
}

// reportClock reports a node's offset to Options.ObserveClock, and logs a warning if
// it is large, unless one was logged a short time ago.
func (s *Store) reportClock(node string, offset time.Duration) {
	if s.options.ObserveClock != nil {
		s.options.ObserveClock(node, offset)
	}
	if offset.Abs() <= warnOffset || s.options.Logger == nil {
		return
	}
	last, now := s.clockWarnedAt.Load(), time.Now().UnixNano()
	if now-last >= int64(clockWarningInterval) && s.clockWarnedAt.CompareAndSwap(last, now) {
		s.options.Logger.Warn(clockWarning(node, offset))
	}
}

// clockWarning returns what an operator should know about a node's clock.
func clockWarning(node string, offset time.Duration) string {
	relation := "ahead of"
	if offset < 0 {
		relation = "behind"
	}
	return "the clock of the Redis node " + node + " is " + offset.Abs().Round(time.Millisecond).String() + " " + relation +
		" this machine's: sessions and tokens follow the clock of Redis, other verifiers of access tokens their own; synchronize the clocks (NTP)"
}
