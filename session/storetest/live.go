package storetest

import "tokengate/session"

var liveTests = map[string]func(*fixture){
	"reports live, revoked and unknown sessions": checkLive,
}

// checkLive checks Live for live, revoked and unknown sessions, and for sessions of other
// owners. Expired sessions are in expiryTests.
func checkLive(f *fixture) {
	live := f.live
	long, short := f.login(), f.loginAs(f.owner, session.Short)
	f.noError(live(f.owner, long.ID), "Live")
	f.noError(live(f.owner, short.ID), "Live")
	f.wantError(live(f.owner, session.NewID()), session.Unknown, "")
	f.wantError(live(f.otherUser("2"), long.ID), session.Unknown, "")
	f.wantError(live(session.Owner{App: "other", User: f.owner.User}, long.ID), session.Unknown, "")
	_, err := f.revoke(long.ID, session.CauseAccount, "")
	f.noError(err, "Revoke")
	f.wantError(live(f.owner, long.ID), session.Revoked, session.CauseAccount)
	f.noError(live(f.owner, short.ID), "Live")
	other := long.ID[:21] + "A" // the last character encodes two bits, as A, Q, g or w
	if other == long.ID {
		other = long.ID[:21] + "Q"
	}
	f.wantError(live(f.owner, other), session.Unknown, "")
}
