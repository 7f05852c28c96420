package redisstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

const (
	sweepTimeout  = 5 * time.Second
	entriesAtOnce = 1000 // of one stream, per round trip
)

// Follow is session.Feed's. The channel brings an ending at once, but a message
// may be lost; the outboxes lose nothing, and are read from where the last
// sweep left off. So freshness rests on the sweeps alone.
func (s *Store) Follow(ctx context.Context, apps []string, sink session.Sink) error {
	f := s.newFollower(apps, sink)
	channel := s.client.Subscribe(ctx, s.schema.channel())
	defer channel.Close()
	messages := channel.Channel()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, open := <-messages:
			if !open { // the store was closed
				messages = nil
				continue
			}
			f.report(m.Payload)
		case <-next.C:
			f.sweep(ctx)
			next.Reset(s.o.Sweep)
		}
	}
}

// follower reads the outboxes of some apps. It is used by one goroutine.
type follower struct {
	client  redis.UniversalClient
	sink    session.Sink
	apps    map[string]bool
	streams []*stream
}

// stream is an outbox and the last entry read of it.
type stream struct{ key, last string }

// beginning is XRANGE's word for the first entry there is. A new follower needs
// no other start: an outbox holds nothing older than the horizon.
const beginning = "-"

func (s *Store) newFollower(apps []string, sink session.Sink) *follower {
	f := &follower{client: s.client, sink: sink, apps: map[string]bool{}}
	for _, app := range apps {
		f.apps[app] = true
		for n := range uint32(buckets) {
			key := newCall()
			owner{head: s.schema.bucket(app, n)}.endings(key)
			f.streams = append(f.streams, &stream{string(key.buf), beginning})
		}
	}
	return f
}

// sweep reports what came since the last sweep. One that fails is nothing but
// missing: the list of endings grows stale, and the next one makes up for it.
func (f *follower) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	asOf := time.Now() // before reading: what is acknowledged by now will be read
	for unread := f.streams; len(unread) > 0; {
		var err error
		if unread, err = f.read(ctx, unread); err != nil {
			return
		}
	}
	f.sink.CaughtUp(asOf)
}

// read reads on in some streams, in one round trip, and gives those of which
// there may be more.
func (f *follower) read(ctx context.Context, streams []*stream) (more []*stream, err error) {
	pipe := f.client.Pipeline()
	ranges := make([]*redis.XMessageSliceCmd, len(streams))
	for i, st := range streams {
		ranges[i] = pipe.XRangeN(ctx, st.key, st.last, "+", entriesAtOnce)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	for i, st := range streams {
		if f.advance(st, ranges[i].Val()) {
			more = append(more, st)
		}
	}
	return more, nil
}

// advance reports entries, the first of which should be the one that was last
// read. If it isn't there, a failover has lost it, or time has trimmed it: then
// what follows may not be what followed, and the stream is read from the start.
func (f *follower) advance(st *stream, entries []redis.XMessage) (more bool) {
	if st.last != beginning {
		if len(entries) == 0 || entries[0].ID != st.last {
			st.last = beginning
			return true
		}
		more = len(entries) == entriesAtOnce
		entries = entries[1:]
	} else {
		more = len(entries) == entriesAtOnce
	}
	for _, e := range entries {
		ending, _ := e.Values["e"].(string)
		f.report(ending)
		st.last = e.ID
	}
	return more
}

// report tells the sink of an ending of one of its apps. The channel is shared
// by all apps under the prefix, those of other gateways included, so not every
// message is for us; what can't be read is newer than this program, and skipped.
func (f *follower) report(text string) {
	ids, e, ok := parseEnding(text)
	if !ok || !f.apps[e.App] {
		return
	}
	for id := range strings.SplitSeq(ids, ",") {
		e.ID = session.ID(id)
		f.sink.Ended(e)
	}
}

// parseEnding reads what lua/change.lua's tell wrote.
func parseEnding(text string) (ids string, e session.Ending, ok bool) {
	const fields = 6
	f := strings.SplitN(text, "|", fields)
	if len(f) != fields {
		return "", e, false
	}
	at, err := strconv.ParseInt(f[0], 10, 64)
	e.At, e.Cause, e.By = millis(at), session.Cause(f[1]), unescapeBy(f[2])
	e.App, e.User = f[4], f[5]
	return f[3], e, err == nil
}
