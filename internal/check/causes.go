package check

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// cause is a row of the table of causes: the cause of a failure and its remedy. In
// both texts ${--qlik.host} stands for the name of the setting with that flag;
// failure.value defines the other names.
type cause struct {
	step   string    // "" matches any step
	match  condition // nil matches any error
	text   string
	remedy string // "" if the text contains it
}

// Shared remedies.
const (
	exportAgain  = "export the certificates again in the QMC (format PEM, with the secrets key) and replace all three files"
	useOneExport = "copy client.pem, client_key.pem and root.pem from the same export"
	clockFirst   = "check the clock of this machine first; if it is right, "
	renew        = "renew it in a maintenance window, in the QMC under Nodes > Redistribute (for the central node, follow Qlik's instructions)"
	recreate     = "recreate the site's certificates in a maintenance window, following Qlik's instructions"
	goDirectly   = "connect the exporter directly to the node, without proxies or load balancers in between"
	giveAddress  = "set ${--qlik.node-address} to ${host}=ADDRESS"
	report       = "please report it at " + issues + " with this line and the release of Qlik Sense; " +
		"'Open questions' in docs/qlik.md shows how to add the response without ids and names"
	lookAtLinks = "look at the virtual proxy and its links in the QMC under Proxies and Virtual proxies"
	issues      = "https://github.com/qlik-exporter/qlik_exporter/issues"
)

// Winsock error numbers, for which package syscall has no portable names.
const (
	errWindowsReset   = syscall.Errno(10054)
	errWindowsRefused = syscall.Errno(10061)
)

// No remedy restarts a service: no failure is known that only a restart cures, and the
// restart of a proxy ends every session on its node. "${no restart}" says so where people
// would try it.

