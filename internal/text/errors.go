package text

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"syscall"
)

// Winsock error numbers, for which package syscall has no portable names.
const (
	errWindowsForbidden   = syscall.Errno(10013)
	errWindowsInUse       = syscall.Errno(10048)
	errWindowsNoAddress   = syscall.Errno(10049)
	errWindowsRefused     = syscall.Errno(10061)
	errWindowsUnreachable = syscall.Errno(10065)
)

// Error returns the text of an error for people. It keeps the words of this program, and
// replaces those of Go's own packages: about files, the network, TLS, numbers, and JSON.
func Error(err error) string {
	whole := err.Error()
	for _, rule := range errorRules {
		if found, plain := rule(err); found != "" {
			whole = strings.ReplaceAll(whole, found, plain)
		}
	}
	for _, rule := range textRules {
		whole = rule.of.ReplaceAllString(whole, rule.plain)
	}
	return whole
}

// textRules replace the words of errors without a type of their own. The names of packages
// in front come last.
var textRules = []struct {
	of    *regexp.Regexp
	plain string
}{
	{regexp.MustCompile(`(?:net/http: )?(?:HTTP/1\.x transport connection broken: )?malformed (?:HTTP|MIME) [^"]*"(?:[^"\\]|\\.)*"`), "the server does not speak HTTP"},
	{regexp.MustCompile(`field (\S+) not found in type \S+`), "there is no key $1"},
	{regexp.MustCompile(`cannot unmarshal !!\S+ (.*) into \S+`), "$1 is of the wrong kind"},
	{regexp.MustCompile(`(?:yaml: )?unmarshal errors:\s+`), ""},
	{regexp.MustCompile(`failed to load X509KeyPair: `), "the certificate and its key cannot be used: "},
	{regexp.MustCompile(`(^|[\s(])(?:(?:tls|x509|asn1|pem|net/http|http|json|yaml|url|net): )+`), "$1"},
}

// errorRules return the text of an error within another one, and its text for people. The
// rules for errors that contain others come first.
var errorRules = []func(error) (found, plain string){
	fileError, lookupError, connectError, verificationError, tlsError, timeoutError, numberError, patternError, syntaxError, endError,
}

func fileError(err error) (found, plain string) {
	of, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return "", ""
	}
	switch {
	case errors.Is(of, fs.ErrNotExist):
		return of.Error(), missing(of.Path) + " does not exist"
	case errors.Is(of, syscall.ENOTDIR):
		return of.Error(), filepath.Dir(of.Path) + " is not a folder"
	case errors.Is(of, fs.ErrPermission):
		return of.Error(), "access to " + of.Path + " is denied"
	default:
		return of.Error(), of.Path + ": " + of.Err.Error()
	}
}

// missing returns what does not exist of a path: the folder, the target of a symbolic link,
// or the file. A file that is to be created does not exist, and that is no error.
func missing(path string) string {
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return "the folder " + folder
	}
	if target, err := os.Readlink(path); err == nil {
		return "the target " + target + " of the symbolic link " + path
	}
	return path
}

func lookupError(err error) (found, plain string) {
	of, ok := errors.AsType[*net.DNSError](err)
	if !ok {
		return "", ""
	}
	found = of.Error()
	if op, ok := errors.AsType[*net.OpError](err); ok {
		found = op.Error()
	}
	switch {
	case of.IsNotFound:
		return found, "the name " + of.Name + " does not resolve"
	case of.IsTimeout:
		return found, "the DNS server does not respond to the query for " + of.Name
	default:
		return found, "the name " + of.Name + " cannot be looked up (" + of.Err + ")"
	}
}

