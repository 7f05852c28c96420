package storetest_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tokengate/session"
	"tokengate/session/memstore"
	"tokengate/session/storetest"
)

// The test of a store opens one that is empty, with a clock that stands still until the
// suite advances it. To test another store, put it in place of the one in memory.
func ExampleRun() {
	var t *testing.T // the argument of the test, such as TestStore
	storetest.Run(t, func(*testing.T) storetest.Harness {
		start := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
		var passed atomic.Int64
		clock := func() time.Time { return start.Add(time.Duration(passed.Load())) }
		store := memstore.New(memstore.Options{Now: clock})
		return storetest.Harness{
			Store: store, Directory: store.Directory(), Limiter: store.Limiter(), Feed: store,
			Advance: func(d time.Duration) { passed.Add(int64(d)) },
			Clock:   clock,
		}
	})
}

// The model accepts a history if some order of its steps explains every answer. Here two
// clients log in at the same time, and the policy allows one session.
func ExampleModel_Porcupine() {
	model := storetest.Model{Policies: map[session.Type]session.Policy{session.Long: {Limit: true, Max: 1}}}
	login := func(client int, answer storetest.Output) porcupine.Operation {
		return porcupine.Operation{
			ClientId: client, Call: 1, Return: 2, // at the same time
			Input:  storetest.Input{Step: session.StepLogin, Owner: session.Owner{App: "shop", User: "1"}, Type: session.Long},
			Output: answer,
		}
	}
	created := func() storetest.Output {
		return storetest.Output{Code: session.OK, ID: session.NewID(), Generation: 1}
	}
	rejected := storetest.Output{Code: session.LimitReached}
	for _, history := range [][]porcupine.Operation{
		{login(0, created()), login(1, rejected)},
		{login(0, created()), login(1, created())},
	} {
		fmt.Println(porcupine.CheckOperations(model.Porcupine(), history))
	}
	// Output:
	// true
	// false
}