// causes are tried in order. The first match explains the failure.
var causes = []cause{
	// The certificate files.
	{
		"client certificate", as[x509.CertificateInvalidError],
		"the certificate ${validity}", "export the certificates again, or correct the clock of this machine",
	},
	{
		"authority", as[x509.CertificateInvalidError],
		"the certificate of ${certificate} ${validity}",
		"correct the clock of this machine, or " + exportAgain + "; only if the new root.pem has expired too, " + recreate,
	},
	{"", setting("CertDir"), "${--qlik.cert-dir}: ${error}", ""},
	{"", setting("KeyPassphraseFile"), "${--qlik.key-passphrase-file}: ${error}", ""},

	// Host name and connection.
	{
		"name", nameServerFails,
		"the DNS server does not respond to the query for ${reached host}", "check the DNS settings of this machine, or " + giveAddress,
	},
	{
		"name", namedBySetting,
		"${reached host} does not resolve", "use the host name that the QMC shows under Nodes, add the name to DNS, or " + giveAddress,
	},
	{
		"name", nil,
		"${reached host} does not resolve, although the node is registered under this name", "add the name to DNS, or " + giveAddress,
	},
	{
		"port", timedOut,
		"${reached} does not respond within ${timeout}",
		"open port ${reached port} from this machine in every firewall on the way, and make sure that the node is up",
	},
	{
		"port", is(syscall.ECONNREFUSED, errWindowsRefused),
		"${reached} refuses the connection", "start the ${service} on the node, or open port ${reached port} in the node's firewall",
	},
	{
		"port", nil,
		"${reached} is not reachable (${error})", "check the network between this machine and the node, including routes and firewalls",
	},

	// The server sends a certificate that fails verification.
	{
		"server certificate", all(expired, startsLater),
		"the certificate of ${certificate} ${validity}", "correct the clock of this machine or of the node",
	},
	{
		"server certificate", all(expired, isAuthority),
		"the certificate of ${certificate} ${validity}", clockFirst + recreate + ", and export them",
	},
	{"server certificate", expired, "the certificate of ${certificate} ${validity}", clockFirst + renew},
	{
		"server certificate", all(shown, not(issuedByName)),
		"the certificate of ${certificate} was issued by ${issuer}, but root.pem contains ${authorities}",
		"if a load balancer or another site responds here, use the host name of the node itself; otherwise " + exportAgain,
	},
	{
		"server certificate", all(shown, not(issuedByKey)),
		"the certificate was issued by a different ${issuer} than the one in root.pem, because the site's certificates were recreated", exportAgain,
	},
	{
		"server certificate", all(shown, as[x509.HostnameError], nameless),
		"the certificate of ${certificate} contains no DNS name, which TLS clients require today",
		recreate + " for a current release of Qlik Sense",
	},
	{
		"server certificate", all(shown, as[x509.HostnameError], serverNameSet),
		"the certificate is for ${certificate names}, not for ${expected name}",
		"remove ${--qlik.server-name}, or set it to ${certificate name}",
	},
	{
		"server certificate", all(shown, as[x509.HostnameError], redirected),
		"the certificate is for ${certificate names}, not for ${expected name}",
		"if this is the wrong node, correct ${--qlik.node-address} (${host}=${reached host}); if it is the right one, " +
			"set ${--qlik.server-name} to ${certificate name}",
	},
	{
		"server certificate", all(shown, as[x509.HostnameError], namedBySetting),
		"the certificate is for ${certificate names}, not for ${expected name}",
		"set ${setting} to ${certificate name and port}; if that name does not resolve to the node, also set ${--qlik.node-address} to ${certificate name}=${host}",
	},
	{
		"server certificate", all(shown, as[x509.HostnameError]),
		"the certificate is for ${certificate names}, not for ${expected name}",
		"if this is the wrong machine, correct DNS or " + giveAddress + "; if it is the right one, set ${--qlik.server-name} to ${certificate name}",
	},
	{
		"server certificate", shown,
		"the certificate of ${certificate} fails verification (${error})",
		"if a load balancer or a firewall responds here, " + goDirectly + "; otherwise " + report,
	},

	// The server sends no certificate.
	{"server certificate", as[tls.RecordHeaderError], "the server does not speak TLS, so another program uses this port", "${use right port}"},
	{
		"server certificate", timedOut,
		"the server accepts the connection but sends no certificate within ${timeout}",
		"find out on the node which program listens on this port; if it is the ${service}, check its log and the load of the node${no restart}",
	},
	{
		"server certificate", is(io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, errWindowsReset, syscall.EPIPE),
		"the server closes the connection before it sends a certificate", "turn off firewall inspection of this port, and make sure that the node allows TLS 1.2",
	},
	{
		"server certificate", nil,
		"the TLS handshake fails (${error})", "make sure that the node allows TLS 1.2 and that this is the port of the ${service}",
	},

	// Requests of any step to a reachable server.
	{"", clientRefused, "the server rejects the client certificate (${refusal})", exportAgain},
	{
		"", all(kind(qlik.KindTimeout), untested),
		"the server does not respond in time", "check the load of the node and the log of the ${service}, and the firewalls on the way${no restart}",
	},
	{
		"", kind(qlik.KindTimeout),
		"the server accepts the connection but does not respond within ${timeout}",
		"check the load of the node and the log of the ${service}, or raise ${--qlik.timeout}${no restart}",
	},
	{
		"", kind(qlik.KindDNS, qlik.KindRefused),
		"the server is no longer reachable (${error})", "the ${service} has just stopped or is restarting, so run the check again",
	},
	{
		"", kind(qlik.KindReset),
		"the server closes the connection instead of responding (${error})",
		"if the client certificate is from another site or older than the site's certificates, " + exportAgain,
	},
	{"", kind(qlik.KindUnauthorized), "the response is 401, so something in front of Qlik Sense requires a login", goDirectly},
	{
		"", kind(qlik.KindXSRF),
		"the response is 403 (XSRF prevention check failed), so something on the way changes the X-Qlik-Xrfkey header or the query string", goDirectly,
	},
	{"", all(kind(qlik.KindForbidden), ofList), "the response is 403, so ${user} is not allowed to read this", "${give rights}"},
	{
		"", all(kind(qlik.KindForbidden), ofProxy, repositoryAnswers),
		"the response is 403 although the repository accepts the certificate, so ${user} is not allowed to list sessions here",
		"${give rights}, and " + lookAtLinks,
	},
	{
		"", all(kind(qlik.KindForbidden), not(usualUser), not(untested)),
		"the response is 403, so ${user} is unknown or the client certificate is not accepted",
		"remove ${--qlik.user}; if the problem persists, " + exportAgain,
	},
	{
		"", all(kind(qlik.KindForbidden), untested),
		"the response is 403, so the client certificate or the user is not accepted", "",
	},
	{"", kind(qlik.KindForbidden), "the response is 403, so the client certificate is not accepted", exportAgain},
	{"", kind(qlik.KindRedirect), "the response is ${error}, which is typical of the browser port of Qlik Sense or of a login page", "${use right port}"},
	{
		"", all(kind(qlik.KindNotJSON), as[*pageError]),
		"the response is an HTML page, which is typical of the browser port of Qlik Sense or of a login page", "${use right port}",
	},
	{
		"", kind(qlik.KindNotJSON),
		"the response is not JSON, so the service is starting or another program responds",
		"run the check again in a minute; if the problem persists, ${use right port}",
	},
	{"", is(qlik.ErrOtherShape), "${error}, so the server answers differently than known releases", report},
	{
		"", kind(qlik.KindDecode),
		"${error}, so the service is stopping or something on the way cuts the response off",
		"run the check again; if the problem persists, " + goDirectly + ", and check the log of the ${service}",
	},
	{"", kind(qlik.KindTooLarge), "${error}, so the server answers differently than known releases", report},
	{"", all(status(http.StatusNotFound), ofList), "the response is 404, so this release of Qlik Sense does not have this list", report},
	{"", all(status(http.StatusNotFound), not(ofProxy)), "the response is 404, so this is not the port of the ${service}", "${use right port}"},
	{
		"", all(refusedRequest, ofProxy, namedBySetting, withoutRepository),
		"the response is ${error}, so ${meaning}",
		lookAtLinks + ", and correct ${--qlik.virtual-proxy} or ${--qlik.proxy} (port 4243)",
	},
	{"", all(refusedRequest, untested), "the response is ${error}, so ${meaning}", lookAtLinks + "${no restart}"},
	{
		"", all(refusedRequest, ofProxy),
		"the response is ${error} although the repository links this virtual proxy to the node, so ${meaning}", lookAtLinks + "${no restart}",
	},
	{
		"", serverError,
		"the response is ${error}, so the service or something in front of it has a problem",
		"check the log of the ${service} on the node, and run the check again in a few minutes${no restart}",
	},
	{"", kind(qlik.KindStatus), "the response is ${error}, so the server answers differently than known releases", report},

	// Responses without usable content.
	{
		"rights", is(errNoService),
		"the repository lists no services for ${user}, which happens when the user has no rights", "${give rights}",
	},
	{
		"topology", is(errNoLink),
		"the repository has no virtual proxy that is linked to a proxy and not excluded by ${--qlik.proxy} and ${--qlik.virtual-proxy}",
		"link one in the QMC under Proxies, or correct these settings",
	},
	{"topology", is(errAllDisabled), "all proxies are disabled", "enable one in the QMC under Proxies"},

	{
		"link", is(qlik.ErrUnread),
		"${error}, so its sessions are unknown", "look at the warning about the topology, and at the virtual proxies of the node in the QMC under Proxies",
	},
	{"license", nil, "the repository says about the license of the site that ${error}", "enter a valid license in the QMC under License management"},

	{"audit log", nil, "${error}", "correct the pattern, or give the exporter's account read access to the folder"},

	{"", nil, "${error}", ""}, // any other
}

