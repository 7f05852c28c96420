package redisstore

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tokengate/session"
)

// Live is session.Ledger's.
func (s *Store) Live(ctx context.Context, owner session.Owner, id session.ID) error {
	c, k := newCall(), s.schema.owner(owner)
	k.epoch(c)
	k.gone(c)
	for _, t := range session.Types {
		k.data(c, t)
	}
	s.arguments(c, owner)
	c.id(id)
	_, err := s.run(ctx, s.live, c, false)
	return err
}

// Traces is session.Ledger's. Sessions that EndApp ended are in it for as long
// as they would have lived.
func (s *Store) Traces(ctx context.Context, owner session.Owner) ([]session.Trace, error) {
	c, k := newCall(), s.schema.owner(owner)
	k.epoch(c)
	k.gone(c)
	k.ofTypes(c, session.Types)
	s.arguments(c, owner)
	r, err := s.run(ctx, s.traces, c, false)
	if err != nil {
		return nil, err
	}
	lines, _ := at[[]any](r.rest, 3)
	traces := make([]session.Trace, 0, len(lines)/2)
	for i := 0; i+1 < len(lines); i += 2 {
		line, _ := at[string](lines, i)
		when, _ := at[string](lines, i+1)
		n, _ := strconv.ParseInt(when, 10, 64)
		traces = append(traces, parseTrace(line, n))
	}
	traces, err = r.endedByApp(traces)
	slices.SortStableFunc(traces, func(a, b session.Trace) int { return b.At.Compare(a.At) })
	return traces[:min(len(traces), maxTraces)], err
}

// maxTraces is lua's GONE_KEPT.
const maxTraces = 32

// endedByApp adds the sessions that began before the epoch.
func (r *reply) endedByApp(traces []session.Trace) ([]session.Trace, error) {
	now, err := r.now()
	if err != nil {
		return traces, err
	}
	var all []held
	for i := 4; i < len(r.rest); i += 2 {
		if all, err = r.sessions(all, i, ""); err != nil {
			return traces, err
		}
	}
	epoch := r.epoch()
	for _, h := range all {
		if _, over := session.Over(h.Session, now); !over && h.era < epoch {
			at := micros(epoch).Truncate(time.Millisecond)
			traces = append(traces, session.Trace{ID: h.ID, Cause: session.CauseApp, At: at})
		}
	}
	return traces, nil
}

// parseTrace reads a member of a user's "gone".
func parseTrace(line string, when int64) session.Trace {
	id, rest, _ := strings.Cut(line, "|")
	cause, by, _ := strings.Cut(rest, "|")
	return session.Trace{ID: session.ID(id), Cause: session.Cause(cause), By: unescapeBy(by), At: millis(when)}
}

var (
	byEscaper   = strings.NewReplacer("%", "%25", "|", "%7C")
	byUnescaper = strings.NewReplacer("%25", "%", "%7C", "|")
)

// escapeBy keeps an operator's name, which may hold any character, from looking like another field.
func escapeBy(by string) string   { return byEscaper.Replace(by) }
func unescapeBy(by string) string { return byUnescaper.Replace(by) }

// EndApp is session.Ledger's. Redis runs it bucket by bucket: when some can't
// be reached it fails with Unavailable, the others are ended, and a retry is
// safe. The receipt doesn't say which sessions there were.
func (s *Store) EndApp(ctx context.Context, app string) (session.Receipt, error) {
	var wg sync.WaitGroup
	receipts, errs := make([]session.Receipt, buckets), make([]error, buckets)
	for n := range uint32(buckets) {
		wg.Go(func() { receipts[n], errs[n] = s.endBucket(ctx, app, n) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return session.Receipt{}, err
		}
	}
	all := receipts[0]
	for _, r := range receipts {
		if r.Now.After(all.Now) {
			all.Now = r.Now
		}
		all.Durability = all.Durability.And(r.Durability)
	}
	return all, nil
}

// endBucket ends the sessions of one bucket. It has no user, so the trail names
// none, and what is published is for all of the app.
func (s *Store) endBucket(ctx context.Context, app string, n uint32) (session.Receipt, error) {
	c, k := newCall(), owner{head: s.schema.bucket(app, n)}
	k.epoch(c)
	k.endings(c)
	s.arguments(c, session.Owner{App: app})
	c.millis(s.o.EpochLife)
	r, err := s.run(ctx, s.epoch, c, true)
	if err != nil {
		return session.Receipt{}, err
	}
	now, err := r.now()
	return session.Receipt{Now: now, Durability: r.durability}, err
}
