package password

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sync"

	"tokengate/session"
)

// maxDummyKinds bounds the number of kinds of a DummyHashes: each adds some hundred
// nanoseconds to each login. Users whose hash is of a further kind can be distinguished
// from unknown names.
const maxDummyKinds = 64

// DummyHashes holds the hashes to compare with where a login has no hash: one of each
// kind that the user source is known to have. The key and these kinds alone decide which
// of them a name gets. Neither the number of logins nor their order has an influence: if
// it changed the dummy hash of unknown names, it would distinguish them from the names of
// users, whose hash does not change. A DummyHashes is safe for concurrent use.
type DummyHashes struct {
	key      []byte
	fallback Hash // while no kind is known

	mu       sync.Mutex
	complete bool        // kinds are those of the whole source
	kinds    []dummyKind // never modified, only replaced
}

// dummyKind is one kind of hash and the weight with which names get it.
type dummyKind struct {
	hash   Hash
	name   string // hash.Kind()
	weight float64
}

// NewDummyHashes returns the dummy hashes of a source of which no kind is known yet:
// every name gets fallback. The key decides which names get which kinds. All instances
// must have the same key, and it must be secret: with the key, a client could compute the
// dummy hash of a name and compare it with the time of a login.
func NewDummyHashes(key []byte, fallback Hash) *DummyHashes {
	return &DummyHashes{key: key, fallback: fallback}
}

// Add adds the kind of h if it is new. It does nothing after [DummyHashes.SetAll], or if
// there are 64 kinds. All kinds added by it have the same weight: the logins do not show
// how many users have each kind, and an estimate that improved over time would change.
func (d *DummyHashes) Add(h Hash) {
	name := h.Kind()
	d.mu.Lock()
	defer d.mu.Unlock()
	known := func(k dummyKind) bool { return k.name == name }
	if !d.complete && len(d.kinds) < maxDummyKinds && !slices.ContainsFunc(d.kinds, known) {
		d.kinds = append(slices.Clip(d.kinds), dummyKind{h, name, 1})
	}
}

// SetAll replaces the kinds by those of accounts, which must be all users of the source.
// The weight of a kind is the number of its users. Of more than 64 kinds, those with the
// most users are used.
func (d *DummyHashes) SetAll(accounts []session.Account) {
	found := map[string]dummyKind{}
	for _, a := range accounts {
		h, err := ParseHash(a.Password)
		if err != nil {
			continue
		}
		name := h.Kind()
		found[name] = dummyKind{h, name, found[name].weight + 1}
	}
	kinds := slices.SortedFunc(maps.Values(found), func(a, b dummyKind) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.name, b.name))
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.complete, d.kinds = true, kinds[:min(len(kinds), maxDummyKinds)]
}

// Pick returns the dummy hash of a name: that of the kind with the lowest score. When a
// kind is added or removed, the dummy hash changes only for the names that get this kind
// or had it.
func (d *DummyHashes) Pick(username string) Hash {
	d.mu.Lock()
	kinds := d.kinds
	d.mu.Unlock()
	picked, lowest := d.fallback, math.Inf(1)
	for _, k := range kinds {
		if score := d.score(username, k); score < lowest {
			picked, lowest = k.hash, score
		}
	}
	return picked
}

// score returns a number that is always the same for a name and a kind, and that looks
// random without the key: exponentially distributed, with the weight of the kind as the
// rate. So the probability that a kind has the lowest score is proportional to its weight
// (weighted rendezvous hashing).
func (d *DummyHashes) score(username string, k dummyKind) float64 {
	mac := hmac.New(sha256.New, d.key)
	_, _ = io.WriteString(mac, k.name+"\x00"+username) // no kind's name contains a zero byte
	const bits = 53                                    // the precision of a float64
	drawn := binary.BigEndian.Uint64(mac.Sum(nil)) >> (64 - bits)
	return -math.Log((float64(drawn)+0.5)/(1<<bits)) / k.weight
}

// Argon2Dummy returns a dummy hash of the kind that [NewHash] makes.
func Argon2Dummy() Hash {
	h := newArgon2()
	return Hash{h, h.encode()}
}

// DjangoDummy returns a dummy hash of the kind that a new user has in Django 5.2.
func DjangoDummy() Hash {
	h := pbkdf2Hash{
		digest: sha256.New, iterations: 1_000_000,
		salt: bytes.Repeat([]byte("0"), 22), sum: make([]byte, sha256.Size),
	}
	return Hash{h, fmt.Sprintf("pbkdf2_sha256$%d$%s$%s", h.iterations, h.salt, base64.StdEncoding.EncodeToString(h.sum))}
}
