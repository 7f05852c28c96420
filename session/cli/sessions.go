package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"tokengate/session"
)

// listSessions prints a user's live sessions and their tombstones.
func listSessions(ctx context.Context, c *appCommand) error {
	owner, err := c.owner(ctx)
	if err != nil {
		return err
	}
	sessions, err := c.Engine.UserSessions(ctx, owner)
	if err != nil {
		return err
	}
	if len(sessions.Live)+len(sessions.Tombstones) == 0 {
		if err := c.checkExists(ctx, owner); err != nil {
			return err
		}
	}
	return printSessions(c.Out, sessions)
}

// endSessions revokes one session, all sessions of a user or, with --all, of the app.
func endSessions(ctx context.Context, c *appCommand) error {
	if c.flags["all"] != "" {
		return endApp(ctx, c)
	}
	owner, err := c.owner(ctx)
	if err != nil {
		return err
	}
	result, err := c.revoke(ctx, owner)
	if err != nil {
		return err
	}
	if result.Count() == 0 {
		if err := c.checkExists(ctx, owner); err != nil {
			return err
		}
	}
	c.warnPending(result.Durability)
	_, err = fmt.Fprintf(c.Out, "%d ended\n", result.Count())
	return err
}

// endApp revokes every session of the app.
func endApp(ctx context.Context, c *appCommand) error {
	if _, given := c.flags["session"]; given {
		return c.usageError("give --all or --session, not both")
	}
	result, err := c.Engine.RevokeApp(ctx, c.app, operatorName)
	if err != nil {
		return fmt.Errorf("some sessions may be ended and others not; run the command again: %w", err)
	}
	c.warnPending(result.Durability)
	_, err = fmt.Fprintf(c.Out, "all sessions of %s ended\n", c.app)
	return err
}

// owner returns the owner that --user or --name names. A user with an ID need not exist,
// since the sessions of a user who was removed can be revoked.
func (c *appCommand) owner(ctx context.Context) (session.Owner, error) {
	if id, byID := c.flags["user"]; byID {
		return session.Owner{App: c.app, User: id}, nil
	}
	if !c.managed() {
		return session.Owner{}, fmt.Errorf("--name needs USERS=redis:, and %sUSERS is another source: look up the user's id there and give --user ID", c.prefix)
	}
	a, err := c.findUser(ctx)
	return session.Owner{App: c.app, User: a.ID.String()}, err
}

// checkExists fails if the owner is not a user of the app's source. It succeeds if the
// source does not say.
func (c *appCommand) checkExists(ctx context.Context, owner session.Owner) error {
	if !c.managed() {
		_, err := c.Sources[c.app].Recheck(ctx, session.TextID(owner.User), true)
		if session.CodeOf(err) == session.UserUnknown {
			return fmt.Errorf("no such user: no user of %s has the id %q; --user takes an id, not a name", c.app, owner.User)
		}
		return nil
	}
	_, err := c.Accounts.Account(ctx, c.app, session.TextID(owner.User))
	if session.CodeOf(err) == session.UserUnknown {
		return c.noUserWithID(ctx, owner.User)
	}
	return err
}

// revoke revokes one session or, without --session, all sessions of the owner.
func (c *appCommand) revoke(ctx context.Context, owner session.Owner) (session.RevokeResult, error) {
	id, one := c.flags["session"]
	if !one {
		return c.Engine.RevokeUser(ctx, owner, session.CauseOperator, operatorName)
	}
	result, err := c.Engine.RevokeSession(ctx, owner, session.ID(id), operatorName)
	if session.CodeOf(err) == session.Unknown {
		err = fmt.Errorf("user %s has no session %q: `tokengate sessions list` shows their sessions", owner.User, id)
	}
	return result, err
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
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\n", t.ID, t.Cause, utc(t.At), printable(t.By))
	}
	return columns.Flush()
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
