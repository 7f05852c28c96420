package storetest

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tokengate/session"
)

// testModel: LONG holds two and evicts, with retries; SHORT holds one and
// refuses, without.
func testModel() Model {
	return Model{Policies: map[session.Type]session.Policy{
		session.Long: {
			Rotate: true, ReuseDetection: true, UpdateLastLogin: true, RetryWindow: time.Minute,
			Limit: true, Max: 2, DestroyOldest: true,
		},
		session.Short: {Rotate: true, Limit: true, Max: 1},
	}}
}

// did is one step of a history, from a moment to another.
type did struct {
	from, to int64
	in       Input
	out      Output
}

func login(id session.ID) (Input, Output) {
	return Input{Step: session.StepLogin, Type: session.Long}, Output{Code: session.OK, ID: id, Generation: 1}
}

func refresh(id session.ID, g, next uint32) (Input, Output) {
	return Input{Step: session.StepRefresh, Type: session.Long, ID: id, Generation: g},
		Output{Code: session.OK, Generation: next}
}

func list(shown ...session.ID) (Input, Output) {
	return Input{Step: session.StepList, Types: session.Types}, Output{Code: session.OK, IDs: shown}
}

func destroy(id session.ID) (Input, Output) {
	return Input{Step: session.StepDestroy, ID: id}, Output{Code: session.OK}
}

func logout(id session.ID, g uint32) (Input, Output) {
	return Input{Step: session.StepLogout, Type: session.Long, ID: id, Generation: g}, Output{Code: session.OK}
}

func others(keep session.ID, g uint32) (Input, Output) {
	return Input{Step: session.StepOthers, Types: session.Types, ID: keep, Caller: keep, Generation: g}, Output{Code: session.OK}
}

func short(in Input, out Output) (Input, Output) { in.Type = session.Short; return in, out }

func fails(code session.Code, cause session.Cause) func(Input, Output) (Input, Output) {
	return func(in Input, _ Output) (Input, Output) { return in, Output{Code: code, Cause: cause} }
}

func lost(in Input, _ Output) (Input, Output) { return in, Output{Lost: true} }

func with(token string) func(Input, Output) (Input, Output) {
	return func(in Input, out Output) (Input, Output) { out.Token = token; return in, out }
}

func by(caller session.ID) func(Input, Output) (Input, Output) {
	return func(in Input, out Output) (Input, Output) { in.Caller = caller; return in, out }
}

