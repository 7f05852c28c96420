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

// replies notes which words each script was heard to say.
type replies struct {
	mu    sync.Mutex
	words map[string]map[string]bool
}

func (r *replies) note(script string, code session.Code, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.words == nil {
		r.words = map[string]map[string]bool{}
	}
	if r.words[script] == nil {
		r.words[script] = map[string]bool{}
	}
	r.words[script][string(code)] = true
}

// compare wants each script to have said just what its header says, after a
// run that brings up all of it.
func (r *replies) compare(t *testing.T) {
	t.Helper()
	for _, s := range []lua.Script{
		lua.Create, lua.Refresh, lua.List, lua.End, lua.Others, lua.Logout, lua.Live, lua.Traces, lua.Epoch,
		lua.Claim, lua.Put, lua.Remove, lua.Release,
	} {
		said, heard := promised(s), slices.Sorted(maps.Keys(r.words[s.Name]))
		if !slices.Equal(said, heard) {
			t.Errorf("%s: its header says %q, it was heard to say %q", s.Name, said, heard)
		}
	}
}

// promised gives the words in the "Returns" of a script's header.
func promised(s lua.Script) []string {
	_, header, _ := strings.Cut(s.Text, "-- Returns: ")
	header, _, _ = strings.Cut(header, "\n\n")
	words := map[string]bool{}
	for one := range strings.SplitSeq(strings.ReplaceAll(header, "\n--", " "), "|") {
		word, _, _ := strings.Cut(strings.TrimSpace(one), ",")
		words[word] = true
	}
	return slices.Sorted(maps.Keys(words))
}
