package redisstore

import (
	"context"
	"strings"
	"sync"

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
	c.endKeys()
	s.clock(c)
	c.text(string(id))
	_, err := s.run(ctx, s.live, c, false)
	return err
}

// Traces is session.Ledger's.
func (s *Store) Traces(ctx context.Context, owner session.Owner) ([]session.Trace, error) {
	c := newCall()
	s.schema.owner(owner).gone(c)
	lines, err := s.client.ZRevRangeWithScores(ctx, string(c.buf), 0, -1).Result()
	if err != nil {
		return nil, classify("traces", err)
	}
	traces := make([]session.Trace, 0, len(lines))
	for _, z := range lines {
		line, _ := z.Member.(string)
		traces = append(traces, parseTrace(line, int64(z.Score)))
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

// escapeBy keeps an operator's name from looking like another field.
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
		if r.Durability == session.Pending {
			all.Durability = session.Pending
		}
	}
	return all, nil
}

func (s *Store) endBucket(ctx context.Context, app string, n uint32) (session.Receipt, error) {
	c, k := newCall(), owner{head: s.schema.bucket(app, n)}
	k.epoch(c)
	k.endings(c)
	c.endKeys()
	s.clock(c)
	s.trail(c, session.Owner{App: app})
	c.millis(s.EpochLife)
	r, err := s.run(ctx, s.epoch, c, true)
	if err != nil {
		return session.Receipt{}, err
	}
	now, err := r.now()
	return session.Receipt{Now: now, Durability: r.durability}, err
}
