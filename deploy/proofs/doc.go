// Package proofs tries to break what the gateway promises, with the real
// program on real servers: processes are killed, answers lost, primaries taken
// away. PROOFS.md says which promise is tried where, and with what result.
//
// A test runs for seconds unless told otherwise. TOKENGATE_FULL=1 asks for the
// full runs; the variable that stands with each of them (TOKENGATE_OPS, …) sets
// that one's size. The directory mutants holds faults that the tests must find.
package proofs
