package api

import (
	"net/http"

	"tokengate/session"
)

// verify handles POST /api/session/verify/, which answers whose a token is, with 200 if
// it is valid and its session is live. Like simplejwt's TokenVerifyView it takes a token
// in the body. It takes a refresh token only if token_type says so, so that a refresh
// token never passes for an access token. With secret_key, only tokens of that app are
// valid.
func (s *Server) verify(x *exchange) error {
	f, err := x.readFields(verifyFields)
	if err != nil {
		return err
	}
	app := ""
	if f[1] != "" {
		a := s.engine.AppBySecret(f[1])
		if a == nil {
			return session.Fail(session.InvalidClient, nil)
		}
		app = a.Name
	}
	var caller session.Caller
	switch session.Kind(f[2]) {
	case "", session.KindAccess:
		caller, err = s.engine.Verify(x.ctx(), app, f[0])
	case session.KindRefresh:
		caller, err = s.engine.VerifyRefresh(x.ctx(), app, f[0])
	default:
		return invalidFields([]fieldError{{"token_type", []string{"Give access or refresh."}}})
	}
	if err != nil {
		return err
	}
	x.logCaller(caller)
	b := appendMember(append(x.buffer(), '{'), "app", caller.App.Name)
	b = appendMember(b, "token_type", string(caller.Claims.Kind))
	b = caller.Claims.User.AppendJSON(appendKey(b, "user_id"))
	b = appendMember(b, "session_id", string(caller.Claims.Session))
	x.write(http.StatusOK, append(b, '}'))
	return nil
}