// failure is an error of a step.
type failure struct {
	step   string
	err    error
	site   *site
	server *server // nil if the step concerns no server
}

func (s *site) explain(step string, err error) string {
	return (&failure{step: step, err: err, site: s, server: s.repository}).explain()
}

func (s *server) explain(step string, err error) string {
	return (&failure{step: step, err: err, site: s.site, server: s}).explain()
}

// explain returns the cause, a colon, and the remedy.
func (f *failure) explain() string {
	cause, remedy := f.causeAndRemedy()
	if remedy == "" {
		return cause
	}
	return cause + ": " + remedy
}

func (f *failure) causeAndRemedy() (cause, remedy string) {
	row := causes[f.cause()]
	return f.listed() + os.Expand(row.text, f.value), os.Expand(row.remedy, f.value)
}

// cause returns the index of the first cause that matches. The last cause always
// matches.
func (f *failure) cause() int {
	return slices.IndexFunc(causes, func(row cause) bool {
		return (row.step == "" || row.step == f.step) && (row.match == nil || row.match(f))
	})
}

// listed returns the path of the repository list that failed, followed by a colon.
// It returns "" for other failures.
func (f *failure) listed() string {
	if failed, ok := errors.AsType[*qlik.Error](f.err); ok && ofList(f) {
		if _, path, found := strings.Cut(failed.Target, "/qrs/"); found {
			return "/qrs/" + path + ": "
		}
	}
	return ""
}

