package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tokengate/session"
)

// testModel returns a model in which LONG has a maximum of two with eviction, reuse
// detection and a retry window, and SHORT has a maximum of one without any of these.
func testModel() Model {
	return Model{Policies: map[session.Type]session.Policy{
		session.Long: {
			Rotate: true, ReuseDetection: true, UpdateLastLogin: true, RetryWindow: time.Minute,
			Limit: true, Max: 2, DestroyOldest: true,
		},
		session.Short: {Rotate: true, Limit: true, Max: 1},
	}}
}

// call is one step of a history and its answer. Its time is from and to if these are set,
// and otherwise after the calls before it.
type call struct {
	from, to int64
	in       Input
	out      Output
}

func login(id session.ID) call {
	return call{
		in:  Input{Step: session.StepLogin, Type: session.Long},
		out: Output{Code: session.OK, ID: id, Generation: 1},
	}
}

// refresh presents generation g and is answered with generation next.
func refresh(id session.ID, g, next uint32) call {
	return call{
		in:  Input{Step: session.StepRefresh, Type: session.Long, ID: id, Generation: g},
		out: Output{Code: session.OK, Generation: next},
	}
}

func list(shown ...session.ID) call {
	return call{in: Input{Step: session.StepList, Types: session.Types}, out: Output{Code: session.OK, IDs: shown}}
}

func destroy(id session.ID) call {
	return call{in: Input{Step: session.StepDestroy, ID: id}, out: Output{Code: session.OK}}
}

func logout(id session.ID, g uint32) call {
	return call{
		in:  Input{Step: session.StepLogout, Type: session.Long, ID: id, Generation: g},
		out: Output{Code: session.OK},
	}
}

func destroyOthers(keep session.ID, g uint32) call {
	return call{
		in:  Input{Step: session.StepDestroyOthers, Types: session.Types, ID: keep, Caller: keep, Generation: g},
		out: Output{Code: session.OK},
	}
}

func (c call) during(from, to int64) call { c.from, c.to = from, to; return c }

func (c call) short() call { c.in.Type = session.Short; return c }

func (c call) by(caller session.ID) call { c.in.Caller = caller; return c }

func (c call) withToken(token string) call { c.out.Token = token; return c }

func (c call) retried() call { c.out.Code = session.Retried; return c }

func (c call) fails(code session.Code, cause session.Cause) call {
	c.out = Output{Code: code, Cause: cause}
	return c
}

func (c call) replayed() call { return c.fails(session.Replayed, session.CauseReplay) }

func (c call) lost() call { c.out = Output{Lost: true}; return c }

// repeated returns a login, a refresh and n retries of it.
func repeated(n int) []call {
	return append([]call{login("a"), refresh("a", 1, 2)}, slices.Repeat([]call{refresh("a", 1, 2)}, n)...)
}

func operations(calls []call) []porcupine.Operation {
	var out []porcupine.Operation
	last := int64(0)
	for i, c := range calls {
		if c.from == 0 {
			c.from, c.to = last+1, last+1
		}
		last = max(last, c.to)
		if c.out.Lost {
			c.to = 1 << 40
		}
		out = append(out, porcupine.Operation{ClientId: i, Input: c.in, Output: c.out, Call: 10 * c.from, Return: 10*c.to + 5})
	}
	return out
}

// history is a test of whether the model allows a history of calls.
type history struct {
	name         string
	linearizable bool
	calls        []call
}

func checkHistories(t *testing.T, histories []history) {
	t.Helper()
	for _, h := range histories {
		t.Run(h.name, func(t *testing.T) {
			if got := porcupine.CheckOperations(testModel().Porcupine(), operations(h.calls)); got != h.linearizable {
				t.Errorf("got linearizable %v, want %v", got, h.linearizable)
			}
		})
	}
}

