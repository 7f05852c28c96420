// Package rules tests the rules of the code base: which packages a package may import,
// how long functions and files may be, which names must be documented, and which words
// the project uses.
package rules
