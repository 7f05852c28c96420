// Package resilience tests the gateway's promises with the real program over real Redis servers. The tests
// kill processes, drop responses, take Redis primaries away and cut the network. deploy/docs/proofs.md lists each promise, how
// it is tested, and the results of the last full run.
//
// By default a test takes seconds. TOKENGATE_FULL=1 selects the full sizes. Each size also has a variable of
// its own, such as TOKENGATE_OPS, which sets only that size. The directory mutants holds faults that these
// tests must detect.
package resilience
