package redisstore

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/lua"
	"tokengate/session"
)

// script is a script of package lua and the SHA1 digest by which EVALSHA finds it.
type script struct {
	lua.Script
	sha    string
	timed  bool // the second element of a successful reply is the time
	writes bool // a run may change something, or says whether others may
}

func newScript(s lua.Script) *script {
	sum := sha1.Sum([]byte(s.Text))
	reads := strings.Contains(s.Text, "Changes nothing.") && s.Name != lua.Ready.Name
	return &script{s, hex.EncodeToString(sum[:]), strings.Contains(s.Text, "redis.call('TIME')"), !reads && s.Name != lua.Probe.Name}
}

// waitFor says what a step waits for besides its script.
type waitFor int

const (
	noReplicas waitFor = iota // does not wait
	ownWrites                 // the replicas of Options.WaitReplicas, if the step writes; see confirmation.written
	proof                     // the same replicas, for a step that may write nothing: see Store.processAndWait
)

// run runs a script in one round trip, or in two if Redis does not have the script. It
// fails without running it if the request that it belongs to was read too long ago. The
// error has the code and the cause of a reply that refuses the step.
//
// After a reply that denies a command, a script that writes is run only if Redis runs every
// command: it would be refused after some of its writes.
func (s *Store) run(ctx context.Context, sc *script, c *call, wait waitFor) (reply, error) {
	if err := s.checkRights(ctx, sc, c); err != nil {
		return reply{}, err
	}
	if arrival := session.ArrivalFrom(ctx); arrival != nil {
		if err := s.limitStart(ctx, c, arrival); err != nil {
			return reply{}, err
		}
	}
	r, err := s.runOnce(ctx, sc, c, wait)
	if r.code == codeLate {
		// The reply has corrected the offset of the node's clock. The step is not sent again all the
		// same: it is not known whether that clock has jumped, or this machine was suspended.
		err = session.Fail(session.Unavailable, errLate)
	}
	return r, err
}

// checkRights fails if Redis has denied a command and still does not run every command, unless
// the script only reads.
func (s *Store) checkRights(ctx context.Context, sc *script, c *call) error {
	if !sc.writes || !s.denied.Load() {
		return nil
	}
	return s.runProbe(ctx, probeKey(c.firstKey()))
}

// codeLate is the code of a script that was started after its latest start, and has changed
// nothing.
const codeLate session.Code = "late"

var (
	errLate   = errors.New("the step would have begun more than " + session.StepDelay.String() + " after its request was read")
	errPaused = errors.New("the process was paused while it had the request, or just before it read it")
)

// limitStart sets the latest start of a call to what the arrival of its request allows, by
// the clock of the node that has its keys. It fails if that time has passed already, or if
// the process was paused since. A script without a latest start may begin late: no other step
// on the same key makes it wrong.
func (s *Store) limitStart(ctx context.Context, c *call, arrival *session.Arrival) error {
	if c.latest > 0 {
		offset, err := s.offset(ctx, c.firstKey())
		if err != nil {
			return err
		}
		c.setLatest(arrival.Latest().Add(offset))
	}
	switch {
	case arrival.Interrupted():
		return session.Fail(session.Unavailable, errPaused)
	case c.latest > 0 && time.Now().After(arrival.Latest()):
		return session.Fail(session.Unavailable, errLate)
	}
	return nil
}

// runOnce runs a script and loads it if Redis does not have it.
func (s *Store) runOnce(ctx context.Context, sc *script, c *call, wait waitFor) (reply, error) {
	start := time.Now()
	r, err := s.send(ctx, sc, c, wait, false)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err = givenUp(ctx); err == nil {
			r, err = s.send(ctx, sc, c, wait, true)
		}
	}
	return s.finish(sc, c, r, err, start)
}

