package credential

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tokengate/session"
)

var testKey = bytes.Repeat([]byte("k"), 32)

// Users with hashes of four kinds, none of which is ever worked on here.
const (
	argonText  = "$argon2id$v=19$m=19456,t=2,p=1$MDAwMDAwMDAwMDAwMDAwMA$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA"
	slowText   = "pbkdf2_sha256$1000000$0123456789abcdef$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
	scryptText = "scrypt$16384$salt$8$5$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
	bcryptText = "$2b$12$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0"
)

func mixedUsers() []session.Account {
	var list []session.Account
	for i, hash := range []string{argonText, slowText, scryptText, bcryptText, argonText, argonText} {
		list = append(list, session.Account{ID: session.NumberID(int64(i + 1)), Username: fmt.Sprintf("user%d", i), Password: hash, Active: true})
	}
	return list
}

// instance is one gateway's checker of the redis users list.
func instance(t *testing.T, key []byte, list []session.Account) *passwords {
	t.Helper()
	source, err := Open(t.Context(), "redis:", Options{
		Lane: NewLane(1, time.Minute, nil), DecoyKey: key, App: "shop", Directory: keeper{app: "shop", list: list},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := source.Checker.(*passwords)
	return p
}

// work is the kind of hash that a login with this name works on.
func (p *passwords) work(t *testing.T, username string) string {
	t.Helper()
	account, err := p.accounts.find(t.Context(), username)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		t.Fatal(err)
	}
	h, _ := p.hash(username, account, err == nil)
	return h.kind()
}

// strangers are names that nobody has.
func strangers(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("stranger%d", i)
	}
	return names
}

func (p *passwords) works(t *testing.T, names []string) map[string]string {
	t.Helper()
	works := map[string]string{}
	for _, name := range names {
		works[name] = p.work(t, name)
	}
	return works
}

