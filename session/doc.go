// Package session is the engine of tokengate: it begins, refreshes, lists and
// ends sessions, and says which tokens are good. It needs the standard library
// only, knows neither HTTP nor Redis, and keeps nothing in memory that a
// decision rests on, so any number of engines may share one store.
//
// # Words
//
// An app is one application that the gateway fronts. A user is an id that the
// app's user source gives; unique within the app. A session is one login of one
// user on one device; its type, LONG or SHORT, picks its policy. A generation
// counts the refresh tokens that a session has been given: exactly one is
// current, and a token says of which generation it is. An ending is how a
// session ceases, with one cause out of a fixed list (Causes).
//
// # Promises
//
// Each step is one atomic step of the Store: no two logins both take the last
// place, no two refreshes both spend the same token, no refresh brings back
// what a logout ended. A user never holds more sessions of a type than the
// policy's maximum. A retry of the refresh token just spent is given the same
// successor for the policy's retry window; anything older ends the session. A
// store that can't be reached is Unavailable, never "not there".
//
// # One session
//
//	    Create
//	      │
//	      ▼      p = g: rotation or extension due → g+1
//	┌─► live(g) ──────────────────────────────────┐
//	│     │ │    p = g, nothing due → g           │
//	│     │ │    p = g-1 in the window → g again  │
//	│     │ │    p > g: the store lost steps → p, │
//	│     │ │           then as p = g             │
//	└─────┼─┼─────────────────────────────────────┘
//	      │ └── its time is over ──► gone (expired, absolute)
//	      │
//	      └── p < g otherwise ─────► gone (replay)
//	          user, others, logout, evicted, type_mismatch,
//	          operator, account, app ► gone, with a trace
//
// p is the generation that a refresh token presents, g the record's.
//
// # Why it is so
//
// The refresh token is computed from the record and never stored: the same
// record gives the same claims, which is what lets a retry have the same token
// without anybody having kept it, and leaves nothing in the store that a thief
// of the store could present.
//
// Only one spent generation is ever honoured, and only until its successor is
// used: by then it is two behind. So a lost answer costs nothing, and a thief
// who holds a copy is found out when either side comes second.
//
// The time to live of a key only frees memory. Steps compare times, with one
// clock, the store's; the instances' clocks judge nothing but the tokens'
// dates, which are whole seconds written from that same clock.
//
// A generation above the record's is no forgery, since the signature is ours:
// the store has lost an acknowledged step in a failover. The record catches up,
// because the alternative is to log out everybody who was active that second.
package session
