package session

// MaxRepeats is how often a token that was spent last is answered within the retry window.
// Browsers repeat it when many tabs refresh at the same time with one token, and clients
// when answers are lost: hardly ever 50 times in so short a time. A thief gets an access
// token from each repeat.
const MaxRepeats = 50

// ClientTag identifies the network of a client among the repeats of one session. It is only
// compared, and it is no secret: with the session's secret, the network can be guessed.
// The zero value means that the network is not known.
type ClientTag [4]byte

// NewClientTag returns the tag of a network, and zero for an empty one. It depends on the
// session's secret, so that the tags of two sessions do not show that they share a network.
func NewClientTag(secret Secret, network string) (t ClientTag) {
	if network == "" {
		return t
	}
	h := uint32(2166136261) // FNV-1a; package hash/fnv would allocate
	for _, b := range secret {
		h = (h ^ uint32(b)) * 16777619
	}
	for i := range len(network) {
		h = (h ^ uint32(network[i])) * 16777619
	}
	h = max(h, 1)
	return ClientTag{byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)}
}

// IsZero reports whether t is the zero value.
func (t ClientTag) IsZero() bool { return t == ClientTag{} }

// Repeats is what a [Store] keeps about the repeats of the token that was spent last. A new
// generation begins with none.
type Repeats struct {
	Client ClientTag // of the refresh that spent the token; zero means not known
	Number int
}

// Add counts a repeat by a client. moved reports whether it comes from another network than
// the refresh that spent the token; it is false if one of the two is not known. ok is false
// if the token was repeated MaxRepeats times already: then nothing changes, and the refresh
// must be refused with Throttled. Redis runs the same rule in lua/include/repeat.lua.
func (r Repeats) Add(client ClientTag) (after Repeats, moved, ok bool) {
	if r.Number >= MaxRepeats {
		return r, false, false
	}
	r.Number++
	return r, !client.IsZero() && !r.Client.IsZero() && client != r.Client, true
}
