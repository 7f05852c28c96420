package users

import (
	"strings"
	"testing"
)

// TestAccountKeyOfSpellings checks that the spellings of a username have one key, that other
// usernames and other secrets have another, and that a key does not contain the username.
func TestAccountKeyOfSpellings(t *testing.T) {
	key := AccountKey([]byte("0123456789abcdef"))
	for _, same := range [][]string{
		{"ada", "Ada", "ADA", " ada\t", "ａｄａ"},
		{"straße", "STRASSE"}, {"zoë", "zoe\u0308", "ZOË"}, {"ﬁona", "fiona"},
	} {
		for _, name := range same[1:] {
			if key(name) != key(same[0]) {
				t.Errorf("%q and %q have different keys", name, same[0])
			}
		}
	}
	long := strings.Repeat("x", maxUsername+1)
	names := []string{"", "ada", "ada2", "zoe", "zoë", "a da", long, strings.ToUpper(long)}
	seen := map[string]string{}
	for _, name := range names {
		if other, twice := seen[key(name)]; twice {
			t.Errorf("%q and %q have one key", name, other)
		}
		seen[key(name)] = name
	}
	if other := AccountKey([]byte("fedcba9876543210"))("ada"); other == key("ada") || len(other) != 2*accountKeyBytes || strings.Contains(other, "ada") {
		t.Errorf("got key %q with another secret and %q", other, key("ada"))
	}
}
