// Package rules tests the rules of the code base: which packages a package may import,
// how long functions and files may be, which names must be documented, which words the
// project uses, and whether the source map for developers is true.
package rules
