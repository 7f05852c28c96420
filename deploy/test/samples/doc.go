// Package samples runs the code in the documents. It finds every code block of every
// Markdown file, and compiles, runs or checks it. A block that no rule covers fails the
// test, so that a document can't show code that nothing has run.
//
// The first word after a fence is the block's language. A second word is the name under
// which the block is written to a file for the shell samples of its document.
package samples
