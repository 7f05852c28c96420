package session

import (
	"strconv"
	"testing"
)

func TestRecentForgetsWhatIsNotUsed(t *testing.T) {
	r := NewRecent[int](100)
	for i := range 10_000 {
		r.Put(strconv.Itoa(i), i)
		if v, ok := r.Get("0"); !ok || v != 0 {
			t.Fatalf("after %d others, what is used all the time is forgotten", i)
		}
		if size := len(r.young) + len(r.old); size > 100 {
			t.Fatalf("it holds %d", size)
		}
	}
	if v, ok := r.Get("9999"); !ok || v != 9999 {
		t.Error("the latest is forgotten")
	}
	if _, ok := r.Get("5"); ok {
		t.Error("nothing is forgotten")
	}
}
