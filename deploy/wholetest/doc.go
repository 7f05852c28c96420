// Package wholetest tests the whole program: gateways as processes, over real
// Redis servers, asked by real clients. It holds what no single package can
// show: caps and rotation across instances, what is left in Redis when all is
// over, an app that verifies tokens with its own library, stopping without
// cutting a request, and what never reaches a log.
//
// TOKENGATE_ROUNDS sets how often the races are run; without it, as often as
// fits a test that runs with every change.
package wholetest
