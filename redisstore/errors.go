package redisstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"tokengate/session"
)

// classify returns the session.Error for an error of the Redis client. Its code is
// Internal for an error reply that shows a defect, such as an error in a script, and
// Unavailable for every other error: then the step may or may not have run.
func classify(operation string, err error) *session.Error {
	wrapped := fmt.Errorf("redis: %s: %w", operation, err)
	errorReply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return session.Fail(session.Unavailable, wrapped)
	}
	text := errorReply.Error()
	for _, prefix := range unavailableReplies {
		if strings.HasPrefix(text, prefix) || strings.Contains(text, ": -"+prefix) {
			return session.Fail(session.Unavailable, wrapped)
		}
	}
	return session.Fail(session.Internal, wrapped)
}

// unavailableReplies lists the prefixes of the error replies that mean that Redis can't
// run a command now, or not for this user. Before Redis 7.0, an error inside a
// script is a longer text, in which the prefix follows ": -".
var unavailableReplies = []string{
	"LOADING ", "READONLY ", "CLUSTERDOWN ", "MASTERDOWN ", "TRYAGAIN ", "OOM ", "BUSY ", "MISCONF ",
	"NOREPLICAS ", "NOAUTH ", "WRONGPASS ", "NOPERM ", "DENIED ", "ERR The user executing the script", "MOVED ", "ASK ", "NOSCRIPT ", "UNBLOCKED ",
	"ERR max number of clients reached", "ERR Protocol error: unauthenticated", "EXECABORT ", "ERR AUTH ", "ERR invalid password", "ERR DB index",
}

var errReply = errors.New("the script's reply does not have the form that its header describes")