func TestModel(t *testing.T) {
	replayed := fails(session.Replayed, session.CauseReplay)
	for _, c := range []struct {
		name string
		good bool
		did  []did
	}{
		{"one after the other", true, []did{
			step(1)(login("a")), step(2)(refresh("a", 1, 2)), step(3)(refresh("a", 2, 3)), step(4)(list("a")),
			step(5)(destroy("a")), step(6)(list()), step(7)(fails(session.Ended, session.CauseUser)(refresh("a", 3, 0))),
			step(8)(fails(session.Unknown, "")(refresh("a", 3, 0))),
		}},
		{"retry", true, []did{step(1)(login("a")), step(2)(refresh("a", 1, 2)), step(3)(refresh("a", 1, 2))}},
		{"retry in the word", true, []did{
			step(1)(login("a")), step(2)(refresh("a", 1, 2)), step(3)(retried(refresh("a", 1, 2))),
		}},
		{"the word of a retry without one", false, []did{step(1)(login("a")), step(2)(retried(refresh("a", 1, 2)))}},
		{"double successor", false, []did{step(1)(login("a")), step(2)(refresh("a", 1, 2)), step(3)(refresh("a", 1, 3))}},
		{"double successor at once", false, []did{
			step(1)(login("a")), during(2, 9)(refresh("a", 1, 2)), during(2, 9)(refresh("a", 1, 3)),
		}},
		{"two tokens of one generation", false, []did{
			step(1)(login("a")), step(2)(with("x")(refresh("a", 1, 2))), step(3)(with("y")(refresh("a", 1, 2))),
		}},
		{"one token of one generation", true, []did{
			step(1)(login("a")), step(2)(with("x")(refresh("a", 1, 2))), step(3)(with("x")(refresh("a", 1, 2))),
		}},
		{"two tokens after a lost answer", false, []did{
			step(1)(login("a")), step(2)(lost(refresh("a", 1, 2))), step(3)(with("x")(refresh("a", 1, 2))),
			step(4)(with("y")(refresh("a", 1, 2))),
		}},
		{"spent twice without a window", false, []did{
			step(1)(short(login("a"))), step(2)(short(refresh("a", 1, 2))), step(3)(short(refresh("a", 1, 2))),
		}},
		{"spent without a window", true, []did{
			step(1)(short(login("a"))), step(2)(short(refresh("a", 1, 2))),
			step(3)(fails(session.Spent, "")(short(refresh("a", 1, 0)))), step(4)(short(refresh("a", 2, 3))),
		}},
		{"replay", true, []did{
			step(1)(login("a")), step(2)(refresh("a", 1, 2)), step(3)(refresh("a", 2, 3)), step(4)(replayed(refresh("a", 1, 0))),
			step(5)(list()), step(6)(fails(session.Ended, session.CauseReplay)(refresh("a", 3, 0))),
		}},
		{"replay that is let pass", false, []did{
			step(1)(login("a")), step(2)(refresh("a", 1, 2)), step(3)(refresh("a", 2, 3)), step(4)(refresh("a", 1, 3)),
		}},
		{"replay that ends nothing", false, []did{
			step(1)(login("a")), step(2)(refresh("a", 1, 2)), step(3)(refresh("a", 2, 3)), step(4)(replayed(refresh("a", 1, 0))),
			step(5)(refresh("a", 3, 4)),
		}},
		{"a lost session", false, []did{step(1)(login("a")), step(2)(fails(session.Unknown, "")(refresh("a", 1, 0)))}},
		{"a lost step", false, []did{step(1)(login("a")), step(2)(refresh("a", 1, 2)), step(3)(refresh("a", 2, 2))}},
		{"eviction", true, []did{
			step(1)(login("a")), step(2)(login("b")), step(3)(refresh("a", 1, 2)), step(4)(login("c")), step(5)(list("a", "c")),
			step(6)(fails(session.Ended, session.CauseEvicted)(refresh("b", 1, 0))),
		}},
		{"a retry is not recent", true, []did{
			step(1)(login("a")), step(2)(refresh("a", 1, 2)), step(3)(login("b")), step(4)(refresh("a", 1, 2)),
			step(5)(login("c")), step(6)(list("b", "c")),
		}},
		{"eviction of the wrong one", false, []did{
			step(1)(login("a")), step(2)(login("b")), step(3)(refresh("a", 1, 2)), step(4)(login("c")), step(5)(list("b", "c")),
		}},
		{"cap exceeded", false, []did{
			step(1)(login("a")), step(2)(login("b")), step(3)(login("c")), step(4)(list("a", "b", "c")),
		}},
		{"cap exceeded at once", false, []did{
			step(1)(login("a")), during(2, 9)(login("b")), during(2, 9)(login("c")), during(2, 9)(list("a", "b", "c")),
		}},
		{"cap exceeded unseen", false, []did{during(1, 9)(short(login("a"))), during(1, 9)(short(login("b")))}},
		{"refused", true, []did{
			during(1, 9)(short(login("a"))), during(1, 9)(fails(session.LimitReached, "")(short(login("b")))), step(10)(destroy("a")),
			step(11)(short(login("b"))),
		}},
		{"refused where a place is free", false, []did{
			step(1)(short(login("a"))), step(2)(destroy("a")), step(3)(fails(session.LimitReached, "")(short(login("b")))),
		}},
		{"types apart", true, []did{
			step(1)(short(login("a"))), step(2)(login("b")), step(3)(login("c")), step(4)(list("a", "b", "c")),
		}},
		{"revived by a refresh", false, []did{
			step(1)(login("a")), step(2)(logout("a", 1)), step(3)(refresh("a", 1, 2)),
		}},
		{"revived by a refresh under way", false, []did{
			step(1)(login("a")), during(2, 9)(refresh("a", 1, 2)), during(2, 9)(logout("a", 1)), step(10)(list("a")),
		}},
		{"refresh before a logout at once", true, []did{
			step(1)(login("a")), during(2, 9)(refresh("a", 1, 2)), during(2, 9)(logout("a", 1)), step(10)(list()),
		}},
		{"ended twice", false, []did{step(1)(login("a")), during(2, 9)(destroy("a")), during(2, 9)(destroy("a"))}},
		{"ended with another cause", false, []did{
			step(1)(login("a")), step(2)(destroy("a")), step(3)(fails(session.Ended, session.CauseLogout)(refresh("a", 1, 0))),
		}},
		{"others", true, []did{
			step(1)(login("a")), step(2)(short(login("s"))), step(3)(login("b")), step(4)(refresh("b", 1, 2)),
			step(5)(others("b", 1)), step(6)(list("b")), step(7)(others("b", 2)),
			step(8)(fails(session.TokenRevoked, "")(by("a")(list()))),
			step(9)(fails(session.Unknown, "")(others("a", 1))),
		}},
		{"others that spare one", false, []did{
			step(1)(login("a")), step(2)(login("b")), step(3)(others("b", 1)), step(4)(list("a", "b")),
		}},
		{"others with a token ahead of its record", true, []did{
			step(1)(login("a")), step(2)(login("b")), step(3)(others("b", 2)), step(4)(list("b")), step(5)(refresh("b", 1, 2)),
		}},
		{"others refused to a token ahead of its record", false, []did{
			step(1)(login("a")), step(2)(login("b")), step(3)(fails(session.Unknown, "")(others("b", 2))),
		}},
		{"a caller whose session is over", false, []did{step(1)(login("a")), step(2)(destroy("a")), step(3)(by("a")(list()))}},
		{"revoked though live", false, []did{step(1)(login("a")), step(2)(fails(session.TokenRevoked, "")(by("a")(list())))}},
		{"lost and done", true, []did{
			step(1)(login("a")), step(2)(lost(refresh("a", 1, 0))), step(3)(refresh("a", 1, 2)), step(4)(refresh("a", 2, 3)),
		}},
		{"lost and done late", true, []did{
			step(1)(login("a")), step(2)(lost(destroy("a"))), step(3)(list("a")), step(4)(list()),
		}},
		{"lost and not done", true, []did{step(1)(login("a")), step(2)(lost(destroy("a"))), step(3)(list("a"))}},
		{"done and undone", false, []did{
			step(1)(login("a")), step(2)(lost(destroy("a"))), step(3)(list()), step(4)(list("a")),
		}},
		{"a lost login counts", true, []did{
			step(1)(lost(login(""))), step(2)(login("b")), step(3)(list("b", "x")), step(4)(login("c")), step(5)(list("b", "c")),
			step(6)(fails(session.Ended, session.CauseEvicted)(destroy("x"))),
		}},
		{"a lost login evicts late", true, []did{
			step(1)(login("a")), step(2)(login("b")), step(3)(lost(login(""))), step(4)(list("a", "b")), step(5)(list("b", "x")),
		}},
		{"a session from nowhere", false, []did{step(1)(login("b")), step(2)(list("b", "x"))}},
		{"one lost login, two sessions", false, []did{step(1)(lost(login(""))), step(2)(list("x", "y"))}},
		{"one lost login, two names", false, []did{
			step(1)(lost(login(""))), step(2)(list("x")), step(3)(list("y")),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := porcupine.CheckOperations(testModel().Porcupine(), operations(c.did)); got != c.good {
				t.Errorf("linearizable: %v, want %v", got, c.good)
			}
		})
	}
}

