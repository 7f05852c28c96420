package credential

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"tokengate/session"
)

// Manager changes the users of one app in a session.Directory, from a command
// line. Passwords are read from In, never from the arguments, which other users
// of the machine can see.
type Manager struct {
	App       string
	Directory session.Directory
	// End ends all sessions of a user whose account was disabled or whose
	// password was changed.
	End func(ctx context.Context, user session.UserID) (session.Durability, error)
	In  io.Reader
	Out io.Writer
	Err io.Writer // for warnings
}

// ManagerUsage lists what Run takes, behind the name of the app.
const ManagerUsage = "user add|passwd|disable|enable|list|import --app APP [USERNAME or FILE] [--id ID] [--claims JSON]"

const manageUsage = `give one of:
  add USERNAME [-id ID] [-claims JSON]   password on standard input
  passwd USERNAME                        new password on standard input; ends the user's sessions
  disable USERNAME                       ends the user's sessions
  enable USERNAME
  list
  import FILE                            a user file, or the output of manage.py dumpdata auth.user; - for standard input`

// Run runs one command: its name and arguments. It warns of changes that are
// Pending, also of those that came before an error.
func (m *Manager) Run(ctx context.Context, args []string) error {
	durability, err := m.run(ctx, args)
	durability.Warn(m.Err)
	return err
}

func (m *Manager) run(ctx context.Context, args []string) (session.Durability, error) {
	if len(args) == 0 {
		return "", errors.New(manageUsage)
	}
	command, args := args[0], args[1:]
	switch {
	case command == "list" && len(args) == 0:
		return "", m.list(ctx)
	case len(args) == 0:
		return "", errors.New(manageUsage)
	case command == "add":
		return m.add(ctx, args[0], args[1:])
	case len(args) > 1:
		return "", errors.New(manageUsage)
	case command == "passwd":
		return m.passwd(ctx, args[0])
	case command == "disable":
		return m.change(ctx, args[0], true, func(a *session.Account) { a.Active = false })
	case command == "enable":
		return m.change(ctx, args[0], false, func(a *session.Account) { a.Active = true })
	case command == "import":
		return m.importFile(ctx, args[0])
	}
	return "", errors.New(manageUsage)
}

func (m *Manager) add(ctx context.Context, username string, args []string) (session.Durability, error) {
	flags := flag.NewFlagSet("add", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	id := flags.String("id", string(session.NewID()), "")
	claims := flags.String("claims", "", "")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return "", errors.New(manageUsage)
	}
	a := session.Account{Username: username, Active: true}
	err := checkName(username)
	if err != nil {
		return "", err
	}
	if a.ID, err = parseID(*id); err != nil {
		return "", fmt.Errorf("-id: %w", err)
	}
	if a.Claims, err = compactClaims([]byte(*claims)); err != nil {
		return "", fmt.Errorf("-%w", err)
	}
	was, err := m.place(ctx, a)
	if err != nil {
		return "", err
	}
	if a.Password, err = m.newPassword(); err != nil {
		return "", err
	}
	durability, err := m.Directory.Put(ctx, m.App, a, was)
	if session.CodeOf(err) == session.UserExists {
		return "", errors.New("another user has been given this name or id in the meantime: see list")
	}
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintln(m.Out, a.ID)
	return durability, err
}

// place is what a new user comes in the place of: nobody, or himself, whom a Put
// that failed has left without his name. The name is looked for last, so that one
// who was added in between is not taken for that.
func (m *Manager) place(ctx context.Context, a session.Account) (was session.Account, err error) {
	was, err = m.Directory.Account(ctx, m.App, a.ID)
	switch {
	case err != nil && session.CodeOf(err) != session.UserUnknown:
		return was, err
	case err == nil && was.Username != a.Username:
		return was, fmt.Errorf("there is a user with the id %s already: %q", a.ID, was.Username)
	}
	_, err = m.Directory.Find(ctx, m.App, a.Username)
	switch session.CodeOf(err) {
	case session.OK:
		return was, errors.New("there is a user of this name: use passwd to change the password")
	case session.UserUnknown:
		return was, nil
	}
	return was, err
}

// parseID takes digits as a number, as Django's ids are, and all else as text.
func parseID(s string) (session.UserID, error) {
	if id, err := session.ParseUserID([]byte(s)); err == nil && id.String() == s {
		return id, nil
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		return session.UserID{}, err
	}
	return session.ParseUserID(quoted)
}

