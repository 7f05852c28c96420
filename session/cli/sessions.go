package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"tokengate/session"
)

const sessionsUsage = "sessions list|end --app APP --user ID [--session ID]"

// sessionsCommand shows and revokes the sessions of one user.
type sessionsCommand struct {
	engine   *session.Engine
	owner    session.Owner
	operator string // name that the tombstones record
	out      io.Writer
	err      io.Writer // for warnings
}

// run runs "list", which prints the user's live sessions and their tombstones, or
// "end", which revokes one session or, without an id, all.
func (c sessionsCommand) run(ctx context.Context, verb string, id session.ID) error {
	switch {
	case c.owner.User == "" || verb == "list" && id != "":
	case verb == "list":
		sessions, err := c.engine.UserSessions(ctx, c.owner)
		if err != nil {
			return err
		}
		return printSessions(c.out, sessions)
	case verb == "end":
		result, err := c.revoke(ctx, id)
		if err != nil {
			return err
		}
		warnPending(c.err, result.Durability)
		_, err = fmt.Fprintf(c.out, "%d ended\n", len(result.Revoked))
		return err
	}
	return fmt.Errorf("usage: tokengate %s", sessionsUsage)
}

// revoke revokes one session or, if id is empty, all sessions of the user.
func (c sessionsCommand) revoke(ctx context.Context, id session.ID) (session.RevokeResult, error) {
	if id == "" {
		return c.engine.RevokeUser(ctx, c.owner, session.CauseOperator, c.operator)
	}
	result, err := c.engine.RevokeSession(ctx, c.owner, id, c.operator)
	if session.CodeOf(err) == session.Unknown {
		err = session.Fail(session.Unknown, fmt.Errorf("user %s has no session %q: `tokengate sessions list` shows their sessions", c.owner.User, id))
	}
	return result, err
}

// warnPending warns the operator if too few replicas have the command's changes.
func warnPending(w io.Writer, d session.Durability) {
	if d == session.Pending {
		fmt.Fprintln(w, "pending: the change is made, but too few replicas have it: if the primary is lost before they do, the change is lost")
	}
}

// printSessions writes a user's sessions and tombstones as a table for a terminal,
// with times in UTC.
func printSessions(w io.Writer, sessions session.UserSessions) error {
	columns := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(columns, "SESSION\tTYPE\tCREATED\tUPDATED\tEXPIRES\tINFO")
	for _, s := range sessions.Live {
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\t%q\n", s.ID, s.Type, utc(s.Created), utc(s.Updated), utc(s.Expires), s.Info)
	}
	if len(sessions.Tombstones) > 0 {
		fmt.Fprintln(columns, "\nENDED\tCAUSE\tAT\tBY")
	}
	for _, t := range sessions.Tombstones {
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\n", t.ID, t.Cause, utc(t.At), t.By)
	}
	return columns.Flush()
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
