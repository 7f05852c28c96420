package contract

import (
	"fmt"
	"math"
	"time"
)

// Start starts the gateway with a configuration and returns HOST:PORT of its
// public API. A gateway that is running is stopped first. If fresh is true, all
// sessions are removed.
type Start func(c Config, fresh bool) (address string, err error)

// Result is the outcome of a scenario.
type Result struct {
	Scenario string
	Requests int // number of requests sent
	Failures []Failure
}

// Failure is a request whose answer is not as expected.
type Failure struct {
	Scenario   string
	Number     int // of the request in its scenario, from 1; steps without a request do not count
	Title      string
	Class      string
	Status     int // of the answer; 0 if none came
	Mismatches []Mismatch
}

// player plays one scenario.
type player struct {
	start   Start
	config  Config
	address string
	vars    *variables
	result  Result
}

// Play starts a gateway without sessions and plays a scenario against it. It
// returns an error if a step cannot be played; the steps after it are then not
// played.
func Play(s *Scenario, start Start) (Result, error) {
	p := &player{start: start, vars: newVariables(s.Config), result: Result{Scenario: s.Name}}
	if err := p.restart(s.Config, true); err != nil {
		return p.result, err
	}
	for i := range s.Steps {
		if err := p.play(&s.Steps[i]); err != nil {
			return p.result, fmt.Errorf("%s, after request %d: %w", s.Name, p.result.Requests, err)
		}
	}
	return p.result, nil
}

func (p *player) restart(c Config, fresh bool) (err error) {
	p.config = c
	p.address, err = p.start(c, fresh)
	return err
}

func (p *player) play(s *Step) error {
	switch {
	case s.Request != nil:
		p.request(s)
	case s.Sleep != nil:
		sleep(*s.Sleep)
	case s.SleepUntil != "":
		moment, ok := float(p.vars.substitute(s.SleepUntil))
		if !ok {
			return fmt.Errorf("sleep_until %s: not a time", s.SleepUntil)
		}
		sleep(moment + s.Plus - p.vars.seconds())
	case s.Align != nil:
		sleep(untilFraction(*s.Align, p.vars.seconds()))
	case s.Restart != nil:
		return p.restart(p.config.merge(s.Restart), s.Restart.Fresh)
	default:
		return p.assign(s.Let)
	}
	return nil
}

func (p *player) assign(list Assignments) error {
	for _, a := range list {
		value, err := p.vars.forge(a.Recipe)
		if err != nil {
			return fmt.Errorf("let %s: %w", a.Name, err)
		}
		p.vars.values[a.Name] = value
	}
	return nil
}

// request sends a step's request and compares the answer. It captures variables
// afterwards, so that expectations refer to earlier answers.
func (p *player) request(s *Step) {
	p.result.Requests++
	failure := Failure{Scenario: p.result.Scenario, Number: p.result.Requests, Title: s.Title, Class: s.Class}
	a, err := p.vars.send(p.address, s.Request)
	if err != nil {
		failure.Mismatches = []Mismatch{{"answer", "no answer: " + err.Error()}}
		p.result.Failures = append(p.result.Failures, failure)
		return
	}
	failure.Status, failure.Mismatches = a.status, p.vars.checkStep(s, a)
	if len(failure.Mismatches) > 0 {
		p.result.Failures = append(p.result.Failures, failure)
	}
	for name, path := range s.Capture {
		if members := a.members(); members != nil {
			p.vars.capture(name, path, members)
		}
	}
	p.vars.remember(a.members())
}

// checkStep returns why an answer fails a step. It returns nil if the answer passes.
func (v *variables) checkStep(s *Step, a *answer) []Mismatch {
	mismatches := v.mismatches(s, s.Expect, a)
	if s.Class != "quirk" {
		return mismatches
	}
	if len(s.IdealExpect) == 0 {
		return nil
	}
	for i := range s.IdealExpect {
		if len(v.mismatches(s, &s.IdealExpect[i], a)) == 0 {
			return nil
		}
	}
	if len(mismatches) == 0 {
		return []Mismatch{{"ideal_expect", "got the Django app's answer, want an ideal one"}}
	}
	return mismatches
}

// mismatches returns where an answer differs from an expectation, without the
// paths that the step ignores.
func (v *variables) mismatches(s *Step, want *Expectation, a *answer) (mismatches []Mismatch) {
	for _, m := range v.compare(want, a) {
		if !s.ignores(want, m.Path) {
			mismatches = append(mismatches, m)
		}
	}
	return mismatches
}

func sleep(seconds float64) { time.Sleep(time.Duration(seconds * float64(time.Second))) }

// untilFraction returns the time from now until the clock next shows a fraction of
// a second. All values are in seconds.
func untilFraction(fraction, now float64) float64 {
	wait := fraction - now
	return wait - math.Floor(wait)
}