func TestModelRefresh(t *testing.T) {
	checkHistories(t, []history{
		{"sequential steps", true, []call{
			login("a"), refresh("a", 1, 2), refresh("a", 2, 3), list("a"), destroy("a"), list(),
			refresh("a", 3, 0).fails(session.Revoked, session.CauseUser),
			refresh("a", 3, 0).fails(session.Unknown, ""),
		}},
		{"retry", true, []call{login("a"), refresh("a", 1, 2), refresh("a", 1, 2)}},
		{"retry with its own code", true, []call{login("a"), refresh("a", 1, 2), refresh("a", 1, 2).retried()}},
		{"code of a retry without a retry", false, []call{login("a"), refresh("a", 1, 2).retried()}},
		{"retries up to the limit", true, append(repeated(session.MaxRepeats), refresh("a", 1, 0).fails(session.Throttled, ""), refresh("a", 2, 3), refresh("a", 2, 3))},
		{"a retry beyond the limit", false, repeated(session.MaxRepeats + 1)},
		{"refused below the limit", false, append(repeated(session.MaxRepeats-1), refresh("a", 1, 0).fails(session.Throttled, ""))},
		{"two successors of one token", false, []call{login("a"), refresh("a", 1, 2), refresh("a", 1, 3)}},
		{"two concurrent successors of one token", false, []call{
			login("a"), refresh("a", 1, 2).during(2, 9), refresh("a", 1, 3).during(2, 9),
		}},
		{"two tokens of one generation", false, []call{
			login("a"), refresh("a", 1, 2).withToken("x"), refresh("a", 1, 2).withToken("y"),
		}},
		{"one token of one generation", true, []call{
			login("a"), refresh("a", 1, 2).withToken("x"), refresh("a", 1, 2).withToken("x"),
		}},
		{"two tokens of one generation after a lost answer", false, []call{
			login("a"), refresh("a", 1, 2).lost(), refresh("a", 1, 2).withToken("x"), refresh("a", 1, 2).withToken("y"),
		}},
		{"session lost by the store", false, []call{login("a"), refresh("a", 1, 0).fails(session.Unknown, "")}},
		{"refresh lost by the store", false, []call{login("a"), refresh("a", 1, 2), refresh("a", 2, 2)}},
	})
}

func TestModelSpentToken(t *testing.T) {
	checkHistories(t, []history{
		{"accepted twice without a retry window", false, []call{
			login("a").short(), refresh("a", 1, 2).short(), refresh("a", 1, 2).short(),
		}},
		{"rejected without a retry window", true, []call{
			login("a").short(), refresh("a", 1, 2).short(),
			refresh("a", 1, 0).short().fails(session.Spent, ""), refresh("a", 2, 3).short(),
		}},
		{"replay", true, []call{
			login("a"), refresh("a", 1, 2), refresh("a", 2, 3), refresh("a", 1, 0).replayed(), list(),
			refresh("a", 3, 0).fails(session.Revoked, session.CauseReplay),
		}},
		{"replay is accepted", false, []call{
			login("a"), refresh("a", 1, 2), refresh("a", 2, 3), refresh("a", 1, 3),
		}},
		{"replay revokes nothing", false, []call{
			login("a"), refresh("a", 1, 2), refresh("a", 2, 3), refresh("a", 1, 0).replayed(), refresh("a", 3, 4),
		}},
	})
}

func TestModelMaximum(t *testing.T) {
	checkHistories(t, []history{
		{"eviction", true, []call{
			login("a"), login("b"), refresh("a", 1, 2), login("c"), list("a", "c"),
			refresh("b", 1, 0).fails(session.Revoked, session.CauseEvicted),
		}},
		{"retry does not make a session recent", true, []call{
			login("a"), refresh("a", 1, 2), login("b"), refresh("a", 1, 2), login("c"), list("b", "c"),
		}},
		{"eviction of the wrong session", false, []call{
			login("a"), login("b"), refresh("a", 1, 2), login("c"), list("b", "c"),
		}},
		{"maximum exceeded", false, []call{login("a"), login("b"), login("c"), list("a", "b", "c")}},
		{"maximum exceeded during concurrent logins", false, []call{
			login("a"), login("b").during(2, 9), login("c").during(2, 9), list("a", "b", "c").during(2, 9),
		}},
		{"maximum exceeded without a list", false, []call{
			login("a").short().during(1, 9), login("b").short().during(1, 9),
		}},
		{"login fails at the maximum", true, []call{
			login("a").short().during(1, 9), login("b").short().fails(session.LimitReached, "").during(1, 9),
			destroy("a"), login("b").short(),
		}},
		{"login fails below the maximum", false, []call{
			login("a").short(), destroy("a"), login("b").short().fails(session.LimitReached, ""),
		}},
		{"types count separately", true, []call{
			login("a").short(), login("b"), login("c"), list("a", "b", "c"),
		}},
	})
}

