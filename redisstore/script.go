package redisstore

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
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

// run runs a script in one round trip, or in two if Redis does not have the script.
// If durable is set, it also waits for the replicas that Options.WaitReplicas asks for.
// The error has the code and the cause of a reply that refuses the step.
//
// After a reply that denies a command, a script that writes is run only if Redis runs every
// command: it would be refused after some of its writes.
func (s *Store) run(ctx context.Context, sc *script, c *call, durable bool) (reply, error) {
	if sc.writes && s.denied.Load() {
		if err := s.runProbe(ctx, c.probeKey()); err != nil {
			return reply{}, err
		}
	}
	start := time.Now()
	r, err := s.send(ctx, sc, c, durable, false)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		r, err = s.send(ctx, sc, c, durable, true)
	}
	if isDenied(err) {
		s.denied.Store(true)
	}
	err = r.readCode(sc, err)
	if at, ok := element[int64](r.elements, 1); ok && err == nil && sc.timed {
		s.learnClock(c, micros(at), start)
	}
	if s.options.Observe != nil {
		s.options.Observe(sc.Name, r.code, time.Since(start))
	}
	return r, err
}

// send sends a script once: its digest, or with eval its text, which is longer on the
// wire and only needed if Redis does not have the script.
func (s *Store) send(ctx context.Context, sc *script, c *call, durable, eval bool) (reply, error) {
	args, firstKey := c.command(sc, eval)
	cmd := noRetryCmd{redis.NewCmd(ctx, args...)}
	var durability session.Durability
	var err error
	switch {
	case durable && s.options.WaitReplicas > 0:
		durability, err = s.processAndWait(ctx, cmd, firstKey)
		if redirected(err) {
			// The script has not run. The client follows the redirection, but can't send
			// WAIT on the same connection, so the result is Pending.
			cmd, durability = noRetryCmd{redis.NewCmd(ctx, args...)}, session.Pending
			err = s.client.Process(ctx, cmd)
		}
	case s.pipeline != nil:
		err = s.pipeline.Submit(ctx, cmd).WaitContext(ctx)
	default:
		err = s.client.Process(ctx, cmd)
	}
	if err != nil {
		return reply{}, err // cmd must not be read: if ctx is done, the pipeline may still write to it
	}
	elements, _ := cmd.Val().([]any) // readCode rejects a reply of another form
	return reply{elements: elements, durability: durability}, nil
}

// noRetryCmd is a command that the client must not send twice. A Cluster's client
// repeats other commands regardless of MaxRetries.
type noRetryCmd struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (noRetryCmd) NoRetry() bool { return true }

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
