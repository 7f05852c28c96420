package users

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/password"
)

var testKey = bytes.Repeat([]byte("k"), 32)

// Hashes of four kinds. No test compares a password with them.
const (
	argonText  = "$argon2id$v=19$m=19456,t=2,p=1$MDAwMDAwMDAwMDAwMDAwMA$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA"
	slowText   = "pbkdf2_sha256$1000000$0123456789abcdef$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
	scryptText = "scrypt$16384$salt$8$5$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
	argonKind  = "argon2id 19456 2 1" // the kind of argonText
	bcryptText = "$2b$12$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0"
)

// mixedUsers returns six users: user0, user4 and user5 have the same kind of hash, and
// user1, user2 and user3 one kind each.
func mixedUsers() []session.Account {
	var list []session.Account
	for i, hash := range []string{argonText, slowText, scryptText, bcryptText, argonText, argonText} {
		list = append(list, session.Account{ID: session.NumberID(int64(i + 1)), Username: fmt.Sprintf("user%d", i), Password: hash, Active: true})
	}
	return list
}

// openInstance returns the checker of one gateway instance with the redis users list.
func openInstance(t *testing.T, key []byte, list []session.Account) *hashChecker {
	t.Helper()
	source, err := Open(t.Context(), "redis:", Options{
		Queue: password.NewQueue(1, time.Minute, nil), DummyKey: key, App: "shop", Directory: fakeDirectory{app: "shop", list: list},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := source.Checker.(*hashChecker)
	return c
}

// kindFor returns the kind of hash that a login with this name is compared with.
func (c *hashChecker) kindFor(t *testing.T, username string) string {
	t.Helper()
	account, err := c.accounts.find(t.Context(), username)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		t.Fatal(err)
	}
	h, _ := c.hashToCompare(username, account, err == nil)
	return h.Kind()
}

// unknownNames returns n names that no user has.
func unknownNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("unknown%d", i)
	}
	return names
}

// kindsFor returns the result of kindFor by name.
func (c *hashChecker) kindsFor(t *testing.T, names []string) map[string]string {
	t.Helper()
	kinds := map[string]string{}
	for _, name := range names {
		kinds[name] = c.kindFor(t, name)
	}
	return kinds
}

