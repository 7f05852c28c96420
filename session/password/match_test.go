package password

import "testing"

// countingHash is a hash that matches one password and counts the comparisons.
type countingHash struct {
	password string
	count    *int
}

func (h countingHash) match(password string) bool {
	*h.count++
	return password == h.password
}
func (h countingHash) threads() int { return 1 }
func (h countingHash) kind() string { return "counting" }

// TestRefusalsCostTheSame checks that every refusal of a password takes the same number
// of comparisons.
func TestRefusalsCostTheSame(t *testing.T) {
	for _, password := range []string{"secret", " secret ", "secret ", "wrong", " wrong "} {
		want := len(Forms(password))
		for _, stored := range []string{"secret", " secret ", "something else"} {
			for _, allowed := range []bool{true, false} {
				count := 0
				matched := matches(countingHash{stored, &count}, password, allowed)
				if !matched && count != want {
					t.Errorf("%q against %q (allowed %v): refused after %d comparisons, want %d", password, stored, allowed, count, want)
				}
				if !allowed && count != want {
					t.Errorf("%q against %q: inactive user refused after %d comparisons, want %d", password, stored, count, want)
				}
			}
		}
	}
}