func TestModelRevocation(t *testing.T) {
	checkHistories(t, []history{
		{"refresh after a logout", false, []call{login("a"), logout("a", 1), refresh("a", 1, 2)}},
		{"concurrent refresh revives the session", false, []call{
			login("a"), refresh("a", 1, 2).during(2, 9), logout("a", 1).during(2, 9), list("a"),
		}},
		{"concurrent refresh before the logout", true, []call{
			login("a"), refresh("a", 1, 2).during(2, 9), logout("a", 1).during(2, 9), list(),
		}},
		{"revoked twice", false, []call{login("a"), destroy("a").during(2, 9), destroy("a").during(2, 9)}},
		{"revoked with another cause", false, []call{
			login("a"), destroy("a"), refresh("a", 1, 0).fails(session.Revoked, session.CauseLogout),
		}},
		{"others", true, []call{
			login("a"), login("s").short(), login("b"), refresh("b", 1, 2),
			destroyOthers("b", 1), list("b"), destroyOthers("b", 2),
			list().by("a").fails(session.TokenRevoked, ""),
			destroyOthers("a", 1).fails(session.Unknown, ""),
		}},
		{"others leaves a session", false, []call{login("a"), login("b"), destroyOthers("b", 1), list("a", "b")}},
		{"others accepts a token ahead of its record", true, []call{
			login("a"), login("b"), destroyOthers("b", 2), list("b"), refresh("b", 1, 2),
		}},
		{"others rejects a token ahead of its record", false, []call{
			login("a"), login("b"), destroyOthers("b", 2).fails(session.Unknown, ""),
		}},
		{"caller is revoked", false, []call{login("a"), destroy("a"), list().by("a")}},
		{"caller is rejected although live", false, []call{login("a"), list().by("a").fails(session.TokenRevoked, "")}},
	})
}

func TestModelLostAnswer(t *testing.T) {
	checkHistories(t, []history{
		{"step happened", true, []call{
			login("a"), refresh("a", 1, 0).lost(), refresh("a", 1, 2), refresh("a", 2, 3),
		}},
		{"step happened late", true, []call{login("a"), destroy("a").lost(), list("a"), list()}},
		{"step did not happen", true, []call{login("a"), destroy("a").lost(), list("a")}},
		{"step happened and was undone", false, []call{login("a"), destroy("a").lost(), list(), list("a")}},
		{"login counts for the maximum", true, []call{
			login("").lost(), login("b"), list("b", "x"), login("c"), list("b", "c"),
			destroy("x").fails(session.Revoked, session.CauseEvicted),
		}},
		{"login evicts late", true, []call{
			login("a"), login("b"), login("").lost(), list("a", "b"), list("b", "x"),
		}},
		{"session without a login", false, []call{login("b"), list("b", "x")}},
		{"two sessions of one login", false, []call{login("").lost(), list("x", "y")}},
		{"two IDs of one login", false, []call{login("").lost(), list("x"), list("y")}},
	})
}

// TestModelOwners checks that the histories of different owners are independent.
func TestModelOwners(t *testing.T) {
	calls := []call{login("a"), login("b"), list("b")}
	for i := range calls[1:] {
		calls[1+i].in.Owner = session.Owner{App: "shop", User: "2"}
	}
	if !porcupine.CheckOperations(testModel().Porcupine(), operations(calls)) {
		t.Error("got linearizable false for the histories of two owners, want true")
	}
}

// failureRecorder records that a test fails, without failing it.
type failureRecorder struct {
	testing.TB
	failed bool
}

func (f *failureRecorder) Errorf(string, ...any) { f.failed = true }

// TestHistory checks that Check accepts a linearizable history and fails for another.
func TestHistory(t *testing.T) {
	for _, next := range []uint32{2, 3} {
		h := &History{}
		h.Do(0, Input{Step: session.StepLogin, Type: session.Long}, func() Output {
			return Output{Code: session.OK, ID: "a", Generation: 1}
		})
		first := refresh("a", 1, next)
		h.Do(1, first.in, func() Output { return first.out })
		h.Do(0, first.in, func() Output { return Output{Lost: true} })
		h.Do(1, first.in, func() Output { return Output{Code: session.OK, Generation: 2} })
		recorder := &failureRecorder{TB: t}
		h.Check(recorder, testModel(), time.Minute)
		if recorder.failed != (next == 3) || h.Len() != 4 {
			t.Errorf("successor %d: got failed %v and %d steps, want %v and 4", next, recorder.failed, h.Len(), next == 3)
		}
	}
}
