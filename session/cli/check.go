package cli

import (
	"context"
	"fmt"
	"time"

	"tokengate/session/config"
)

const checkTimeout = 5 * time.Second

// check validates the settings, and checks that Redis does all that the gateway needs and
// that the user sources can be reached, without serving. It logs the storage's warnings.
func (p Program) check(ctx context.Context, c *config.Config, std Stdio) error {
	g, err := p.Assemble(ctx, c, std)
	if err != nil {
		return err
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := g.logWarnings(ctx); err != nil {
		return fmt.Errorf("the settings are valid, but Redis can't be used: %w", err)
	}
	for _, name := range c.Names {
		if err := g.Sources[name].Ping(ctx); err != nil {
			return fmt.Errorf("the settings are valid, but %sUSERS can't be reached: %w", c.SettingPrefix(name), err)
		}
	}
	_, err = fmt.Fprintln(std.Out, "ok")
	return err
}
