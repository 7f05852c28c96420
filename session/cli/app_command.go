package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"tokengate/session"
	"tokengate/session/config"
)

// operatorName is the operator's name in the tombstones of sessions that a command
// revoked.
const operatorName = "cli"

// appCommand is a command that acts on one app.
type appCommand struct {
	*invocation
	*Gateway
	app      string
	settings config.App
	prefix   string // begins the names of the app's settings
}

// onApp returns the run function of a command that acts on what a gateway keeps in Redis
// for one app.
func onApp(run func(context.Context, *appCommand) error) func(context.Context, *invocation) error {
	return func(ctx context.Context, in *invocation) error {
		c, err := config.Read()
		if err != nil {
			return err
		}
		return in.onGateway(ctx, c, func(g *Gateway) error {
			app := in.flags["app"]
			if g.Engine.App(app) == nil {
				return noApp(app, c)
			}
			return run(ctx, &appCommand{in, g, app, c.ByApp[app], c.SettingPrefix(app)})
		})
	}
}

// onGateway assembles a gateway, calls run and closes the gateway. It fails if the
// gateway's sessions are in memory: this process has none of another gateway's.
func (in *invocation) onGateway(ctx context.Context, c *config.Config, run func(*Gateway) error) error {
	g, err := in.Assemble(ctx, c, in.Stdio)
	if err != nil {
		return err
	}
	defer g.Close()
	if c.InMemory() {
		return fmt.Errorf("`tokengate %s` acts on what a gateway keeps in Redis: set TOKENGATE_REDIS_URL to the gateway's value", in.command.name)
	}
	return run(g)
}

// noApp returns the error for a name that is no app's.
func noApp(name string, c *config.Config) error {
	return fmt.Errorf("no such app %q: the settings have %s", name, strings.Join(c.Names, ", "))
}

// managed reports whether the app's users are in the directory.
func (c *appCommand) managed() bool { return c.Sources[c.app].Managed() }

// findUser returns the account that the operand or one of the flags --name and --user
// names. The app's users must be in the directory.
func (c *appCommand) findUser(ctx context.Context) (a session.Account, err error) {
	id, byID := c.flags["user"]
	name := c.flags["name"]
	if len(c.operands) > 0 {
		name = c.operands[0]
	}
	if byID {
		a, err = c.Accounts.Account(ctx, c.app, session.TextID(id))
	} else {
		a, err = c.Accounts.FindAccount(ctx, c.app, name)
	}
	if session.CodeOf(err) != session.UserUnknown {
		return a, err
	}
	if byID {
		return a, c.noUserWithID(ctx, id)
	}
	return a, fmt.Errorf("no such user %q: `tokengate user list --app %s` lists the users", name, c.app)
}

// noUserWithID returns the error for an ID that is no user's. It adds the right ID if the
// text is a username.
func (c *appCommand) noUserWithID(ctx context.Context, id string) error {
	if a, err := c.Accounts.FindAccount(ctx, c.app, id); err == nil {
		return fmt.Errorf("no such user: %q is the name of the user with the id %s: give --name %s or --user %s", id, a.ID, id, a.ID)
	}
	return fmt.Errorf("no such user: no user of %s has the id %q", c.app, id)
}

// warnPending warns the operator if too few replicas have the command's changes.
func (c *appCommand) warnPending(d session.Durability) {
	if d == session.Pending {
		fmt.Fprintln(c.Err, "pending: the change is made, but too few replicas have it: if the primary is lost before they do, the change is lost")
	}
}

// explain returns err in words for operators, without the code that programs read.
func explain(err error) error {
	failure, ok := err.(*session.Error)
	switch {
	case session.CodeOf(err) == session.UserChanged:
		return errors.New("the user was changed by others at the same time, again and again: run the command again")
	case ok && failure.Code == session.UserExists && failure.Err != nil:
		return failure.Err
	}
	return err
}
