// Package lua holds the scripts that are the gateway's steps on Redis: each
// runs whole or not at all, on keys of one slot.
//
// A script begins with a header that says its KEYS, its ARGV and every reply it
// gives; the first element of a reply is a session.Code. What several share they
// include, so that each is one text to Redis.
package lua

import (
	"embed"
	"regexp"
)

//go:embed *.lua
var files embed.FS

// Script is one step, ready for EVAL.
type Script struct {
	Name string // its file without ".lua"
	Text string // with what it includes
}

// The steps of session.Store.
var (
	Create  = script("create")
	Refresh = script("refresh")
	List    = script("list")
	End     = script("end")
	Others  = script("others")
	Logout  = script("logout")
)

// The steps of session.Ledger.
var (
	Live   = script("live")
	Traces = script("traces")
	Epoch  = script("epoch")
)

// The steps of session.Directory, which share nothing with the others.
var (
	Claim   = script("claim")
	Confirm = script("confirm")
	Release = script("release")
	Put     = script("put")
	Remove  = script("remove")
)

// include is the line that another file's text takes the place of, wherever it
// stands: what is included where only some runs come past costs the others
// nothing.
var include = regexp.MustCompile(`(?m)^ *-- include ([a-z]+)\n`)

func script(name string) Script {
	whole := include.ReplaceAllStringFunc(read(name), func(line string) string {
		return read(include.FindStringSubmatch(line)[1])
	})
	return Script{name, whole}
}

func read(name string) string {
	text, err := files.ReadFile(name + ".lua")
	if err != nil {
		panic(err) // no such file: a slip in the tables above, or in a script
	}
	return string(text)
}
