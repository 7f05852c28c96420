package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"tokengate/session"
	"tokengate/session/config"
)

// operatorName is the operator's name in the tombstones of sessions that a command
// revoked.
const operatorName = "cli"

var operatorUsage = map[string]string{"user": userUsageLine, "sessions": sessionsUsage}

// operatorFlags are the flags of the commands "user" and "sessions".
type operatorFlags struct {
	app, user string
	session   session.ID
	rest      []string // arguments that are not flags
}

// parseOperatorFlags parses what follows the command and its subcommand, which is
// args[0].
func parseOperatorFlags(command string, args []string) (operatorFlags, error) {
	var f operatorFlags
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.app, "app", "", "")
	set.StringVar(&f.user, "user", "", "")
	set.Func("session", "", func(text string) error {
		if f.session = session.ID(text); f.session == "" { // an unset shell variable must not revoke all sessions
			return errors.New("is empty")
		}
		return nil
	})
	if len(args) == 0 || set.Parse(args[1:]) != nil || f.app == "" || command == "sessions" && set.NArg() > 0 {
		return f, fmt.Errorf("usage: tokengate %s", operatorUsage[command])
	}
	f.rest = set.Args()
	return f, nil
}

// operate runs an operator's command: "user" or "sessions".
func (p Program) operate(ctx context.Context, environ []string, std Stdio, command string, args []string) error {
	f, err := parseOperatorFlags(command, args)
	if err != nil {
		return err
	}
	c, err := config.Read(environ)
	if err != nil {
		return err
	}
	g, err := p.Assemble(ctx, c, std)
	if err != nil {
		return err
	}
	defer g.Close()
	if c.InMemory() { // the memory of this process holds no sessions of a gateway
		return fmt.Errorf("`tokengate %s` acts on what a gateway keeps in Redis: set TOKENGATE_REDIS_URL to the gateway's value", command)
	}
	if g.Engine.App(f.app) == nil {
		return fmt.Errorf("unknown app %q: TOKENGATE_APPS does not name it", f.app)
	}
	if command == "sessions" {
		return g.runSessions(ctx, std, args[0], f)
	}
	return g.runUser(ctx, std, args[0], f)
}

func (g *Gateway) runSessions(ctx context.Context, std Stdio, verb string, f operatorFlags) error {
	c := sessionsCommand{
		engine: g.Engine, owner: session.Owner{App: f.app, User: f.user}, operator: operatorName, out: std.Out, err: std.Err,
	}
	return c.run(ctx, verb, f.session)
}

func (g *Gateway) runUser(ctx context.Context, std Stdio, verb string, f operatorFlags) error {
	if !g.Sources[f.app].Managed() {
		return fmt.Errorf("%sUSERS is not redis: change the users of %s where they are kept", config.AppPrefix(f.app), f.app)
	}
	c := userCommand{app: f.app, directory: g.Directory, in: std.In, out: std.Out, err: std.Err}
	c.revoke = func(ctx context.Context, id session.UserID) (session.Durability, error) {
		result, err := g.Engine.RevokeUser(ctx, session.Owner{App: f.app, User: id.String()}, session.CauseAccount, operatorName)
		return result.Durability, err
	}
	return c.run(ctx, append([]string{verb}, f.rest...))
}
