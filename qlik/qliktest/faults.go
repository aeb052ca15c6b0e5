package qliktest

import "fmt"

// Fault is a failure of all requests to a proxy, a repository or an engine.
type Fault int

const (
	// NoFault responds normally.
	NoFault Fault = iota
	// Refused closes the listening port.
	Refused
	// Hanging accepts connections and requests but never responds.
	Hanging
	// Unauthorized responds with 401.
	Unauthorized
	// XSRF responds with 403 and the text that Qlik uses if the Xrfkey pair does not match (docs/qlik.md, "XSRF key").
	XSRF
	// Forbidden responds with 403 and another text.
	Forbidden
	// NoRights responds with 403 as for a user without rights. Unlike Forbidden, a repository still returns its version.
	NoRights
	// ServerError responds with 500.
	ServerError
	// Redirect responds with 302 to another host, like a service that requires a login.
	Redirect
	// HTMLPage responds with 200 and a login page.
	HTMLPage
	// Truncated sends a part of a correct response and closes the connection.
	Truncated
	// NotJSON responds with 200 and plain text that is declared as JSON.
	NotJSON
	// Object responds with 200 and a JSON object instead of an array.
	Object
	// MissingField responds with a correct array, but the last element has no identifier (SessionId or id).
	MissingField
	// EndlessBody responds with an array that does not end until the client disconnects.
	EndlessBody
	// ExpiredCertificate uses a service certificate that expired an hour ago.
	ExpiredCertificate
	// FutureCertificate uses a service certificate that will be valid in an hour.
	FutureCertificate
	// OtherAuthority uses a service certificate of another authority, as after the site's certificates were recreated.
	OtherAuthority
	// WrongName uses a service certificate of the site's authority for another host.
	WrongName
	// CloseAfterAnswer responds normally and closes the connection after each response.
	CloseAfterAnswer

	faultCount
)

var faultNames = [...]string{
	NoFault: "NoFault", Refused: "Refused", Hanging: "Hanging", Unauthorized: "Unauthorized", XSRF: "XSRF",
	Forbidden: "Forbidden", NoRights: "NoRights", ServerError: "ServerError", Redirect: "Redirect", HTMLPage: "HTMLPage", Truncated: "Truncated",
	NotJSON: "NotJSON", Object: "Object", MissingField: "MissingField", EndlessBody: "EndlessBody",
	ExpiredCertificate: "ExpiredCertificate", FutureCertificate: "FutureCertificate", OtherAuthority: "OtherAuthority", WrongName: "WrongName",
	CloseAfterAnswer: "CloseAfterAnswer",
}

// String returns the name of the constant.
func (f Fault) String() string {
	if f < 0 || f >= faultCount {
		return fmt.Sprintf("Fault(%d)", int(f))
	}
	return faultNames[f]
}

// Faults lists all faults except NoFault.
func Faults() []Fault {
	var all []Fault
	for f := NoFault + 1; f < faultCount; f++ {
		all = append(all, f)
	}
	return all
}

// inTransport reports whether the fault occurs before the request, so that existing connections are not affected.
func (f Fault) inTransport() bool {
	return f == Refused || f.inCertificate()
}

// inCertificate reports whether the fault concerns the service certificate.
func (f Fault) inCertificate() bool {
	return f == ExpiredCertificate || f == FutureCertificate || f == OtherAuthority || f == WrongName
}
