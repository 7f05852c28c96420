package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"tokengate/session"
	"tokengate/session/config"
)

// policyEffect counts the live sessions of one type, and those that a new policy affects.
type policyEffect struct{ live, ended, shortened int }

// diffPolicies prints what the policies of new settings would do to the sessions in Redis.
func diffPolicies(ctx context.Context, in *invocation) error {
	if path, given := in.flags["env-file"]; given {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines, err := config.ParseEnvFile(string(content))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := override(lines); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	c, err := config.Read()
	if err != nil {
		return err
	}
	apps := c.Names
	if app, given := in.flags["app"]; given {
		if !slices.Contains(apps, app) {
			return noApp(app, c)
		}
		apps = []string{app}
	}
	return in.onGateway(ctx, c, func(g *Gateway) error {
		columns := tabwriter.NewWriter(in.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(columns, "APP\tTYPE\tLIVE\tWOULD END\tWOULD BE SHORTENED")
		for _, app := range apps {
			effects, err := g.policyEffects(ctx, app, c.ByApp[app].Policies())
			if err != nil {
				return err
			}
			for _, t := range session.Types {
				e := effects[t]
				fmt.Fprintf(columns, "%s\t%s\t%d\t%d\t%d\n", app, t, e.live, e.ended, e.shortened)
			}
		}
		return columns.Flush()
	})
}

// policyEffects counts the sessions of an app by type.
func (g *Gateway) policyEffects(ctx context.Context, app string, policies map[session.Type]session.Policy) (map[session.Type]policyEffect, error) {
	effects := map[session.Type]policyEffect{}
	err := g.EachSession(ctx, app, func(_ session.Owner, s session.Session, now time.Time) error {
		effects[s.Type] = effects[s.Type].add(s, policies[s.Type], now)
		return nil
	})
	return effects, err
}

// add returns e with one more session.
func (e policyEffect) add(s session.Session, p session.Policy, now time.Time) policyEffect {
	e.live++
	clamped := p.Clamp(s)
	if _, expired := session.ExpiryCause(clamped, now); expired {
		e.ended++
	} else if clamped.Expires.Before(s.Expires) || clamped.Absolute.Before(s.Absolute) {
		e.shortened++
	}
	return e
}

// override sets the settings in lines of the form NAME=value in the environment. A later line
// for a name overrides an earlier one, and NAME also overrides NAME_FILE, and the other way
// round. Variables that are no settings stay as they are.
func override(lines []string) error {
	const file = "_FILE"
	given := len(lines)
	lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, config.Prefix) })
	if len(lines) == 0 && given > 0 {
		return errors.New("no line begins with " + config.Prefix + ": to compare the files of apps, give a copy of their folder as TOKENGATE_APPS_DIR")
	}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "=")
		for _, replaced := range []string{name, name + file, strings.TrimSuffix(name, file)} {
			if err := os.Unsetenv(replaced); err != nil {
				return err
			}
		}
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}