func connectError(err error) (found, plain string) {
	of, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return "", ""
	}
	switch {
	case of.Op == "remote error": // how crypto/tls wraps alerts
		return of.Error(), "the server refuses: " + strings.TrimPrefix(of.Err.Error(), "tls: ")
	case of.Op == "listen" && of.Addr != nil:
		return of.Error(), listenError(of)
	case of.Op != "dial" || of.Addr == nil:
		return of.Error(), "the connection broke"
	case errors.Is(of, syscall.ECONNREFUSED), errors.Is(of, errWindowsRefused):
		return of.Error(), of.Addr.String() + " refuses the connection"
	case of.Timeout():
		return of.Error(), of.Addr.String() + " does not respond"
	case errors.Is(of, syscall.EHOSTUNREACH), errors.Is(of, syscall.ENETUNREACH), errors.Is(of, errWindowsUnreachable):
		return of.Error(), of.Addr.String() + " is not reachable"
	default:
		return of.Error(), of.Addr.String() + " is not reachable (" + of.Err.Error() + ")"
	}
}

func listenError(of *net.OpError) string {
	switch {
	case errors.Is(of, syscall.EADDRINUSE), errors.Is(of, errWindowsInUse):
		return "another program listens on " + of.Addr.String()
	case errors.Is(of, fs.ErrPermission), errors.Is(of, errWindowsForbidden):
		return "access to the port of " + of.Addr.String() + " is denied"
	case errors.Is(of, syscall.EADDRNOTAVAIL), errors.Is(of, errWindowsNoAddress):
		return "this machine does not have the address of " + of.Addr.String()
	default:
		return "cannot listen on " + of.Addr.String() + " (" + of.Err.Error() + ")"
	}
}

func verificationError(err error) (found, plain string) {
	authority, isAuthority := errors.AsType[x509.UnknownAuthorityError](err)
	name, isName := errors.AsType[x509.HostnameError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case isAuthority:
		found, plain = authority.Error(), "no trusted authority signed the certificate of the server"
	case isName:
		found, plain = name.Error(), "the certificate of the server is not for "+name.Host
	case isInvalid && invalid.Reason == x509.Expired:
		found, plain = invalid.Error(), "the certificate of the server has expired or is not valid yet"
	default:
		return "", ""
	}
	if of, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		found = of.Error()
	}
	return found, plain
}

func tlsError(err error) (found, plain string) {
	header, ok := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case ok:
		return header.Error(), "the server does not speak TLS"
	case errors.Is(err, http.ErrSchemeMismatch):
		return http.ErrSchemeMismatch.Error(), "the server does not speak TLS"
	default:
		return "net/http: TLS handshake timeout", "the server does not complete the TLS handshake"
	}
}

func timeoutError(err error) (found, plain string) {
	const inTime = "there is no answer in time"
	if request, ok := errors.AsType[*url.Error](err); ok {
		err = request.Err // the method and the URL stay
	}
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error(), "interrupted"
	case ok && timeout.Timeout() && strings.Contains(timeout.Error(), context.DeadlineExceeded.Error()):
		return timeout.Error(), inTime
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded.Error(), inTime
	default:
		return "", ""
	}
}

func numberError(err error) (found, plain string) {
	of, ok := errors.AsType[*strconv.NumError](err)
	if !ok {
		return "", ""
	}
	if of.Func == "ParseBool" {
		return of.Error(), strconv.Quote(of.Num) + " is neither true nor false"
	}
	if errors.Is(of, strconv.ErrRange) {
		return of.Error(), strconv.Quote(of.Num) + " is too large"
	}
	return of.Error(), strconv.Quote(of.Num) + " is not a number"
}

func patternError(err error) (found, plain string) {
	of, ok := errors.AsType[*syntax.Error](err)
	if !ok {
		return "", ""
	}
	return of.Error(), "is not a regular expression: " + of.Code.String() + " in " + strconv.Quote(of.Expr)
}

func syntaxError(err error) (found, plain string) {
	if of, ok := errors.AsType[*json.SyntaxError](err); ok {
		return of.Error(), "it is not JSON"
	}
	if of, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if of.Field == "" {
			return of.Error(), "the JSON is of another kind (" + of.Value + ")"
		}
		return of.Error(), "the JSON has another kind (" + of.Value + ") in " + of.Field
	}
	return "", ""
}

func endError(err error) (found, plain string) {
	const closed = "the connection closed before the answer was complete"
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF.Error(), closed
	case errors.Is(err, io.EOF) && strings.HasSuffix(err.Error(), "EOF"):
		return "EOF", closed
	default:
		return "", ""
	}
}