// differing are the names whose work is not the same in a and b.
func differing(a, b map[string]string) (names []string) {
	for name := range a {
		if a[name] != b[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// shares count how many names each kind has.
func shares(works map[string]string) map[string]int {
	n := map[string]int{}
	for _, kind := range works {
		n[kind]++
	}
	return n
}

// Somebody with an account of each of two kinds asks for a name after a login as
// the one and after a login as the other.
func TestAStrangersWorkDoesNotFollowTheLoginBefore(t *testing.T) {
	p := instance(t, testKey, mixedUsers()[:2])
	names := strangers(200)
	p.works(t, []string{"user0", "user1"})
	want := p.works(t, names)
	if n := shares(want); len(n) != 2 || n[p.work(t, "user0")] < 60 || n[p.work(t, "user1")] < 60 {
		t.Errorf("the names show %v, want about as many of both users' kinds", n)
	}
	for _, before := range []string{"user1", "user0"} {
		for _, name := range names {
			p.work(t, before)
			if got := p.work(t, name); got != want[name] {
				t.Fatalf("after a login as %s, %s is worked on as %s, before as %s", before, name, got, want[name])
			}
		}
	}
}

// Once each kind has been seen, nothing that is asked for changes anything, and
// users of known kinds whom nobody had asked for yet don't either.
func TestAStrangersWorkStays(t *testing.T) {
	p := instance(t, testKey, mixedUsers())
	names := strangers(200)
	p.works(t, []string{"user0", "user1", "user2", "user3"})
	want := p.works(t, names)
	random := rand.New(rand.NewPCG(1, 2))
	asked := append(strangers(400), "user0", "user1", "user2", "user3", "user4", "user5")
	for range 5000 {
		p.work(t, asked[random.IntN(len(asked))])
	}
	if moved := differing(want, p.works(t, names)); moved != nil {
		t.Errorf("%q changed", moved)
	}
}

// Instances with one key agree, whatever order they learnt in, and so does one
// that has just started; without the key nobody can tell.
func TestInstancesAgreeOnStrangers(t *testing.T) {
	list, names := mixedUsers(), strangers(400)
	order := []string{"user0", "user1", "user2", "user3", "user4", "user5"}
	one, other, foreign := instance(t, testKey, list), instance(t, testKey, list), instance(t, bytes.Repeat([]byte("x"), 32), list)
	one.works(t, order)
	foreign.works(t, order)
	slices.Reverse(order)
	for _, name := range order {
		other.work(t, name)
	}
	want := one.works(t, names)
	if moved := differing(want, other.works(t, names)); moved != nil {
		t.Errorf("%q differ between instances", moved)
	}
	if moved := differing(want, foreign.works(t, names)); len(moved) < 200 {
		t.Errorf("with another key no more than %d of 400 differ", len(moved))
	}
	if n := shares(want); len(n) != 4 || slices.Min([]int{n["argon2id 19456 2 1"], n["pbkdf2 32 1000000"], n["scrypt 16384 8 5"], n["bcrypt 12"]}) < 60 {
		t.Errorf("the shares are %v, want four alike", n)
	}
}

// While it learns, a new kind takes its share of the names and leaves the others
// as they were. Before that, all are like what is usual.
func TestANewKindTakesItsShareOnly(t *testing.T) {
	p := instance(t, testKey, mixedUsers())
	names := strangers(300)
	if n := shares(p.works(t, names)); n[usualHere().kind()] != 300 {
		t.Errorf("an instance that has seen nobody shows %v", n)
	}
	before := map[string]string{}
	for i, user := range []string{"user0", "user1", "user2", "user3"} {
		kind := p.work(t, user)
		now := p.works(t, names)
		if moved := differing(before, now); i > 0 && (len(moved) == 0 || len(moved) > 2*300/(i+1)) {
			t.Errorf("the kind %d moves %d names", i+1, len(moved))
		}
		for _, name := range differing(before, now) {
			if now[name] != kind {
				t.Errorf("%s goes from %s to %s, the new kind being %s", name, before[name], now[name], kind)
			}
		}
		before = now
	}
}

// Who is there without a hash that could match has a decoy like a stranger's.
func TestUsersWithoutAHashAreLikeStrangers(t *testing.T) {
	list := append(mixedUsers(), session.Account{ID: session.NumberID(9), Username: "stranger7", Password: "!", Active: true})
	with, without := instance(t, testKey, list), instance(t, testKey, mixedUsers())
	for _, p := range []*passwords{with, without} {
		p.works(t, []string{"user0", "user1", "user2", "user3"})
	}
	if moved := differing(with.works(t, strangers(50)), without.works(t, strangers(50))); moved != nil {
		t.Errorf("%q differ", moved)
	}
}

// A file shows its own mixture at once, and no login changes it.
func TestAWholeSourceShowsItsMixture(t *testing.T) {
	list := mixedUsers()
	p, _ := static(t, list, Options{}).Checker.(*passwords)
	names := strangers(3000)
	want := p.works(t, names)
	for kind, users := range shares(p.works(t, []string{"user0", "user1", "user2", "user3", "user4", "user5"})) {
		if got := float64(shares(want)[kind]) / 3000; math.Abs(got-float64(users)/6) > 0.04 {
			t.Errorf("%.3f of the names are %s, which %d of 6 users are", got, kind, users)
		}
	}
	p.decoys.learn(usualInDjango())
	p.decoys.learn(stored{hash: argon2Hash{variant: "argon2i"}})
	if moved := differing(want, p.works(t, names)); moved != nil {
		t.Errorf("%d names changed with what was learnt beside", len(moved))
	}
	p.decoys.learnAll(list[:1])
	if n := shares(p.works(t, names)); n[argonKind(t)] != 3000 {
		t.Errorf("with one kind left, the names show %v", n)
	}
}

func argonKind(t *testing.T) string {
	t.Helper()
	h, err := readHash(argonText)
	if err != nil {
		t.Fatal(err)
	}
	return h.kind()
}

// However many kinds there are, memory and time stay bounded, and a whole source
// keeps those of the most users.
func TestKindsAreBounded(t *testing.T) {
	learnt, whole := &decoys{key: testKey}, &decoys{key: testKey}
	var list []session.Account
	for i := range 3 * maxKinds {
		text := fmt.Sprintf("pbkdf2_sha256$%d$0123456789abcdef$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=", i+1)
		h, err := readHash(text)
		if err != nil {
			t.Fatal(err)
		}
		learnt.learn(h)
		list = append(list, session.Account{Password: text})
	}
	list = append(list, session.Account{Password: bcryptText}, session.Account{Password: bcryptText})
	whole.learnAll(list)
	if len(learnt.kinds) != maxKinds || len(whole.kinds) != maxKinds || whole.kinds[0].label != "bcrypt 12" {
		t.Errorf("%d and %d kinds, the first %s", len(learnt.kinds), len(whole.kinds), whole.kinds[0].label)
	}
}

// A kind is what decides the time: no salt, no digest, no maker's name for it.
func TestKinds(t *testing.T) {
	for text, want := range map[string]string{
		argonText: "argon2id 19456 2 1", "argon2" + argonText: "argon2id 19456 2 1", slowText: "pbkdf2 32 1000000",
		scryptText: "scrypt 16384 8 5", bcryptText: "bcrypt 12", "bcrypt$" + bcryptText: "bcrypt 12", "bcrypt_sha256$" + bcryptText: "bcrypt 12",
		"pbkdf2_sha1$1000000$0123456789abcdef$MDAwMDAwMDAwMDAwMDAwMDAwMDA=": "pbkdf2 20 1000000",
		"$argon2i" + argonText[len("$argon2id"):]:                           "argon2i 19456 2 1",
	} {
		h, err := readHash(text)
		if err != nil || h.kind() != want {
			t.Errorf("%s: %v, want the kind %q", text, err, want)
		}
	}
	if usualHere().kind() != argonKind(t) {
		t.Errorf("new hashes are %s, read back %s", usualHere().kind(), argonKind(t))
	}
}
