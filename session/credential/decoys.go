package credential

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"maps"
	"math"
	"slices"
	"sync"

	"tokengate/session"
)

// maxKinds bounds how many kinds of hashes decoys know: each costs some hundred
// nanoseconds of each login. Users of a kind beyond them can be told from names
// that nobody has.
const maxKinds = 64

// decoys are hashes to work on in the stead of one that isn't there: one of each
// kind that the source is known to hold. The key and these kinds alone decide
// which of them a name gets. No count of logins is a part of that, nor who came
// first or last: what changed the outcome for names that nobody has would tell
// them from those that somebody has, whose outcome stays.
type decoys struct {
	key   []byte
	usual stored // while no kind is known

	mu    sync.Mutex
	whole bool    // kinds is all that the source holds
	kinds []decoy // never written to, only replaced
}

// decoy is one kind and how many shares of the names it gets.
type decoy struct {
	stored
	label  string
	shares float64
}

// learn takes note of a kind that is new. All that are learnt so have one share:
// how many users are of each can't be known from those who happen to be asked
// for, and a guess that grew better with time would have to change.
func (d *decoys) learn(h stored) {
	label := h.kind()
	d.mu.Lock()
	defer d.mu.Unlock()
	known := func(k decoy) bool { return k.label == label }
	if !d.whole && len(d.kinds) < maxKinds && !slices.ContainsFunc(d.kinds, known) {
		d.kinds = append(slices.Clip(d.kinds), decoy{h, label, 1})
	}
}

// learnAll takes the kinds of a list that is all of the source, in the place of
// any known before. Each gets as many shares as it has users.
func (d *decoys) learnAll(list []session.Account) {
	found := map[string]decoy{}
	for _, a := range list {
		h, err := readHash(a.Password)
		if err != nil {
			continue
		}
		label := h.kind()
		found[label] = decoy{h, label, found[label].shares + 1}
	}
	kinds := slices.SortedFunc(maps.Values(found), func(a, b decoy) int {
		return cmp.Or(cmp.Compare(b.shares, a.shares), cmp.Compare(a.label, b.label))
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.whole, d.kinds = true, kinds[:min(len(kinds), maxKinds)]
}

// pick gives a name its decoy: that of the nearest kind. A kind that comes or
// goes leaves every name as it is but those that it gets or had.
func (d *decoys) pick(username string) stored {
	d.mu.Lock()
	kinds := d.kinds
	d.mu.Unlock()
	nearest, least := d.usual, math.Inf(1)
	for _, k := range kinds {
		if far := d.distance(username, k); far < least {
			nearest, least = k.stored, far
		}
	}
	return nearest
}

// distance is, to who lacks the key, drawn at random once for each name and
// kind, exponentially with the shares as its rate: so that the nearest kind is
// each with the odds of its shares (weighted rendezvous hashing).
func (d *decoys) distance(username string, k decoy) float64 {
	mac := hmac.New(sha256.New, d.key)
	_, _ = io.WriteString(mac, k.label+"\x00"+username) // no label has a zero byte
	const bits = 53                                     // as many as a float64 keeps
	drawn := binary.BigEndian.Uint64(mac.Sum(nil)) >> (64 - bits)
	return -math.Log((float64(drawn)+0.5)/(1<<bits)) / k.shares
}
