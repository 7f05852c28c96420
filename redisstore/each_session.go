package redisstore

import (
	"context"
	"hash/maphash"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// scanCount is how many keys Redis goes through in one step of EachSession, and
// listsAtOnce how many users' sessions are read at the same time.
const (
	scanCount   = 1000
	listsAtOnce = 32
)

// EachSession calls visit for each live session of an app, with the store's time. It is
// for operators' reports: it goes through all keys of all servers, in bounded steps, and
// reads the sessions of some users at a time. It is not atomic: a session that is created
// or revoked meanwhile may be left out or not. If a Cluster moves slots meanwhile, those of
// some users may be left out. It keeps some 20 bytes of memory for each user. It stops at
// the first error, which is visit's own or as of [session.Store].List. The Redis user needs
// the right to run SCAN.
func (s *Store) EachSession(ctx context.Context, app string, visit func(session.Owner, session.Session, time.Time) error) error {
	walk := &sessionWalk{store: s, app: app, visit: visit, seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return walk.server(ctx, s.client)
	}
	var one sync.Mutex // the servers are asked one after the other
	var failed error   // the first error of a server
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		one.Lock()
		defer one.Unlock()
		if failed == nil {
			failed = walk.server(ctx, master)
		}
		return failed
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return classify("scan", err)
	}
	return nil
}

// sessionWalk is one run of EachSession.
type sessionWalk struct {
	store *Store
	app   string
	visit func(session.Owner, session.Session, time.Time) error

	// seen has a hash of each user whose sessions were read: SCAN may return a key twice,
	// and each session type has a key.
	seed maphash.Seed
	seen map[uint64]struct{}
}

// server goes through the keys of one server.
func (w *sessionWalk) server(ctx context.Context, server redis.Cmdable) error {
	pattern := w.store.schema.prefix + ":{" + w.app + ":[0-9a-f][0-9a-f]}:*"
	for cursor := uint64(0); ; {
		keys, next, err := server.Scan(ctx, cursor, pattern, scanCount).Result()
		if err != nil {
			return classify("scan", err)
		}
		var owners []session.Owner
		for _, key := range keys {
			if o, ok := w.newOwner(key); ok {
				owners = append(owners, o)
			}
		}
		for chunk := range slices.Chunk(owners, listsAtOnce) {
			if err := w.owners(ctx, chunk); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// newOwner returns the owner whose sessions a key holds. ok is false for other keys, and for
// an owner that was returned before.
func (w *sessionWalk) newOwner(key string) (o session.Owner, ok bool) {
	_, name, _ := strings.Cut(key, "}:")
	kind, escaped, _ := strings.Cut(name, ":")
	if !slices.Contains(session.Types, session.Type(kind)) {
		return o, false
	}
	user, err := url.PathUnescape(escaped) // the reverse of escape
	hash := maphash.String(w.seed, user)
	if _, twice := w.seen[hash]; twice || err != nil {
		return o, false
	}
	w.seen[hash] = struct{}{}
	return session.Owner{App: w.app, User: user}, true
}

// owners reads the sessions of some owners at the same time and then visits them.
func (w *sessionWalk) owners(ctx context.Context, owners []session.Owner) error {
	var wg sync.WaitGroup
	lists, errs := make([]session.ListResult, len(owners)), make([]error, len(owners))
	for i, o := range owners {
		wg.Go(func() { lists[i], errs[i] = w.store.List(ctx, session.ListStep{Owner: o, Types: session.Types}) })
	}
	wg.Wait()
	for i, o := range owners {
		if errs[i] != nil {
			return errs[i]
		}
		for _, found := range lists[i].Sessions {
			if err := w.visit(o, found, lists[i].Now); err != nil {
				return err
			}
		}
	}
	return nil
}
