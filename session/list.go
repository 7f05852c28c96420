package session

import (
	"context"
	"strings"
)

// List returns the caller's sessions of one type, or of "ALL" types, and the
// types that were requested. It fails with InvalidType, or as [Store.List] does.
func (e *Engine) List(ctx context.Context, c Caller, types string) (ListResult, []Type, error) {
	result, requested, err := e.list(ctx, c, types)
	e.observe(ctx, c.event(StepList), err)
	return result, requested, err
}

func (e *Engine) list(ctx context.Context, c Caller, types string) (ListResult, []Type, error) {
	requested, err := parseTypes(types)
	if err != nil {
		return ListResult{}, nil, err
	}
	result, err := e.Store.List(ctx, ListStep{
		Owner: c.owner(), Caller: c.session(), Types: requested, Policies: c.App.Policies, CheckUser: c.App.UsersInStore,
	})
	return result, requested, err
}

type largeListKey struct{}

// WithLargeList returns a context for a List that may take more than one step of the Store.
// The Store calls enter before it reads more than the first page, and fails with its error.
func WithLargeList(ctx context.Context, enter func() error) context.Context {
	return context.WithValue(ctx, largeListKey{}, enter)
}

// EnterLargeList is called by a [Store] before it reads a second page. It returns nil if the
// context limits no large lists.
func EnterLargeList(ctx context.Context) error {
	if enter, ok := ctx.Value(largeListKey{}).(func() error); ok {
		return enter()
	}
	return nil
}

// parseTypes parses a session type, or "ALL", in upper or lower case, for every type.
func parseTypes(s string) ([]Type, error) {
	if strings.EqualFold(TrimSpace(s), "ALL") {
		return Types, nil
	}
	t, ok := ParseType(s)
	if !ok {
		return nil, Fail(InvalidType, nil)
	}
	return []Type{t}, nil
}