// value returns the value of a name in the text of a cause.
func (f *failure) value(name string) string {
	if flag, ok := strings.CutPrefix(name, "--"); ok {
		return f.site.Setting(flag)
	}
	switch name {
	case "error":
		return f.bareError()
	case "refusal":
		return cmp.Or(refusalReason(f.err), f.bareError())
	case "timeout":
		if untested(f) {
			return "the timeout"
		}
		return f.site.Qlik.Timeout.String()
	case "user":
		return f.site.Qlik.User.String()
	case "give rights":
		if usualUser(f) {
			return "check in the QMC that no security rule of this account was removed"
		}
		return os.Expand("remove ${--qlik.user}, or give ${user} the role RootAdmin or AuditAdmin in the QMC", f.value)

	// The server.
	case "setting": // the one that names the server
		return f.site.Setting(f.server.flag)
	case "host":
		return f.server.host()
	case "reached":
		return f.reached()
	case "reached host":
		return qlik.HostOf(f.reached())
	case "reached port":
		return portOf(f.reached())
	case "service": // the one that should listen on the port
		switch {
		case ofProxy(f):
			return "Qlik Sense Proxy Service"
		case ofEngine(f):
			return "Qlik Sense Engine Service"
		default:
			return "Qlik Sense Repository Service"
		}
	case "meaning":
		return f.meaning()
	case "no restart":
		return f.noRestart()
	case "usual port":
		if ofProxy(f) {
			return "4243"
		}
		return "4242"
	case "use right port":
		if ofEngine(f) {
			return os.Expand("set ${--qlik.engine-port} to the port on which the ${service} listens, 4747 by default", f.value)
		}
		if !namedBySetting(f) {
			return "compare the REST API listen port of the proxy in the QMC with the port on which the proxy listens, and look for a reverse proxy or load balancer in front of it"
		}
		return os.Expand("set ${setting} to ${host}:${usual port}, the port of the ${service} itself", f.value)

	// The certificate.
	case "certificate":
		return commonName(f.certificate())
	case "certificate names":
		return names(f.certificate())
	case "certificate name":
		return firstName(f.certificate())
	case "certificate name and port":
		return net.JoinHostPort(firstName(f.certificate()), portOf(f.server.address))
	case "expected name":
		return f.server.expectedName()
	case "issuer":
		return issuer(f.certificate())
	case "authorities":
		return subjects(f.site.credentials.Roots)
	case "validity":
		return f.site.validity(f.certificate())
	}
	return fmt.Sprintf("${%s}", name)
}

// meanings of statuses with which something refuses a request.
var meanings = map[int]string{
	http.StatusBadRequest:            "the proxy does not accept the request, for example because it does not know the prefix",
	http.StatusNotFound:              "the proxy does not know this virtual proxy, or this is not the proxy's port",
	http.StatusMethodNotAllowed:      "something other than the proxy's API responds",
	http.StatusProxyAuthRequired:     "a proxy server on the way requires a login",
	http.StatusRequestTimeout:        "the server did not receive the request in time",
	http.StatusGone:                  "the proxy does not have this virtual proxy anymore",
	http.StatusRequestEntityTooLarge: "something on the way finds the request too large",
	http.StatusTooManyRequests:       "something on the way limits the number of requests",
}

// meaning returns what the status of a response means.
func (f *failure) meaning() string {
	failed, _ := errors.AsType[*qlik.Error](f.err)
	return cmp.Or(meanings[failed.Status], "the proxy refuses the request")
}

// noRestart returns what the restart of a proxy or an engine would do now. It returns ""
// for a repository.
func (f *failure) noRestart() string {
	if ofEngine(f) {
		return "; a restart would interrupt everybody who has an app open on the node and is not known to help"
	}
	if !ofProxy(f) {
		return ""
	}
	sessions, users := f.server.onNode()
	if sessions == 0 {
		return "; a restart would end every session on the node and is not known to help"
	}
	return fmt.Sprintf("; a restart would end the %s of %s on the node and is not known to help", text.Count(sessions, "session"), text.Count(users, "user"))
}

// reached returns the address that the client connected to. Without a client, the error may
// tell it.
func (f *failure) reached() string {
	reached := f.server.reached()
	op, isOp := errors.AsType[*net.OpError](f.err)
	dns, isDNS := errors.AsType[*net.DNSError](f.err)
	switch {
	case !untested(f):
	case isOp && op.Op == "dial" && op.Addr != nil:
		return op.Addr.String()
	case isDNS:
		return net.JoinHostPort(dns.Name, portOf(reached))
	}
	return reached
}

// bareError returns the error without the context that the text of a cause already
// contains.
func (f *failure) bareError() string {
	var setting *qlik.ConfigError
	var request *qlik.Error
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	err := f.err
	switch {
	case errors.As(err, &setting):
		err = setting.Err
	case errors.As(err, &request):
		err = request.Err
	case errors.As(err, &certificate):
		err = certificate.Err
	case errors.As(err, &op) && op.Op == "dial":
		err = op.Err
	}
	return strings.TrimSuffix(text.Error(err), "; is this the right port?")
}

// certificate returns the certificate that the error is about.
func (f *failure) certificate() *x509.Certificate {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](f.err); ok && invalid.Reason == x509.Expired && invalid.Cert != nil {
		return invalid.Cert
	}
	refused, ok := errors.AsType[*tls.CertificateVerificationError](f.err)
	if !ok || len(refused.UnverifiedCertificates) == 0 {
		return nil
	}
	return refused.UnverifiedCertificates[0]
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

func firstName(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return commonName(c)
}