// passwd has the new password before it reads the user: who types may take his
// time, and the user be disabled meanwhile.
func (m *Manager) passwd(ctx context.Context, username string) (session.Durability, error) {
	password, err := m.newPassword()
	if err != nil {
		return "", err
	}
	return m.change(ctx, username, true, func(a *session.Account) { a.Password = password })
}

// change rewrites one user and, if asked, ends the sessions afterwards: a login
// in between is then ended too.
func (m *Manager) change(ctx context.Context, username string, end bool, edit func(*session.Account)) (session.Durability, error) {
	var a session.Account
	changed, err := insist(func() (session.Durability, error) {
		was, err := m.Directory.Find(ctx, m.App, username)
		if session.CodeOf(err) == session.UserUnknown {
			return "", errors.New("there is no user of this name: see list")
		}
		if err != nil {
			return "", err
		}
		a = was
		edit(&a)
		return m.Directory.Put(ctx, m.App, a, was)
	})
	if err != nil || !end {
		return changed, err
	}
	ended, err := m.End(ctx, a.ID)
	if err != nil {
		return changed, fmt.Errorf("the user is changed, but the sessions live on; run it again: %w", err)
	}
	return changed.And(ended), nil
}

// attempts are more than operators at work at one time could use up.
const attempts = 10

// insist takes a step that reads a user and puts a changed one in his place, and
// does it again where another change came in between.
func insist(step func() (session.Durability, error)) (done session.Durability, err error) {
	for range attempts {
		var d session.Durability
		d, err = step()
		if done = done.And(d); session.CodeOf(err) != session.UserUnknown {
			break
		}
	}
	return done, err
}

// newPassword reads one line and gives the hash.
func (m *Manager) newPassword() (string, error) {
	if file, ok := m.In.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprint(m.Out, "password (shown as you type; pipe it in to avoid that): ")
		}
	}
	line, err := bufio.NewReader(m.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return "", errors.New("the password is empty: give it on standard input")
	}
	return Hash(password), nil
}

func (m *Manager) list(ctx context.Context) error {
	accounts, err := m.Directory.Accounts(ctx, m.App)
	if err != nil {
		return err
	}
	columns := tabwriter.NewWriter(m.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(columns, "ID\tUSERNAME\tACTIVE")
	for _, a := range accounts {
		fmt.Fprintf(columns, "%s\t%s\t%t\n", a.ID, a.Username, a.Active)
	}
	return columns.Flush()
}

// importFile checks the whole file before it writes the first user.
func (m *Manager) importFile(ctx context.Context, path string) (all session.Durability, err error) {
	in := m.In
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	}
	accounts, err := Import(in)
	if err != nil {
		return "", err
	}
	for i, a := range accounts {
		done, err := insist(func() (session.Durability, error) { return m.importAccount(ctx, a) })
		if all = all.And(done); err != nil {
			return all, fmt.Errorf("%d of %d users are in; %q (id %s) is not: %w", i, len(accounts), a.Username, a.ID, m.halted(ctx, a, err))
		}
	}
	_, err = fmt.Fprintf(m.Out, "%d users\n", len(accounts))
	return all, err
}

// halted adds to err, which an import of a ended with, what to do about it.
func (m *Manager) halted(ctx context.Context, a session.Account, err error) error {
	if session.CodeOf(err) != session.UserExists {
		return fmt.Errorf("run it again to go on: %w", err)
	}
	whose := "another user"
	if holder, err := m.Directory.Find(ctx, m.App, a.Username); err == nil {
		whose = "the user with the id " + holder.ID.String()
	}
	return session.Fail(session.UserExists, fmt.Errorf(
		"%s has this name: change the name or the id in what is imported, or import the other one under another name, and run it again", whose))
}

// importAccount writes one user, and ends the sessions of one whom this disables
// or gives another password: of the id, which sessions go by, whatever the name
// was. The order is such that a retry does both again.
func (m *Manager) importAccount(ctx context.Context, a session.Account) (all session.Durability, err error) {
	was, err := m.Directory.Account(ctx, m.App, a.ID)
	found := session.CodeOf(err) != session.UserUnknown
	if found && err != nil {
		return "", err
	}
	if found && (!a.Active || was.Password != a.Password) {
		if all, err = m.Directory.Put(ctx, m.App, inactive(a), was); err != nil {
			return "", err
		}
		ended, err := m.End(ctx, a.ID)
		if all = all.And(ended); err != nil {
			return all, err
		}
		was = inactive(a)
	}
	done, err := m.Directory.Put(ctx, m.App, a, was)
	return all.And(done), err
}

// inactive is a with nobody let in, for while the sessions end.
func inactive(a session.Account) session.Account {
	a.Active, a.Password = false, "!"
	return a
}