// differing returns the names whose kinds in a and b are different.
func differing(a, b map[string]string) (names []string) {
	for name := range a {
		if a[name] != b[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// countKinds returns the number of names of each kind.
func countKinds(kinds map[string]string) map[string]int {
	n := map[string]int{}
	for _, kind := range kinds {
		n[kind]++
	}
	return n
}

// TestDummyHashDoesNotDependOnPreviousLogin checks that the kind shown for an unknown name
// does not depend on which of two users, with hashes of different kinds, logged in before.
func TestDummyHashDoesNotDependOnPreviousLogin(t *testing.T) {
	c := openInstance(t, testKey, mixedUsers()[:2])
	names := unknownNames(200)
	c.kindsFor(t, []string{"user0", "user1"})
	want := c.kindsFor(t, names)
	if n := countKinds(want); len(n) != 2 || n[c.kindFor(t, "user0")] < 60 || n[c.kindFor(t, "user1")] < 60 {
		t.Errorf("got kinds %v, want about as many names of both users' kinds", n)
	}
	for _, before := range []string{"user1", "user0"} {
		for _, name := range names {
			c.kindFor(t, before)
			if got := c.kindFor(t, name); got != want[name] {
				t.Fatalf("after a login as %s, %s shows the kind %q, want %q as before", before, name, got, want[name])
			}
		}
	}
}

// TestDummyHashesAreStable checks that once all kinds are known, no login changes the kind
// of an unknown name, not even the first login of a user with a known kind.
func TestDummyHashesAreStable(t *testing.T) {
	c := openInstance(t, testKey, mixedUsers())
	names := unknownNames(200)
	c.kindsFor(t, []string{"user0", "user1", "user2", "user3"})
	want := c.kindsFor(t, names)
	random := rand.New(rand.NewPCG(1, 2))
	logins := append(unknownNames(400), "user0", "user1", "user2", "user3", "user4", "user5")
	for range 5000 {
		c.kindFor(t, logins[random.IntN(len(logins))])
	}
	if moved := differing(want, c.kindsFor(t, names)); moved != nil {
		t.Errorf("the kinds of %q changed", moved)
	}
}

// TestInstancesAgreeOnDummyHashes checks that instances with the same key show the same
// kinds, in whatever order they saw them, and that an instance with another key does not.
func TestInstancesAgreeOnDummyHashes(t *testing.T) {
	list, names := mixedUsers(), unknownNames(400)
	order := []string{"user0", "user1", "user2", "user3", "user4", "user5"}
	first, second, otherKey := openInstance(t, testKey, list), openInstance(t, testKey, list), openInstance(t, bytes.Repeat([]byte("x"), 32), list)
	first.kindsFor(t, order)
	otherKey.kindsFor(t, order)
	slices.Reverse(order)
	for _, name := range order {
		second.kindFor(t, name)
	}
	want := first.kindsFor(t, names)
	if moved := differing(want, second.kindsFor(t, names)); moved != nil {
		t.Errorf("the kinds of %q differ between instances", moved)
	}
	if moved := differing(want, otherKey.kindsFor(t, names)); len(moved) < 200 {
		t.Errorf("with another key the kinds of %d names differ, want at least 200 of 400", len(moved))
	}
	if n := countKinds(want); len(n) != 4 || slices.Min([]int{n["argon2id 19456 2 1"], n["pbkdf2 32 1000000"], n["scrypt 16384 8 5"], n["bcrypt 12"]}) < 60 {
		t.Errorf("got kinds %v, want about as many names of each of four", n)
	}
}

// TestNewKindKeepsKindsOfOtherNames checks that a new kind replaces that of some names, and that
// the other names keep theirs. Before the first kind is known, all names show Argon2Dummy's.
func TestNewKindKeepsKindsOfOtherNames(t *testing.T) {
	c := openInstance(t, testKey, mixedUsers())
	names := unknownNames(300)
	if n := countKinds(c.kindsFor(t, names)); n[password.Argon2Dummy().Kind()] != 300 {
		t.Errorf("before any login: got kinds %v, want argon2id for all 300 names", n)
	}
	before := map[string]string{}
	for i, user := range []string{"user0", "user1", "user2", "user3"} {
		kind := c.kindFor(t, user)
		now := c.kindsFor(t, names)
		if moved := differing(before, now); i > 0 && (len(moved) == 0 || len(moved) > 2*300/(i+1)) {
			t.Errorf("kind %d changed the kinds of %d names, want 1 to %d", i+1, len(moved), 2*300/(i+1))
		}
		for _, name := range differing(before, now) {
			if now[name] != kind {
				t.Errorf("%s changed from %s to %s, want the new kind %s", name, before[name], now[name], kind)
			}
		}
		before = now
	}
}

// TestUnusablePasswordLooksUnknown checks that a user with an unusable password shows the
// kind that the name would show if it were unknown.
func TestUnusablePasswordLooksUnknown(t *testing.T) {
	list := append(mixedUsers(), session.Account{ID: session.NumberID(9), Username: "unknown7", Password: "!", Active: true})
	with, without := openInstance(t, testKey, list), openInstance(t, testKey, mixedUsers())
	for _, c := range []*hashChecker{with, without} {
		c.kindsFor(t, []string{"user0", "user1", "user2", "user3"})
	}
	if moved := differing(with.kindsFor(t, unknownNames(50)), without.kindsFor(t, unknownNames(50))); moved != nil {
		t.Errorf("the kinds of %q differ", moved)
	}
}

// TestCompleteSourceShowsItsProportions checks that unknown names show the kinds of a
// source that is known completely in proportion to its users, and that no login changes
// them.
func TestCompleteSourceShowsItsProportions(t *testing.T) {
	list := mixedUsers()
	c, _ := openStatic(t, list, Options{}).Checker.(*hashChecker)
	names := unknownNames(3000)
	want := c.kindsFor(t, names)
	for kind, users := range countKinds(c.kindsFor(t, []string{"user0", "user1", "user2", "user3", "user4", "user5"})) {
		if got := float64(countKinds(want)[kind]) / 3000; math.Abs(got-float64(users)/6) > 0.04 {
			t.Errorf("%.3f of the names show the kind %s, want about %d/6", got, kind, users)
		}
	}
	c.dummies.Add(password.DjangoDummy())
	c.dummies.Add(mustParse(t, strings.Replace(argonText, "argon2id", "argon2i", 1)))
	if moved := differing(want, c.kindsFor(t, names)); moved != nil {
		t.Errorf("Add changed the kinds of %d names of a complete source", len(moved))
	}
	c.dummies.SetAll(list[:1])
	if n := countKinds(c.kindsFor(t, names)); n[argonKind] != 3000 {
		t.Errorf("with one kind left: got kinds %v, want %s for all names", n, argonKind)
	}
}

func mustParse(t *testing.T, encoded string) password.Hash {
	t.Helper()
	h, err := password.ParseHash(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
