package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"tokengate/session"
	"tokengate/session/config"
	"tokengate/session/password"
	"tokengate/session/users"
)

// userCommand is a command that manages the users of one app, which are in the directory.
// Passwords are read from standard input, never from the arguments, which other users of
// the machine can see.
type userCommand struct{ *appCommand }

// onUsers returns the run function of a command that manages users.
func onUsers(run func(*userCommand, context.Context) error) func(context.Context, *invocation) error {
	return onApp(func(ctx context.Context, c *appCommand) error {
		if !c.managed() {
			return fmt.Errorf("%sUSERS is not redis: change the users of %s where they are kept", c.prefix, c.app)
		}
		return explain(run(&userCommand{c}, ctx))
	})
}

// add adds a user and prints the id. Everything but the password is checked before the
// password is read, because typing takes time.
func (c *userCommand) add(ctx context.Context) error {
	n := session.NewAccount{Username: c.operands[0], IntegerID: c.flags["integer-id"] != ""}
	if err := users.ValidateUsername(n.Username); err != nil {
		return err
	}
	var err error
	if text, given := c.flags["id"]; given {
		if n.IntegerID {
			return c.usageError("give --id or --integer-id, not both")
		}
		if n.ID, err = parseID(text); err != nil {
			return fmt.Errorf("--id: %w", err)
		}
	}
	if n.Claims, err = users.CompactClaims([]byte(c.flags["claims"])); err != nil {
		return fmt.Errorf("--%w", err)
	}
	_, err = c.Accounts.FindAccount(ctx, c.app, n.Username)
	switch session.CodeOf(err) {
	case session.OK:
		return fmt.Errorf("user %q exists already: `tokengate user passwd` changes the password", n.Username)
	case session.UserUnknown:
	default:
		return err
	}
	if n.Password, err = c.readPassword(ctx); err != nil {
		return err
	}
	a, done, err := c.Accounts.AddAccount(ctx, c.app, n)
	if err != nil {
		return err
	}
	c.warnPending(done)
	_, err = fmt.Fprintln(c.Out, a.ID)
	return err
}

// parseID parses digits as a number, which Django's ids are, and everything else as text. It
// fails for text that looks like a number, with which an app whose ids are numbers can do
// nothing.
func parseID(s string) (session.UserID, error) {
	if id, err := session.ParseUserID([]byte(s)); err == nil && id.String() == s {
		return id, nil
	}
	switch {
	case session.TrimSpace(s) != s:
		return session.UserID{}, errors.New("the id has white space around it: leave it out")
	case s != "" && strings.Trim(strings.TrimLeft(s, "+-"), "0123456789") == "":
		return session.UserID{}, errors.New("the id looks like a number, but is none within 64 bits without leading zeros: give such a number, or an id with other characters")
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		return session.UserID{}, err
	}
	return session.ParseUserID(quoted)
}

// passwd changes a user's password. It looks for the user before the password is typed.
func (c *userCommand) passwd(ctx context.Context) error {
	a, err := c.findUser(ctx)
	if err != nil {
		return err
	}
	text, err := c.readPassword(ctx)
	if err != nil {
		return err
	}
	return c.change(ctx, a, session.AccountChange{Password: &text})
}

func (c *userCommand) disable(ctx context.Context) error { return c.setActive(ctx, false) }
func (c *userCommand) enable(ctx context.Context) error  { return c.setActive(ctx, true) }

func (c *userCommand) setActive(ctx context.Context, active bool) error {
	a, err := c.findUser(ctx)
	if err != nil {
		return err
	}
	return c.change(ctx, a, session.AccountChange{Active: &active})
}

// change changes one user. It warns about pending changes, including those made before an
// error.
func (c *userCommand) change(ctx context.Context, a session.Account, change session.AccountChange) error {
	_, done, err := c.Accounts.ChangeAccount(ctx, c.app, a.ID, change, operatorName)
	c.warnPending(done)
	return err
}

func (c *userCommand) remove(ctx context.Context) error {
	a, err := c.findUser(ctx)
	if err != nil {
		return err
	}
	result, err := c.Accounts.RemoveAccount(ctx, c.app, a.ID, operatorName)
	c.warnPending(result.Durability)
	return err
}

// show prints one user, with the kind of the hash instead of the hash.
func (c *userCommand) show(ctx context.Context) error {
	a, err := c.findUser(ctx)
	if err != nil {
		return err
	}
	sessions, err := c.Engine.UserSessions(ctx, session.Owner{App: c.app, User: a.ID.String()})
	if err != nil {
		return err
	}
	columns := tabwriter.NewWriter(c.Out, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"id", printable(a.ID.String())}, {"username", printable(a.Username)}, {"active", strconv.FormatBool(a.Active)},
		{"claims", cmp.Or(printable(string(a.Claims)), "{}")}, {"password", hashKind(a.Password)}, {"sessions", strconv.Itoa(len(sessions.Live))},
	} {
		fmt.Fprintf(columns, "%s\t%s\n", row[0], row[1])
	}
	return columns.Flush()
}

// hashKind returns the algorithm and the parameters of a hash.
func hashKind(encoded string) string {
	hash, err := password.ParseHash(encoded)
	if err != nil {
		return "can't be used: " + err.Error() // the error repeats no text of the hash
	}
	return hash.Kind()
}

// list prints the app's users as a table, in order of their names.
func (c *userCommand) list(ctx context.Context) error {
	accounts, err := c.Accounts.Accounts(ctx, c.app)
	if err != nil {
		return err
	}
	columns := tabwriter.NewWriter(c.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(columns, "ID\tUSERNAME\tACTIVE")
	for _, a := range accounts {
		fmt.Fprintf(columns, "%s\t%s\t%t\n", printable(a.ID.String()), printable(a.Username), a.Active)
	}
	return columns.Flush()
}

// printable returns s, quoted if it has characters that a terminal or a table would not
// show as they are.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// hashPassword prints the hash of a password. It needs settings only with --app.
func hashPassword(ctx context.Context, in *invocation) error {
	least := config.DefaultApp().PasswordMinLength.Value
	if app, given := in.flags["app"]; given {
		c, err := config.Read()
		if err != nil {
			return err
		}
		settings, ok := c.ByApp[app]
		if !ok {
			return noApp(app, c)
		}
		least = settings.PasswordMinLength.Value
	}
	text, err := in.readPassword(ctx)
	if err == nil {
		err = password.Validate(text, least)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(in.Out, password.NewHash(text))
	return err
}
