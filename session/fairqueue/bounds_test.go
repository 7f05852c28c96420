package fairqueue

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"tokengate/session"
)

// TestFullQueue checks which login fails when there is no room for a newcomer. All the logins
// of the list enter a queue for six, in this order.
func TestFullQueue(t *testing.T) {
	for name, c := range map[string]struct{ enter, want string }{
		"one network":                        {"a1p a1q a1r a1s a1t a1u a1v", "a1p a1q a1r a1s a1t a1u"},
		"another app":                        {"a1p a1q a1r a1s a1t a1u b1x", "a1p a1q a1r a1s a1t b1x"},
		"another app, up to an equal number": {"a1p a1q a1r a1s a1t a1u b1u b1v b1w b1x b1y", "a1p a1q a1r b1u b1v b1w"},
		"the largest of the others":          {"a1p b1p b1q b1r c1p c1q d1p", "a1p b1p b1q c1p c1q d1p"},
		"all apps have an equal number":      {"a1p b1p c1p a1q b1q c1q a1r b1r c1r", "a1p a1q b1p b1q c1p c1q"},
		"the largest app, and not network":   {"a1p a2p a3p a4p b1p b1q c1p", "a1p a2p a3p b1p b1q c1p"},
		"the largest network of the app":     {"a1p a2p a2q a3p a3q a3r b1p", "a1p a2p a2q a3p a3q b1p"},
		"another network":                    {"a1p a1q a1r a1s a1t a1u a2x", "a1p a1q a1r a1s a1t a2x"},
		"another network of an equal app":    {"a1p a1q a1r b1p b1q b1r b2x", "a1p a1q a1r b1p b1q b2x"},
		"another network of a smaller app":   {"a1p a1q a1r a1s b1p b1q b2x", "a1p a1q a1r b1p b1q b2x"},
		"networks up to an equal number":     {"a1p a1q a1r a1s a1t a1u a2p a2q a2r a2s a2t", "a1p a1q a1r a2p a2q a2r"},
		"networks with one login each":       {"a1p a2p a3p a4p a5p a6p a7p", "a1p a2p a3p a4p a5p a6p"},
		"many apps with one login each":      {"a1p b1p c1p d1p e1p f1p g1p", "a1p b1p c1p d1p e1p f1p"},
		"another app, though its networks":   {"a1p a1q a1r a1s a1t b1p b1q b2p", "a1p a1q a1r b1p b1q b2p"},
		"an app that lost is no newcomer":    {"a1p a1q a1r a1s a1t a1u b1p a1v b1q a1w b1r a1x", "a1p a1q a1r b1p b1q b1r"},
		"the same network of another app":    {"a1p a1q a1r a1s a1t a1u b1p c1p d1p", "a1p a1q a1r b1p c1p d1p"},
		"an unknown network is one network":  {"a-p a-q a-r a-s a-t a-u a1p a-v a2p", "a-p a-q a-r a-s a1p a2p"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Options{Slots: 1, Places: 6, Wait: long}, func(f *fixture) {
				f.enter(0, strings.Fields(c.enter)...)
				f.places("after all have entered", c.want)
			})
		})
	}
}

// TestLostPlaces checks that a login fails at once when it loses its place, whatever it does.
func TestLostPlaces(t *testing.T) {
	run(t, Options{Slots: 1, Places: 3, Wait: long}, func(f *fixture) {
		f.login("x1-")
		f.login("a1x")
		f.enter(0, "a1y", "a1z")
		f.want("one slot", "x1-")
		f.login("b1x")
		f.places("one login that looks for its user", "a1x a1y b1x")
		f.wait(1, "a1z")
		f.want("a wait without a place", "a1z busy")
		f.wait(1, "a1y")
		f.login("c1x")
		f.want("one login in line", "a1y busy")
		f.leave("a1y", "a1y", "a1z")
		f.places("after they have left", "a1x b1x c1x")
		f.leave("x1-")
		f.serveAll("a1x, b1x, c1x")
	})
}

// TestLoginsWithSlotsKeepThem checks that slots are not taken from a login, and that it counts
// no more for what its app has.
func TestLoginsWithSlotsKeepThem(t *testing.T) {
	run(t, Options{Slots: 2, Places: 2, Wait: long}, func(f *fixture) {
		f.login("a1w", "a1x", "a1y", "b1x")
		f.want("two slots", "a1w, a1x")
		f.places("two places", "a1y b1x")
		f.enter(0, "a2z", "b2z", "c1z")
		f.places("all apps have one", "a1y b1x")
		f.leave("b1x")
		f.login("a1z")
		f.login("c1z")
		f.want("a newcomer", "b1x unavailable, a1z busy")
	})
}

// TestBytesAreBounded checks that the bytes that logins hold are bounded, and fair too.
func TestBytesAreBounded(t *testing.T) {
	run(t, Options{Slots: 1, Places: 10, Bytes: 1000, Wait: long}, func(f *fixture) {
		f.enter(1001, "a1x")
		f.enter(-1, "a1y")
		f.places("a login that holds more than there is", "a1y")
		f.enter(450, "a1r", "a2r", "a1s")
		f.places("1,000 bytes", "a1r a1y a2r")
		f.enter(100, "b1p", "b1q", "b1r", "b1s", "b1t", "b1u")
		f.places("the logins of 450 bytes for those of 100", "a1y b1p b1q b1r b1s b1t b1u")
		f.enter(1, "c1p", "c1q", "c1r", "c1s", "c1t", "c1u", "c1v")
		f.places("each login counts as 100 bytes at least", "a1y b1p b1q b1r b1s b1t c1p c1q c1r c1s")
	})
}

// TestNewcomerLosesNothing checks that the newcomer gets its place whenever another login has
// lost one, with logins of many sizes.
func TestNewcomerLosesNothing(t *testing.T) {
	q := New(Options{Slots: 1, Places: 50, Bytes: 5000})
	var all []*Place
	seed := uint32(1)
	random := func(n int) int { seed = seed*1664525 + 1013904223; return int(seed>>8) % n }
	for range 20_000 {
		before, own := len(all), string(rune('a'+random(4)*random(4)))
		_, p, err := q.Enter(context.Background(), Client{own, string(rune('0' + random(5)*random(5)))}, random(900))
		kept := all[:0]
		for _, other := range all {
			if other.Err() == nil {
				kept = append(kept, other)
			}
		}
		if all = kept; err == nil {
			all = append(all, p)
		} else if len(all) < before {
			t.Fatal("logins lost their places, and the newcomer got none")
		}
		sum := 0
		for _, p := range all {
			sum += p.bytes
		}
		if sum != q.all.bytes || sum > 5000 || len(all) > 50 {
			t.Fatalf("%d logins hold %d bytes, and the queue counts %d", len(all), sum, q.all.bytes)
		}
		if random(10) == 0 && len(all) > 0 {
			i := random(len(all))
			all[i].Leave()
			all = append(all[:i], all[i+1:]...)
		}
	}
}

// TestDefaults checks the bounds of a queue without options.
func TestDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{})
		for i := range DefaultPlaces + 1 {
			_, _, err := q.Enter(t.Context(), Client{}, 0)
			if full := i == DefaultPlaces; full != (session.CodeOf(err) == session.Busy) {
				t.Fatalf("login %d: got %v", i, err)
			}
		}
	})
}
