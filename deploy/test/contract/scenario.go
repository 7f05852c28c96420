package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Scenario is one recording: the configuration of a gateway and the steps to
// play.
type Scenario struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Config      Config `json:"config"`
	Steps       []Step `json:"steps"`
}

// Step is one step of a scenario. Exactly one of Request, Let, Sleep,
// SleepUntil, Align and Restart is set.
type Step struct {
	Title       string            `json:"title"`
	Class       string            `json:"class"` // "contract" or "quirk"
	Request     *Request          `json:"request"`
	Expect      *Expectation      `json:"expect"`
	Ideal       string            `json:"ideal"` // not used; a description of IdealExpect
	IdealExpect Alternatives      `json:"ideal_expect"`
	QuirkPaths  map[string]string `json:"quirk_paths"` // path that is not compared -> reason
	Capture     map[string]string `json:"capture"`     // variable -> path in the answer's body

	Let        Assignments `json:"let"`
	Sleep      *float64    `json:"sleep"`       // seconds
	SleepUntil string      `json:"sleep_until"` // reference to a time in Unix seconds
	Plus       float64     `json:"plus"`        // seconds after SleepUntil
	Align      *float64    `json:"align"`       // fraction of a wall-clock second to wait for
	Restart    *Restart    `json:"restart"`
}

// Request describes one HTTP request. At most one of the bodies is set.
type Request struct {
	Method  string         `json:"method"`
	Path    string         `json:"path"`
	Headers map[string]any `json:"headers"` // null omits a header that is otherwise sent
	Auth    Value          `json:"auth"`    // token of the Authorization header, after "JWT "

	JSON      Value          `json:"json"`
	ASCII     bool           `json:"ascii"` // JSON is sent with \u escapes
	Form      Value          `json:"form"`  // object or list of pairs
	Multipart map[string]any `json:"multipart"`
	Raw       Value          `json:"raw"`
	RawB64    *string        `json:"raw_b64"`
	Chunked   bool           `json:"chunked"`
}

// Expectation describes an answer. Only the parts that it has are compared.
type Expectation struct {
	Status   int                         `json:"status"`
	Headers  map[string]any              `json:"headers"`
	Body     Value                       `json:"body"`
	BodyText Value                       `json:"body_text"`
	Tokens   map[string]TokenExpectation `json:"tokens"` // member of the body -> its token
}

// TokenExpectation describes a token in an answer's body.
type TokenExpectation struct {
	Header map[string]any `json:"header"`
	Claims map[string]any `json:"claims"`
}

// Restart stops the gateway and starts it with other settings.
type Restart struct {
	Policy map[string]any `json:"policy"` // merged into the policy so far
	Users  []User         `json:"users"`  // nil keeps the users
	Fresh  bool           `json:"fresh"`  // removes all sessions
}

// Value is a JSON value. Given distinguishes null from a missing member.
type Value struct {
	Given bool
	V     any
}

// UnmarshalJSON implements [json.Unmarshaler].
func (v *Value) UnmarshalJSON(text []byte) error {
	v.Given = true
	return decode(text, &v.V)
}

// Alternatives are expectations of which an answer has to meet one.
type Alternatives []Expectation

// UnmarshalJSON implements [json.Unmarshaler]. It reads a list or a single
// expectation; null and {} mean no alternative.
func (a *Alternatives) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("[")) {
		return decode(text, (*[]Expectation)(a))
	}
	var members map[string]json.RawMessage
	if err := decode(text, &members); err != nil || len(members) == 0 {
		return err
	}
	*a = make([]Expectation, 1)
	return decode(text, &(*a)[0])
}

// Assignment sets one variable.
type Assignment struct {
	Name   string
	Recipe Recipe
}

// Assignments are in the order of the file, because a recipe may use a variable
// that was set before it.
type Assignments []Assignment

// UnmarshalJSON implements [json.Unmarshaler].
func (a *Assignments) UnmarshalJSON(text []byte) error {
	var recipes map[string]Recipe
	if err := decode(text, &recipes); err != nil {
		return err
	}
	names, err := memberNames(text)
	for _, name := range names {
		*a = append(*a, Assignment{name, recipes[name]})
	}
	return err
}

// Load reads all scenarios (*.json) of a folder, sorted by file name. It returns
// an error if there are none.
func Load(dir string) ([]*Scenario, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no scenario (*.json) in %s", dir)
	}
	scenarios := make([]*Scenario, len(paths))
	for i, path := range paths {
		if scenarios[i], err = loadFile(path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return scenarios, nil
}

func loadFile(path string) (*Scenario, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// parse reads one scenario. Unknown members are errors, because a rule with a
// misspelled name would never be checked.
func parse(text []byte) (*Scenario, error) {
	s := new(Scenario)
	if err := decode(text, s); err != nil {
		return nil, err
	}
	if s.Name == "" {
		return nil, errors.New("the scenario has no name")
	}
	for i, step := range s.Steps {
		if err := step.check(); err != nil {
			return nil, fmt.Errorf("step %d of the file (%q): %w", i+1, step.Title, err)
		}
	}
	return s, nil
}

// check checks that the step is of one kind and, for a request, has a class and an
// expectation.
func (s *Step) check() error {
	kinds := 0
	for _, set := range []bool{
		s.Request != nil, len(s.Let) > 0, s.Sleep != nil, s.SleepUntil != "", s.Align != nil, s.Restart != nil,
	} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return errors.New("the step must have exactly one of request, let, sleep, sleep_until, align and restart")
	case s.Request != nil && s.Class != "contract" && s.Class != "quirk":
		return fmt.Errorf("unknown class %q", s.Class)
	case s.Request != nil && s.Expect == nil:
		return errors.New("the request has no expect")
	}
	return nil
}