// step is a step that is alone at its moment.
func step(moment int64) func(Input, Output) did { return during(moment, moment) }

func during(from, to int64) func(Input, Output) did {
	return func(in Input, out Output) did { return did{from, to, in, out} }
}

func retried(in Input, out Output) (Input, Output) { out.Code = session.Retried; return in, out }

func operations(steps []did) []porcupine.Operation {
	var out []porcupine.Operation
	for i, d := range steps {
		to := d.to
		if d.out.Lost {
			to = 1 << 40
		}
		out = append(out, porcupine.Operation{ClientId: i, Input: d.in, Output: d.out, Call: 10 * d.from, Return: 10*to + 5})
	}
	return out
}

// TestModelOwnersApart: each owner's history is judged by itself.
func TestModelOwnersApart(t *testing.T) {
	one, two := []did{step(1)(login("a"))}, []did{step(2)(login("b")), step(3)(list("b"))}
	for i := range two {
		two[i].in.Owner = session.Owner{App: "shop", User: "2"}
	}
	if !porcupine.CheckOperations(testModel().Porcupine(), operations(append(one, two...))) {
		t.Error("two owners' histories are mixed")
	}
}

// failing notes that a test was failed, without failing.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Errorf(string, ...any) { f.failed = true }

func TestHistory(t *testing.T) {
	for _, next := range []uint32{2, 3} {
		h := &History{}
		h.Do(0, Input{Step: session.StepLogin, Type: session.Long}, func() Output {
			return Output{Code: session.OK, ID: "a", Generation: 1}
		})
		in, out := refresh("a", 1, next)
		h.Do(1, in, func() Output { return out })
		h.Do(0, in, func() Output { return Output{Lost: true} })
		h.Do(1, in, func() Output { return Output{Code: session.OK, Generation: 2} })
		watch := &failing{TB: t}
		h.Check(watch, testModel(), time.Minute)
		if watch.failed != (next == 3) || h.Len() != 4 {
			t.Errorf("successor %d: failed %v, %d steps", next, watch.failed, h.Len())
		}
	}
}
