package samples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// python finds the packages of Debian. Another Python in PATH does not.
const python = "/usr/bin/python3"

// verifier runs the samples of one library that verify access tokens.
type verifier struct {
	algorithm string // of the gateway
	// run returns the output of a program made of the sample: a verdict for each token.
	run func(t *testing.T, i *issuer, sample, stdin string) string
}

// verifierOf returns what runs a block, if it is a sample that verifies access tokens.
func verifierOf(b block) (v verifier, ok bool) {
	switch {
	case b.language == "go":
		return verifier{"HS256", runGo}, true
	case b.language == "js":
		return verifier{"EdDSA", runNode}, true
	case b.language == "python" && strings.Contains(b.text, "SIMPLE_JWT"):
		algorithm := "HS256"
		if strings.Contains(b.text, "RS256") {
			algorithm = "RS256"
		}
		return verifier{algorithm, runDjango}, true
	case b.language == "python" && strings.Contains(b.text, "jwt.decode"):
		return verifier{"HS256", runPython}, true
	}
	return verifier{}, false
}

// TestVerifiers checks that each verifying sample accepts access tokens of a gateway and
// nothing else.
func TestVerifiers(t *testing.T) {
	issuers, tokens := map[string]*issuer{}, map[string][]presented{}
	languages := map[string]bool{}
	for _, document := range documents(t) {
		for _, b := range blocks(t, document) {
			v, ok := verifierOf(b)
			if !ok {
				continue
			}
			languages[b.language] = true
			if issuers[v.algorithm] == nil {
				issuers[v.algorithm] = newIssuer(t, v.algorithm)
				tokens[v.algorithm] = issuers[v.algorithm].presentedTokens(t)
			}
			t.Run(b.String(), func(t *testing.T) {
				checkVerdicts(t, b, tokens[v.algorithm], v.run(t, issuers[v.algorithm], b.text, input(tokens[v.algorithm])))
			})
		}
	}
	for _, language := range []string{"go", "python", "js"} {
		if !languages[language] {
			t.Errorf("no document has a sample in %s", language)
		}
	}
}

// replace replaces the only occurrence of old in text.
func replace(t *testing.T, text, old, replacement string) string {
	t.Helper()
	if n := strings.Count(text, old); n != 1 {
		t.Fatalf("%q occurs %d times, want once, in\n%s", old, n, text)
	}
	return strings.Replace(text, old, replacement, 1)
}

// runGo compiles and runs a sample that has the comment "// 401" where it rejects.
func runGo(t *testing.T, i *issuer, sample, stdin string) string {
	t.Helper()
	dir := copyTestdata(t, "go")
	program := replace(t, readFile(t, filepath.Join(dir, "main.go.txt")), "// SAMPLE", replace(t, sample, "// 401", "return false"))
	must(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600))
	binary := filepath.Join(dir, "verifier")
	runIn(t, dir, "", "go", "build", "-o", binary, ".")
	runIn(t, dir, "", "go", "vet", ".")
	return runIn(t, dir, stdin, binary, i.signingKey)
}

// runNode runs a sample with the library jose, from npm's cache if it is there.
func runNode(t *testing.T, i *issuer, sample, stdin string) string {
	t.Helper()
	dir := copyTestdata(t, "node")
	path := filepath.Join(dir, "verifier.mjs")
	sample = strings.ReplaceAll(sample, "https://gateway", i.URL)
	must(t, os.WriteFile(path, []byte(replace(t, readFile(t, path), "// SAMPLE", sample)), 0o600))
	runIn(t, dir, "", "npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	return runIn(t, dir, stdin, "node", path)
}

// runPython runs a sample with and without -O, which removes assert statements.
func runPython(t *testing.T, i *issuer, sample, stdin string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "sample.py")
	must(t, os.WriteFile(path, []byte(sample), 0o600))
	script := absolute(t, "testdata/verifier.py")
	plain := runIn(t, dir, stdin, python, "-B", script, path, i.signingKey)
	if optimized := runIn(t, dir, stdin, python, "-B", "-O", script, path, i.signingKey); optimized != plain {
		t.Errorf("with -O the verdicts are\n%s, want\n%s", optimized, plain)
	}
	return plain
}

// runDjango runs a sample that holds Django settings.
func runDjango(t *testing.T, i *issuer, sample, stdin string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "sample.py")
	sample = strings.NewReplacer("the app's SIGNING_KEY", i.signingKey, "https://gateway", i.URL).Replace(sample)
	must(t, os.WriteFile(path, []byte(sample), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "public.pem"), i.public, 0o600))
	return runIn(t, dir, stdin, python, "-B", absolute(t, "testdata/django_app.py"), path)
}

// runIn runs a program and returns its standard output. The test stops if it fails.
func runIn(t *testing.T, dir, stdin, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stderr strings.Builder
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, strings.NewReader(stdin), &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", program, args, err, output, stderr.String())
	}
	return string(output)
}

// copyTestdata copies a directory of testdata into a new temporary directory.
func copyTestdata(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))))
	return dir
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	must(t, err)
	return path
}
