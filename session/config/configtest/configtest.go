// Package configtest sets the environment variables that package config reads, for tests.
package configtest

import (
	"os"
	"strings"
	"testing"

	"tokengate/session/config"
)

// Setenv gives the process the settings in lines of the form NAME=value and no others. The
// environment is restored when the test is done, so the test can't be parallel.
func Setenv(t testing.TB, lines ...string) {
	t.Helper()
	for _, line := range os.Environ() {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, config.Prefix) {
			t.Setenv(name, "") // restores the value later
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
}
