package check

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Explain returns the cause of a failed request for the sessions of a link, and the remedy,
// in the words of the table of causes. The remedy is "" if the cause contains it. It is for a request without the tests of
// a check, so it knows no more than the error tells.
func Explain(link *qlik.Link, err error) (cause, remedy string) {
	s := &site{Config: Config{
		Qlik:    qlik.Config{Now: time.Now, User: defaultUser, Hosts: []string{""}},
		Setting: func(flag string) string { return "--" + flag },
	}}
	of := &server{site: s, address: link.Address, api: qlik.APIProxy}
	cause, remedy = (&failure{step: stepOf(err), err: err, site: s, server: of}).causeAndRemedy()
	return cause, strings.ReplaceAll(remedy, "run the check again", "run qlik_exporter check")
}

var defaultUser, _ = qlik.ParseUser(qlik.DefaultUser) // a constant

// stepOf returns the step of a check that would have failed with the error of a request.
func stepOf(err error) string {
	dial, isOp := errors.AsType[*net.OpError](err)
	_, isHeader := errors.AsType[tls.RecordHeaderError](err)
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case isUnknownName(err):
		return "name"
	case isOp && dial.Op == "dial":
		return "port"
	case isHeader, isCertificate, isInvalid && invalid.Cert != nil:
		return "server certificate"
	default:
		return "request"
	}
}