// finish reads the code and the time of a reply, and reports the run of the script, which
// began at start. err is the error of sending it.
func (s *Store) finish(sc *script, c *call, r reply, err error, start time.Time) (reply, error) {
	if isDenied(err) {
		s.denied.Store(true)
	}
	err = r.readCode(sc, err)
	if at, ok := element[int64](r.elements, 1); ok && (err == nil && sc.timed || r.code == codeLate) {
		s.learnClock(c, micros(at), start)
	}
	if s.options.Observe != nil {
		s.options.Observe(sc.Name, r.code, time.Since(start))
	}
	return r, err
}

// send sends a script once: its digest, or with eval its text, which is longer on the
// wire and only needed if Redis does not have the script.
func (s *Store) send(ctx context.Context, sc *script, c *call, wait waitFor, eval bool) (reply, error) {
	args, firstKey := c.command(sc, eval)
	cmd := noRetryCmd{redis.NewCmd(ctx, args...), ctx}
	var r reply
	err := error(nil)
	if wait != noReplicas && s.options.WaitReplicas > 0 {
		r.replicas, err = s.processAndWait(ctx, cmd, firstKey, wait == proof)
		if redirected(err) && wait == ownWrites {
			// The script has not run. The client follows the redirection, but can't send
			// WAIT on the same connection, so the result is Pending.
			cmd, r.replicas = noRetryCmd{redis.NewCmd(ctx, args...), ctx}, confirmation{asked: true}
			err = s.process(ctx, cmd, firstKey)
		}
	} else {
		err = s.process(ctx, cmd, firstKey)
	}
	if err != nil {
		return reply{}, err // cmd must not be read: if ctx is done, the pipeline may still write to it
	}
	r.elements, _ = cmd.Val().([]any) // readCode rejects a reply of another form
	return r, nil
}

// process sends a command to the node that has a key.
func (s *Store) process(ctx context.Context, cmd noRetryCmd, key string) error {
	if s.pipelines == nil {
		return s.client.Process(ctx, cmd)
	}
	server, err := s.nodeOf(ctx, key)
	if err != nil {
		return err
	}
	err = s.pipelines.of(server.name).process(ctx, server.client, cmd)
	if redirected(err) {
		return s.client.Process(ctx, cmd) // the command has not run, and the Cluster's client follows the redirection
	}
	return err
}

// givenUp returns an error if a step must not run any more, because its caller does not wait
// for it, or because the process was paused since its request was read: the user's client may
// already have asked another instance.
func givenUp(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if arrival := session.ArrivalFrom(ctx); arrival != nil && arrival.Interrupted() {
		return errPaused
	}
	return nil
}

// noRetryCmd is a command that the client must not send twice. A Cluster's client
// repeats other commands regardless of MaxRetries.
type noRetryCmd struct {
	*redis.Cmd
	ctx context.Context
}

// NoRetry implements [redis.Cmder].
func (noRetryCmd) NoRetry() bool { return true }

// Args returns the arguments, or those of a script that does not exist if the step was given
// up. The client asks for them when it has a connection, and it may have taken long to get
// one.
func (c noRetryCmd) Args() []any {
	if givenUp(c.ctx) != nil {
		return noScript
	}
	return c.Cmd.Args()
}

var noScript = []any{"evalsha", strings.Repeat("0", 40), "0"}

// redirected reports whether a Cluster's node has redirected a command to another node.
func redirected(err error) bool {
	return redis.HasErrorPrefix(err, "MOVED ") || redis.HasErrorPrefix(err, "ASK ")
}

// readCode sets the reply's code. It returns an error unless the code is a success;
// err is the error of sending the script.
func (r *reply) readCode(sc *script, err error) error {
	if err != nil {
		failure := classify(sc.Name, err)
		r.code = failure.Code
		return failure
	}
	word, ok := element[string](r.elements, 0)
	if !ok {
		r.code = session.Internal
		return session.Fail(session.Internal, fmt.Errorf("the reply of script %s has no code", sc.Name))
	}
	r.code = session.Code(word)
	switch r.code {
	case session.OK, session.Retried, session.Healed:
		return nil
	}
	cause, _ := element[string](r.elements, 1)
	return &session.Error{Code: r.code, Cause: session.Cause(cause)}
}
