package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// This file tests the reservation of usernames (see username_reservation.go) with random
// orders of the commands of several processes, some of which are lost or run late. It is
// in the package itself, because it adds a hook to the client.

// runs is the number of random orders. It suffices to find every error that was put into
// the protocol on purpose; most of them show within the first 30.
const runs = 500

// TestUsernamesInAnyOrder checks that no order of commands, and no loss, gives two users
// the same name, or leaves a user or a name that can't be used.
func TestUsernamesInAnyOrder(t *testing.T) {
	o := Defaults()
	o.URL = redistest.Standalone(t).URL
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.client.AddHook(schedulingHook{})
	for seed := range uint64(runs) {
		random := rand.New(rand.NewPCG(seed, 1))
		sim := &simulation{
			t, s, scheduler{random: random, losses: random.IntN(4), events: make(chan *process)}, fmt.Sprint("app", seed),
		}
		for _, id := range sim.ids() {
			sim.change(context.Background(), random.IntN(3), id, randomName(random))
		}
		for range 3 {
			type change struct {
				kind int
				id   session.UserID
				name string
			}
			var changes []change
			for range 1 + random.IntN(3) {
				changes = append(changes, change{random.IntN(5), sim.ids()[random.IntN(2)], randomName(random)})
			}
			sim.start(func(ctx context.Context) {
				for _, c := range changes {
					sim.change(ctx, c.kind, c.id, c.name)
				}
			})
		}
		for sim.step(func(cmd redis.Cmder) { _ = s.client.Process(context.Background(), cmd) }) {
			sim.checkNamesAreUnique()
		}
		sim.checkNamesAreUsable("x", "y")
	}
}

// randomName returns x or y.
func randomName(random *rand.Rand) string { return "xy"[random.IntN(2):][:1] }

// simulation runs processes that change the users of one app.
type simulation struct {
	*testing.T
	*Store
	scheduler
	app string // of this run only
}

func (s *simulation) ids() []session.UserID {
	return []session.UserID{session.NumberID(1), session.NumberID(2)}
}

// change reads a user, and then removes them if kind is 0, or writes them with a name.
func (s *simulation) change(ctx context.Context, kind int, id session.UserID, name string) {
	was, err := s.Directory().Account(ctx, s.app, id)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return
	}
	if kind == 0 {
		_, _ = s.Directory().RemoveAccount(ctx, s.app, id)
		return
	}
	a := session.Account{ID: id, Username: name, Password: was.Password, Active: true}
	_, _ = s.Directory().PutAccount(ctx, s.app, a, was)
}

// checkNamesAreUnique checks that no two users have the same name now.
func (s *simulation) checkNamesAreUnique() {
	s.Helper()
	names := map[string]session.UserID{}
	for _, id := range append(s.ids(), session.NumberID(3)) {
		a, err := s.Directory().Account(context.Background(), s.app, id)
		if session.CodeOf(err) == session.UserUnknown {
			continue
		}
		if other, taken := names[a.Username]; err != nil || taken {
			s.Fatalf("%s: users %s and %s both have the name %q: %v", s.app, other, id, a.Username, err)
		}
		names[a.Username] = id
	}
}

// checkNamesAreUsable checks that every user can be found by name and changed, and that
// a new user can take a name exactly if no user has it.
func (s *simulation) checkNamesAreUsable(names ...string) {
	s.Helper()
	ctx := context.Background()
	all, err := s.Directory().Accounts(ctx, s.app)
	if err != nil {
		s.Fatal(err)
	}
	free := map[string]bool{}
	for _, name := range names {
		free[name] = true
	}
	for _, a := range all {
		free[a.Username] = false
		if found, err := s.Directory().FindAccount(ctx, s.app, a.Username); err != nil || found.ID != a.ID {
			s.Fatalf("%s: FindAccount(%q): got user %v, %v; want %v", s.app, a.Username, found.ID, err, a.ID)
		}
		disabled := a
		disabled.Active = false
		if _, err := s.Directory().PutAccount(ctx, s.app, disabled, a); err != nil {
			s.Fatalf("%s: %q can't be disabled: %v", s.app, a.Username, err)
		}
	}
	for _, name := range names {
		created := session.Account{ID: session.TextID(name), Username: name}
		if _, err := s.Directory().PutAccount(ctx, s.app, created, session.Account{}); (err == nil) != free[name] {
			s.Fatalf("%s: new user with the name %q: got %v, want success: %t", s.app, name, err, free[name])
		}
	}
}

// outcome is what happens to a command.
type outcome int

const (
	done      outcome = iota
	lost              // it does not run
	replyLost         // it runs, and its process gets no reply
	late              // it runs some time after its process got no reply
)

// errLost is the error of a command whose reply is lost.
var errLost = errors.New("the connection is lost")

// scheduler runs the commands of processes one at a time, in a random order.
type scheduler struct {
	random *rand.Rand
	losses int           // how many more commands may be lost or late
	events chan *process // a process waits with a command, or has ended
	ready  []*process    // waiting with a command
	late   []redis.Cmder
}

// process is one process that changes users. The context of its commands holds the
// process, so that the client's hook can find it.
type process struct {
	scheduler *scheduler
	cmd       redis.Cmder // nil if the process has ended
	outcomes  chan outcome
}

type processKey struct{}

// start starts a process and runs it up to its first command.
func (s *scheduler) start(run func(ctx context.Context)) {
	p := &process{scheduler: s, outcomes: make(chan outcome)}
	go func() {
		run(context.WithValue(context.Background(), processKey{}, p))
		p.cmd = nil
		s.events <- p
	}()
	s.await()
}

// await waits until the one running process waits with a command or has ended.
func (s *scheduler) await() {
	if p := <-s.events; p.cmd != nil {
		s.ready = append(s.ready, p)
	}
}

// step lets one command run: that of a process, or a late one, for which it calls
// runLate. It returns false if there are no commands.
func (s *scheduler) step(runLate func(cmd redis.Cmder)) bool {
	n := len(s.ready) + len(s.late)
	if n == 0 {
		return false
	}
	if i := s.random.IntN(n) - len(s.ready); i >= 0 {
		cmd := s.late[i]
		s.late = append(s.late[:i:i], s.late[i+1:]...)
		runLate(cmd)
		return true
	}
	i := s.random.IntN(len(s.ready))
	p := s.ready[i]
	s.ready = append(s.ready[:i:i], s.ready[i+1:]...)
	p.outcomes <- s.chooseOutcome(p.cmd)
	s.await()
	return true
}

func (s *scheduler) chooseOutcome(cmd redis.Cmder) outcome {
	if s.losses == 0 || s.random.IntN(8) > 0 {
		return done
	}
	s.losses--
	o := outcome(1 + s.random.IntN(3))
	if o == late {
		s.late = append(s.late, redis.NewCmd(context.Background(), cmd.Args()...))
	}
	return o
}

// schedulingHook makes the commands of processes wait for the scheduler.
type schedulingHook struct{}

func (schedulingHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (schedulingHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (schedulingHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		p, _ := ctx.Value(processKey{}).(*process)
		if p == nil {
			return next(ctx, cmd)
		}
		p.cmd = cmd
		p.scheduler.events <- p
		switch <-p.outcomes {
		case done:
			return next(ctx, cmd)
		case replyLost:
			_ = next(ctx, cmd)
		}
		cmd.SetErr(errLost)
		return errLost
	}
}
