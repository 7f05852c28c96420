package contract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	s, err := parse([]byte(`{"name":"a","description":"b","config":{"secret":"s"},"steps":[
		{"title":"one","class":"quirk","request":{"method":"GET","path":"/","json":null},"expect":{"status":200},
		 "ideal":"c","ideal_expect":[{"status":401},{"status":400,"body":null}],"quirk_paths":{"body":"d"},"capture":{"v":"w"}},
		{"let":{"z":{"value":1},"a":{"value":"$z"},"m":{"value":null}}},
		{"sleep":0.5}, {"sleep_until":"$v.exp","plus":0.1}, {"align":0}, {"restart":{}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Steps) != 6 || s.Name != "a" || s.Config.Secret != "s" {
		t.Errorf("got %+v, want the name a, the secret s and 6 steps", s)
	}
	first := s.Steps[0]
	if !first.Request.JSON.Given || first.Request.Raw.Given || first.Expect.Body.Given {
		t.Errorf("got %+v, want a JSON body only", first)
	}
	if len(first.IdealExpect) != 2 || !first.IdealExpect[1].Body.Given {
		t.Errorf("got the alternatives %+v, want 2, the second with a body", first.IdealExpect)
	}
	var names []string
	for _, a := range s.Steps[1].Let {
		names = append(names, a.Name)
	}
	if got := strings.Join(names, " "); got != "z a m" {
		t.Errorf("got the variables %s, want z a m, as in the file", got)
	}
}

func TestAlternatives(t *testing.T) {
	for text, want := range map[string]int{
		`null`: 0, `{}`: 0, `[]`: 0, `{"status":401}`: 1, `{"body":null}`: 1, `[{"status":401},{}]`: 2,
	} {
		var a Alternatives
		if err := decode([]byte(text), &a); err != nil || len(a) != want {
			t.Errorf("%s: got %+v and error %v, want %d", text, a, err, want)
		}
	}
}

func TestParseRejects(t *testing.T) {
	step := func(text string) string { return `{"name":"a","steps":[` + text + `]}` }
	for _, c := range []struct{ name, text, want string }{
		{"broken", `{`, "EOF"},
		{"no name", `{"steps":[]}`, "no name"},
		{"unknown member", `{"name":"a","stesp":[]}`, "stesp"},
		{"unknown member of a step", step(`{"sleep":1,"why":"b"}`), "why"},
		{"unknown member of an alternative", step(`{"class":"quirk","request":{},"expect":{},"ideal_expect":{"statsu":1}}`), "statsu"},
		{"unknown member of a recipe", step(`{"let":{"a":{"valeu":1}}}`), "valeu"},
		{"no kind", step(`{"title":"b"}`), "exactly one"},
		{"two kinds", step(`{"sleep":1,"align":0}`), "exactly one"},
		{"no class", step(`{"request":{},"expect":{}}`), "unknown class"},
		{"unknown class", step(`{"class":"x","request":{},"expect":{}}`), "unknown class"},
		{"no expectation", step(`{"class":"quirk","request":{}}`), "no expect"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); err == nil {
		t.Error("an empty folder: got no error")
	}
	if _, err := Load(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing folder: got no error")
	}
	for name, text := range map[string]string{"b.json": `{"name":"b"}`, "a.json": `{"name":"a"}`, "c.txt": "no scenario"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	scenarios, err := Load(dir)
	if err != nil || len(scenarios) != 2 || scenarios[0].Name != "a" {
		t.Errorf("got %d scenarios and error %v, want a and b", len(scenarios), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "d.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "d.json") {
		t.Errorf("a broken file: got error %v, want d.json in it", err)
	}
}
