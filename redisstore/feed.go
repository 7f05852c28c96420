package redisstore

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

const (
	pollTimeout    = 5 * time.Second
	entriesPerRead = 1000 // of one outbox, per round trip
)

// Follow implements [session.Feed]. The channel brings a revocation at once, but its
// messages may be lost. The outboxes lose nothing that the servers keep, and each poll
// continues where the last one stopped. So CaughtUp depends on the polls only.
//
// A server that a failover has replaced may not know that. So a poll counts only if each
// primary takes a write afterwards, and with Options.WaitReplicas only if its replicas
// confirm it. A new primary may have lost revocations that its predecessor had reported:
// then the report begins anew.
//
// Options.Logger logs why a poll or the subscription to the channel fails.
func (s *Store) Follow(ctx context.Context, apps []string, sink session.Sink) error {
	f := s.newFollower(apps, sink)
	go s.followClocks(ctx, apps)
	messages, subscribed := make(chan string), make(chan struct{}, 1)
	go s.listen(ctx, messages, subscribed)
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-messages:
			f.report(m)
		case <-subscribed: // what was published before is in the outboxes only
			f.poll(ctx)
			next.Reset(s.options.PollInterval)
		case <-next.C:
			f.poll(ctx)
			next.Reset(s.options.PollInterval)
		}
	}
}

// follower reads the outboxes of some apps. Only one goroutine may use it.
type follower struct {
	store    *Store
	sink     session.Sink
	apps     map[string]bool
	outboxes []*outbox
	datasets []string // those that the outboxes were read from; see Store.prove
}

// outbox is the position of a follower in one outbox.
type outbox struct {
	key    string
	lastID string // of the last entry read
}

// firstID is the ID that stands for the first entry in XRANGE. A new follower starts
// there, because an outbox holds nothing older than the retention.
const firstID = "-"

func (s *Store) newFollower(apps []string, sink session.Sink) *follower {
	f := &follower{store: s, sink: sink, apps: map[string]bool{}}
	for _, app := range apps {
		f.apps[app] = true
		for n := range uint32(buckets) {
			f.outboxes = append(f.outboxes, &outbox{keyText(s.schema.bucket(app, n).addRevocations), firstID})
		}
	}
	return f
}

// poll reports what was added to the outboxes since the last poll. If it fails, it does
// not call CaughtUp: the revocation list gets stale until a later poll succeeds.
func (f *follower) poll(follow context.Context) {
	ctx, cancel := context.WithTimeout(follow, pollTimeout)
	defer cancel()
	asOf := time.Now() // before reading: every revocation acknowledged by now will be read
	if err := f.catchUp(ctx); err != nil {
		if !stopped(follow, err) {
			f.store.polls.report(err)
		}
		return
	}
	f.store.polls.report(nil)
	f.sink.CaughtUp(asOf)
}

// catchUp reads the outboxes to their ends. If one of the servers has another dataset than at
// the last reading, it reads all of them from the start.
func (f *follower) catchUp(ctx context.Context) (err error) {
	if f.datasets == nil {
		present, err := f.store.prove(ctx, f.outboxes)
		if err != nil {
			return err
		}
		f.datasets = present
		f.restart() // the channel may have brought revocations of a former primary
	}
	for {
		for unread := f.outboxes; len(unread) > 0; {
			if unread, err = f.read(ctx, unread); err != nil {
				return err
			}
		}
		present, err := f.store.prove(ctx, f.outboxes)
		if err != nil {
			return err
		}
		known := f.datasets
		f.datasets = present
		if !slices.ContainsFunc(present, func(dataset string) bool { return !slices.Contains(known, dataset) }) {
			return nil
		}
		f.restart()
	}
}

// restart begins the report anew.
func (f *follower) restart() {
	f.sink.Restart()
	for _, o := range f.outboxes {
		o.lastID = firstID
	}
}

// read reads the next entries of some outboxes in one round trip, and returns the
// outboxes that may have more.
func (f *follower) read(ctx context.Context, outboxes []*outbox) (more []*outbox, err error) {
	pipe := f.store.client.Pipeline()
	ranges := make([]*redis.XMessageSliceCmd, len(outboxes))
	for i, o := range outboxes {
		ranges[i] = pipe.XRangeN(ctx, o.key, o.lastID, "+", entriesPerRead)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	for i, o := range outboxes {
		if f.reportEntries(o, ranges[i].Val()) {
			more = append(more, o)
		}
	}
	return more, nil
}

// reportEntries reports the entries of an outbox and returns whether there may be more.
// The first entry should be the last one that was read before. If it is not there, a
// failover has lost it, or it was trimmed. Then entries may be missing between the two
// readings, so the outbox is read from the start.
func (f *follower) reportEntries(o *outbox, entries []redis.XMessage) (more bool) {
	more = len(entries) == entriesPerRead
	if o.lastID != firstID {
		if len(entries) == 0 || entries[0].ID != o.lastID {
			o.lastID = firstID
			return true
		}
		entries = entries[1:]
	}
	for _, e := range entries {
		text, _ := e.Values["e"].(string)
		f.report(text)
		o.lastID = e.ID
	}
	return more
}

// report passes the revocation of an app's sessions to the sink. It ignores other apps,
// because all apps under the prefix share the channel, also those of other gateways.
// It ignores a text that it can't parse, which a newer version may have written.
func (f *follower) report(text string) {
	ids, r, ok := parseRevocation(text)
	if !ok || !f.apps[r.App] {
		return
	}
	if keep, many := strings.CutPrefix(ids, "*"); many {
		r.Keep = session.ID(keep)
		f.sink.Revoked(r)
		return
	}
	for id := range strings.SplitSeq(ids, ",") {
		r.ID = session.ID(id)
		f.sink.Revoked(r)
	}
}

// parseRevocation parses what record_revocation in lua/include/revocation.lua writes.
// It returns the session IDs, separated by commas, apart from what they share. If the
// sessions are not named, ids is "*" and the ID of the one that was kept, if any.
func parseRevocation(text string) (ids string, r session.Revocation, ok bool) {
	const fields = 6
	f := strings.SplitN(text, "|", fields)
	if len(f) != fields {
		return "", r, false
	}
	at, err := strconv.ParseInt(f[0], 10, 64)
	r.At, r.Cause, r.By = millis(at), session.Cause(f[1]), unescapeRevokedBy(f[2])
	r.App, r.User = f[4], f[5]
	return f[3], r, err == nil
}
