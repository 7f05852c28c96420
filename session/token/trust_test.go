package token

import "testing"

// TestC34AppsThatShareAKey: without an audience or issuer of its own, an app
// that holds another's key, in use or retired, would take its tokens.
func TestC34AppsThatShareAKey(t *testing.T) {
	mine := newSigner(t, Options{App: "mine", SigningKey: secret})
	other := secret + secret
	for name, c := range map[string]struct {
		options      Options
		trusts, back bool // mine the other's tokens, the other mine
	}{
		"another key":             {Options{SigningKey: other}, false, false},
		"the same key":            {Options{SigningKey: secret}, true, true},
		"retired there":           {Options{SigningKey: other, VerifyingKeys: secret}, true, true},
		"another algorithm":       {Options{SigningKey: other, VerifyingKeys: other + "x"}, false, false},
		"an audience of its own":  {Options{SigningKey: secret, Audience: []string{"b"}}, true, false},
		"an issuer of its own":    {Options{SigningKey: secret, Issuer: "https://b"}, true, false},
		"a key and names of both": {Options{SigningKey: other, Audience: []string{"b"}, Issuer: "https://b"}, false, false},
	} {
		c.options.App = "other"
		s := newSigner(t, c.options)
		if mine.Trusts(s) != c.trusts || s.Trusts(mine) != c.back {
			t.Errorf("%s: %v and %v, want %v and %v", name, mine.Trusts(s), s.Trusts(mine), c.trusts, c.back)
		}
	}
	a := newSigner(t, Options{SigningKey: secret, Audience: []string{"a", "both"}})
	b := newSigner(t, Options{SigningKey: secret, Audience: []string{"b", "both"}})
	if !a.Trusts(b) || a.Trusts(newSigner(t, Options{SigningKey: secret, Audience: []string{"b"}})) {
		t.Error("one audience in common is enough, none is not")
	}
}
