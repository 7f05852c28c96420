package storetest

import "tokengate/session"

var readyTests = map[string]func(*fixture){
	"of any owner":    readyOwners,
	"changes nothing": readyChangesNothing,
}

func readyOwners(f *fixture) {
	f.login()
	for _, o := range []session.Owner{f.owner, f.otherUser("x"), {App: f.owner.App, User: "ann%{}:é\n"}, {App: "other"}} {
		f.noError(f.Store.Ready(f.ctx, o), "Ready")
	}
}

// readyChangesNothing checks that a user without sessions still has none, and that the
// sessions of others stay.
func readyChangesNothing(f *fixture) {
	created := f.login()
	f.noError(f.Store.Ready(f.ctx, f.owner), "Ready")
	f.noError(f.Store.Ready(f.ctx, f.otherUser("x")), "Ready")
	f.wantList(created.ID)
	stored, _ := f.stored(created.ID)
	f.wantSession("List after Ready", stored, created)
	if others := f.mustList(f.otherUser("x")); len(others) != 0 {
		f.Fatalf("List of another owner: got %v, want none", others)
	}
}
