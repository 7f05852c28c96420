package redisstore

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// classify returns the session.Error for an error of the Redis client. Its code is
// Internal for a reply that shows a defect of a script or of the data, and Unavailable for
// every other error: then the step may or may not have run.
//
// The client returns a reply to a step as it is, and wraps what a server answered to the
// client's own commands, such as AUTH, or a Sentinel that does not know the master.
func classify(operation string, err error) *session.Error {
	code := session.Unavailable
	reply, ok := errors.AsType[redis.Error](err)
	if ok && isDefect(reply.Error()) {
		code = session.Internal
	}
	switch {
	case err == redis.Nil: // no script replies nil, but the search for a server may
		err = errNoAddress
	case ok && strings.Contains(reply.Error(), "NOREPLICAS"):
		err = errNoReplicas
	}
	return session.Fail(code, fmt.Errorf("redis: %s: %w", operation, withoutArgs(err)))
}

var (
	errNoAddress  = errors.New("the reply is nil: a Cluster or a Sentinel does not tell the address of a server")
	errNoReplicas = errors.New("NOREPLICAS: the server takes no writes, because fewer replicas follow it than min-replicas-to-write: bring a replica back")
)

// echoedArgs matches what a server that does not know a command repeats of it. For AUTH,
// that is the password.
var echoedArgs = regexp.MustCompile(`, with args beginning with:[^\n]*`)

// withoutArgs returns err, or an error without the arguments that its text repeats.
func withoutArgs(err error) error {
	if text := err.Error(); echoedArgs.MatchString(text) {
		return errors.New(echoedArgs.ReplaceAllString(text, ""))
	}
	return err
}

// isDenied reports whether Redis has refused a command because the user lacks a right.
func isDenied(err error) bool {
	reply, ok := errors.AsType[redis.Error](err)
	return ok && slices.ContainsFunc(denials, func(part string) bool { return strings.Contains(reply.Error(), part) })
}

// denials are parts of the errors for a missing right: of a command alone, of one inside a script
// before Redis 7.2, and of one inside a script since then.
var denials = []string{"NOPERM", "The user executing the script", "ACL failure in script"}

// isDefect reports whether an error reply shows a defect. Such a reply comes from a script
// and has the code ERR, or WRONGTYPE, which a command may also return. All other codes
// describe the state of the server or the rights of the Redis user.
func isDefect(reply string) bool {
	code, _, _ := strings.Cut(reply, " ")
	in := func(part string) bool { return strings.Contains(reply, part) }
	return code == "WRONGTYPE" || code == "ERR" && slices.ContainsFunc(scriptErrors, in) && !slices.ContainsFunc(refusals, in) && !slices.ContainsFunc(denials, in)
}

// scriptErrors are parts of the error replies of scripts.
var scriptErrors = []string{"user_script", "Error compiling script", "Error running script"}

// refusals are parts of those errors of scripts that show no defect, besides denials: Redis does
// not know a command of the script, or was told to stop it. Before Redis 7.0, the code of a state
// such as OOM follows ": -".
var refusals = []string{": -", "Unknown Redis command", "Unknown command called from script", "Script killed by user"}

var errReply = errors.New("the script's reply does not have the form that its header describes")
