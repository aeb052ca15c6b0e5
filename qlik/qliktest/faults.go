package qliktest

import "fmt"

// Fault is a way in which a proxy or a repository fails, for all of its requests.
type Fault int

const (
	// NoFault answers normally.
	NoFault Fault = iota
	// Refused closes the listening port.
	Refused
	// Hanging accepts connections and requests and never answers.
	Hanging
	// Unauthorized answers 401.
	Unauthorized
	// XSRF answers 403 with the text Qlik uses when the Xrfkey pair does not match (docs/qlik.md, "XSRF key").
	XSRF
	// Forbidden answers 403 with another text.
	Forbidden
	// NoRights answers 403 as to a user without rights: as Forbidden, but a repository tells its version.
	NoRights
	// ServerError answers 500.
	ServerError
	// Redirect answers 302 to another host, as something that wants a login does.
	Redirect
	// HTMLPage answers 200 with a login page.
	HTMLPage
	// Truncated starts a correct answer and cuts the connection.
	Truncated
	// NotJSON answers 200 with plain text called JSON.
	NotJSON
	// Object answers 200 with a JSON object where an array belongs.
	Object
	// MissingField answers a correct array whose last element lacks its identifier (SessionId, or id).
	MissingField
	// EndlessBody answers an array that never ends, until the client goes.
	EndlessBody
	// ExpiredCertificate shows a service certificate that expired an hour ago.
	ExpiredCertificate
	// FutureCertificate shows a service certificate that will be valid in an hour.
	FutureCertificate
	// OtherAuthority shows a service certificate of another authority: the site's certificates were recreated.
	OtherAuthority
	// WrongName shows a service certificate of this authority for another host.
	WrongName
	// CloseAfterAnswer answers normally and closes the connection each time.
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

// Faults lists all faults but NoFault.
func Faults() []Fault {
	var all []Fault
	for f := NoFault + 1; f < faultCount; f++ {
		all = append(all, f)
	}
	return all
}

// inTransport reports whether the fault is met before a request is: connections that exist would never see it.
func (f Fault) inTransport() bool {
	return f == Refused || f.inCertificate()
}

// inCertificate reports whether the fault is the certificate that the service shows.
func (f Fault) inCertificate() bool {
	return f == ExpiredCertificate || f == FutureCertificate || f == OtherAuthority || f == WrongName
}
