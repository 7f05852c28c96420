package redisstore_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/lua"
	"tokengate/session"
)

// scriptCodes records the codes that each script returned.
type scriptCodes struct {
	mu    sync.Mutex
	codes map[string]map[string]bool
}

// observe is for Options.Observe.
func (r *scriptCodes) observe(script string, code session.Code, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.codes == nil {
		r.codes = map[string]map[string]bool{}
	}
	if r.codes[script] == nil {
		r.codes[script] = map[string]bool{}
	}
	r.codes[script][string(code)] = true
}

// compareWithHeaders checks that each script returned exactly the codes in its header,
// after tests that provoke all of them.
func (r *scriptCodes) compareWithHeaders(t *testing.T) {
	t.Helper()
	for _, s := range []lua.Script{
		lua.Create, lua.Refresh, lua.List, lua.Revoke, lua.RevokeOthers, lua.Logout, lua.Live, lua.Tombstones, lua.RevokeApp, lua.Ready,
		lua.ReserveUsername, lua.PutAccount, lua.RemoveAccount, lua.ReleaseUsername, lua.NextID,
		lua.ReserveFailure, lua.ReleaseFailure, lua.EndFailures, lua.ReserveRate, lua.ReleaseRate,
	} {
		got, want := slices.Sorted(maps.Keys(r.codes[s.Name])), codesInHeader(s)
		if !slices.Equal(got, want) {
			t.Errorf("script %s returned %q, its header lists %q", s.Name, got, want)
		}
	}
}

// codesInHeader returns the codes after "Returns:" in a script's header.
func codesInHeader(s lua.Script) []string {
	_, header, _ := strings.Cut(s.Text, "-- Returns: ")
	header, _, _ = strings.Cut(header, "\n\n")
	codes := map[string]bool{}
	for reply := range strings.SplitSeq(strings.ReplaceAll(header, "\n--", " "), "|") {
		code, _, _ := strings.Cut(strings.TrimSpace(reply), ",")
		codes[code] = true
	}
	return slices.Sorted(maps.Keys(codes))
}
