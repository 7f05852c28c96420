package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// attack is a load that has no regard for the server. It runs in a process of its own until
// it gets SIGTERM, because its connections would delay the clients that are measured.
type attack struct {
	kind     string
	address  string        // of the gateway
	admin    string        // address of the gateway's admin listener
	networks int           // number of addresses that it comes from
	first    int           // number of the first user of an attack with sessions
	users    int           // number of these users
	pause    time.Duration // between two requests of an attack that is not a closed loop

	victims []*virtualUser // these users, logged in
	mu      sync.Mutex
	answers map[string]int // by what faultOf returns; "200" stands for a good one
}

// attackKind is what each connection of an attack does.
type attackKind struct {
	connections int
	loggedIn    bool // whether the attack needs the sessions of users
	work        func(a *attack, ctx context.Context, connection int)
}

var attackKinds = map[string]attackKind{
	"wrong-passwords": {300, false, (*attack).logInWrongly},
	"right-passwords": {300, false, (*attack).logIn},
	"lists":           {8, true, (*attack).list},
	"user-revokes":    {1, true, (*attack).revokeOthers},
	"admin-revokes":   {1, true, (*attack).revokeByAdmin},
	"idle":            {1100, false, (*attack).idle},
	"slow":            {1100, false, (*attack).slow},
}

// The app that is attacked, which shares the gateway and Redis with testApp.
const (
	attackedApp    = "attacked"
	attackedSecret = "attacked-secret-0123456789abcdef"
	attackedKey    = "attacked-signing-key-0123456789abcdef0123456789ab"
	adminToken     = "admin-token-0123456789abcdef"
)

// runAttack is the subcommand attack. It prints a line when it begins, and at its end how
// often each answer came.
func runAttack(ctx context.Context, args []string) error {
	a := attack{answers: map[string]int{}}
	f := flag.NewFlagSet("attack", flag.ContinueOnError)
	f.StringVar(&a.kind, "kind", "", "kind of the attack")
	f.StringVar(&a.address, "address", "", "HOST:PORT of the gateway")
	f.StringVar(&a.admin, "admin", "", "HOST:PORT of its admin listener")
	f.IntVar(&a.networks, "networks", 1, "number of addresses that the attack comes from")
	f.IntVar(&a.first, "first", 0, "number of the first user")
	f.IntVar(&a.users, "users", 1, "number of users")
	f.DurationVar(&a.pause, "pause", 0, "time between two requests of a user's revocations")
	if err := f.Parse(args); err != nil {
		return err
	}
	if _, err := addressOf("http://"+a.address, false); err != nil {
		return err
	}
	kind, ok := attackKinds[a.kind]
	if !ok {
		return fmt.Errorf("unknown attack %q", a.kind)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < uint64(kind.connections+50) {
		return fmt.Errorf("the attack needs %d open files: raise the limit (ulimit -n)", kind.connections+50)
	}
	for i := 0; kind.loggedIn && i < a.users; i++ {
		u := a.attacker(0, cheapUsername, testPassword).virtualUser(a.first + i)
		if err := u.doLogin(); err != nil {
			return fmt.Errorf("login of %s: %w", u.name, err)
		}
		a.victims = append(a.victims, u)
	}
	fmt.Println("begins")
	for i := range kind.connections {
		go kind.work(&a, ctx, i)
	}
	<-ctx.Done() // connections that still wait for an answer end with the process
	a.mu.Lock()
	defer a.mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(a.answers)
}

// attacker returns the target of the connection with a number.
func (a *attack) attacker(connection int, username, password string) *target {
	n := connection % a.networks
	return &target{
		address: a.address, app: attackedApp, secret: attackedSecret, username: username, password: password,
		from:        &net.TCPAddr{IP: net.IPv4(127, 1, byte(n/250), byte(1+n%250))}, // a network each
		sessionType: "LONG", info: testInfo, rotate: true,
	}
}

// count counts an answer. After a failure without an answer it waits, because an attack
// from elsewhere would not use up this machine's processors either.
func (a *attack) count(err error) {
	fault := faultOf(err)
	a.mu.Lock()
	if fault == "" {
		a.answers["200"]++
	} else {
		a.answers[fault]++
	}
	a.mu.Unlock()
	if fault == noResponse {
		time.Sleep(100 * time.Millisecond)
	}
}

const noResponse = "no response"

// faultOf returns the text of an error without what differs from one to the next, and an
// empty text for none.
func faultOf(err error) string {
	if err == nil {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), ": ")
	return strings.TrimSpace(text)
}

// logInWrongly guesses passwords. Half of the names are unknown.
func (a *attack) logInWrongly(ctx context.Context, connection int) {
	a.logInAs(ctx, a.attacker(connection, expensiveUsername, "wrong-"+testPassword), 2*expensiveUsers)
}

// logIn logs in with the right passwords.
func (a *attack) logIn(ctx context.Context, connection int) {
	a.logInAs(ctx, a.attacker(connection, expensiveUsername, testPassword), expensiveUsers)
}

func (a *attack) logInAs(ctx context.Context, to *target, names int) {
	u := to.virtualUser(0)
	for ctx.Err() == nil {
		u.name = fmt.Sprintf(expensiveUsername, rand.IntN(names))
		a.count(u.doLogin())
	}
}

// list asks for one user's list in a closed loop.
func (a *attack) list(ctx context.Context, connection int) {
	u := a.attacker(connection, "", "").virtualUser(0)
	u.session, u.access = a.victims[0].session, a.victims[0].access
	for ctx.Err() == nil {
		a.count(u.doList())
	}
}

// revokeOthers revokes all sessions of each user but one, in the user's name.
func (a *attack) revokeOthers(ctx context.Context, _ int) {
	a.eachVictim(ctx, func(u *virtualUser) error {
		_, err := u.post("/api/session/destroyAllOther/", u.access, "refresh", u.refresh, "session", "ALL")
		return err
	})
}

// revokeByAdmin revokes all sessions of each user, in the operator's name.
func (a *attack) revokeByAdmin(ctx context.Context, _ int) {
	admin := httpConn{address: a.admin}
	n := a.first
	a.eachVictim(ctx, func(*virtualUser) error {
		n++ // the ID of a user is their number plus 1
		status, _, err := admin.do(http.MethodDelete, fmt.Sprintf("/admin/apps/%s/users/%d/sessions", attackedApp, n), adminToken, nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
}

func (a *attack) eachVictim(ctx context.Context, revoke func(u *virtualUser) error) {
	for _, u := range a.victims {
		if ctx.Err() != nil {
			return
		}
		a.count(revoke(u))
		time.Sleep(a.pause)
	}
}

// runningAttack is the process of an attack.
type runningAttack struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

// start starts an attack and waits until it begins. Its process has a low CPU
// priority, because an attack from elsewhere would take no CPU time from the servers.
func (a *attack) start(ctx context.Context) (*runningAttack, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "nice", "-n", "10", path, "attack", "-kind", a.kind, "-address", a.address, "-admin", a.admin,
		"-networks", fmt.Sprint(a.networks), "-first", fmt.Sprint(a.first), "-users", fmt.Sprint(a.users), "-pause", a.pause.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &runningAttack{cmd, bufio.NewReader(out)}
	if _, err := r.out.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("the attack %s did not begin", a.kind), cmd.Wait())
	}
	return r, nil
}

// stop ends the attack and returns how often each answer came.
func (r *runningAttack) stop() (map[string]int, error) {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	text, err := io.ReadAll(r.out)
	answers := map[string]int{}
	return answers, errors.Join(err, r.cmd.Wait(), json.Unmarshal(text, &answers))
}
