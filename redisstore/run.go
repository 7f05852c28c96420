package redisstore

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/lua"
	"tokengate/session"
)

// script is one of package lua's, with the name that Redis has for its text.
type script struct {
	lua.Script
	sha string
}

func load(s lua.Script) *script {
	sum := sha1.Sum([]byte(s.Text))
	return &script{s, hex.EncodeToString(sum[:])}
}

// call gathers what a script is given: first its keys, then its arguments. The
// texts lie end to end in one buffer, so that a call costs few allocations.
type call struct {
	buf  []byte
	ends []int
	keys int
}

// What a refresh needs, with room for a long user ID; a call that needs more
// grows as any slice does.
const (
	usualTexts = 20
	usualBytes = 640
)

// text adds one key or argument, made of parts.
func (c *call) text(parts ...string) {
	for _, p := range parts {
		c.buf = append(c.buf, p...)
	}
	c.ends = append(c.ends, len(c.buf))
}

// number adds one argument in decimal, as Redis and Lua read it.
func (c *call) number(n int64) {
	c.buf = strconv.AppendInt(c.buf, n, 10)
	c.ends = append(c.ends, len(c.buf))
}

// id adds a session's ID. One that is none of ours must not be taken for the
// name of another field than a record's, so it becomes what names nothing.
func (c *call) id(id session.ID) {
	if id != "" && !id.Valid() {
		id = "-"
	}
	c.text(string(id))
}

// millis adds a duration in the unit of all scripts; what is finer is cut off.
func (c *call) millis(d time.Duration) { c.number(d.Milliseconds()) }

// flag adds what a script compares with '1'.
func (c *call) flag(on bool) {
	if on {
		c.text("1")
	} else {
		c.text("0")
	}
}

// endKeys says that what follows are arguments.
func (c *call) endKeys() { c.keys = len(c.ends) }

// command makes Redis's command. Pointers to texts go into it without an
// allocation each.
func (c *call) command(s *script, eval bool) (args []any, firstKey string) {
	all := string(c.buf)
	texts := make([]string, len(c.ends))
	args = make([]any, 3+len(texts))
	args[0], args[1], args[2] = "evalsha", &s.sha, &c.keys
	if eval {
		args[0], args[1] = "eval", &s.Text
	}
	from := 0
	for i, end := range c.ends {
		texts[i] = all[from:end]
		args[3+i] = &texts[i]
		from = end
	}
	return args, texts[0]
}

// reply is a script's answer without its first element, the word.
type reply struct {
	code       session.Code
	rest       []any
	durability session.Durability
}

// run runs a script in one round trip; a script that Redis doesn't know takes
// another. With durable it asks that replicas have what the script did. The
// error is for a step that did not come out: code and cause are the script's.
func (s *Store) run(ctx context.Context, sc *script, c *call, durable bool) (reply, error) {
	start := time.Now()
	r, err := s.attempt(ctx, sc, c, durable, false)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		r, err = s.attempt(ctx, sc, c, durable, true)
	}
	err = outcome(sc, &r, err)
	if s.o.Observe != nil {
		s.o.Observe(sc.Name, r.code, time.Since(start))
	}
	return r, err
}

// attempt sends a script once, by its hash or, with eval, whole: the second way
// costs its text on the wire, and is taken only when Redis asks for it.
func (s *Store) attempt(ctx context.Context, sc *script, c *call, durable, eval bool) (reply, error) {
	args, firstKey := c.command(sc, eval)
	cmd := once{redis.NewCmd(ctx, args...)}
	var replicated session.Durability
	var err error
	switch {
	case durable && s.o.WaitReplicas > 0:
		replicated, err = s.processAndWait(ctx, cmd, firstKey)
		if moved(err) { // nothing has run; the plain way follows, and can't wait where it ends up
			cmd, replicated = once{redis.NewCmd(ctx, args...)}, session.Pending
			err = s.client.Process(ctx, cmd)
		}
	case s.pipeline != nil:
		err = s.pipeline.Submit(ctx, cmd).WaitContext(ctx)
	default:
		err = s.client.Process(ctx, cmd)
	}
	if err != nil {
		return reply{}, err // cmd may still be written to: its wait may have been cut short
	}
	rest, err := cmd.Slice()
	return reply{rest: rest, durability: replicated}, err
}

// once is a command that the client must not send a second time, which a
// Cluster's client does whatever its options say.
type once struct{ *redis.Cmd }

// NoRetry is the client's question whether not to.
func (once) NoRetry() bool { return true }

// moved tells whether a Cluster's node has sent a command elsewhere.
func moved(err error) bool {
	return redis.HasErrorPrefix(err, "MOVED ") || redis.HasErrorPrefix(err, "ASK ")
}

// outcome reads the word, and makes an error of what isn't a success.
func outcome(sc *script, r *reply, err error) error {
	if err != nil {
		failure := classify(sc.Name, err)
		r.code = failure.Code
		return failure
	}
	word, ok := at[string](r.rest, 0)
	if !ok {
		r.code = session.Internal
		return session.Fail(session.Internal, fmt.Errorf("script %s gave no word", sc.Name))
	}
	r.code = session.Code(word)
	switch r.code {
	case session.OK, session.Retried, session.Healed:
		return nil
	}
	cause, _ := at[string](r.rest, 1)
	return &session.Error{Code: r.code, Cause: session.Cause(cause)}
}

// at gives an element of a reply, if it is there and a T.
func at[T any](elements []any, i int) (v T, ok bool) {
	if i < len(elements) {
		v, ok = elements[i].(T)
	}
	return v, ok
}

// cannotTell are the beginnings of Redis's answers that mean: not now. Before
// 7.0 an error from inside a script has them further on, after a dash.
var cannotTell = []string{
	"LOADING ", "READONLY ", "CLUSTERDOWN ", "MASTERDOWN ", "TRYAGAIN ", "OOM ", "BUSY ", "MISCONF ",
	"NOREPLICAS ", "NOAUTH ", "WRONGPASS ", "NOPERM ", "DENIED ", "ERR The user executing the script", "MOVED ", "ASK ", "NOSCRIPT ", "UNBLOCKED ",
	"ERR max number of clients reached", "ERR Protocol error: unauthenticated", "EXECABORT ", "ERR AUTH ", "ERR invalid password", "ERR DB index",
}

// classify gives an error from Redis its code: Internal where the script is at
// fault, Unavailable for every other, since the step may have happened or not.
func classify(what string, err error) *session.Error {
	wrapped := fmt.Errorf("redis: %s: %w", what, err)
	answer, ok := errors.AsType[redis.Error](err)
	if !ok {
		return session.Fail(session.Unavailable, wrapped)
	}
	text := answer.Error()
	for _, beginning := range cannotTell {
		if strings.HasPrefix(text, beginning) || strings.Contains(text, ": -"+beginning) {
			return session.Fail(session.Unavailable, wrapped)
		}
	}
	return session.Fail(session.Internal, wrapped)
}
