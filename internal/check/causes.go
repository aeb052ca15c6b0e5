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

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// cause is a row of the table of causes: why a step failed, and what helps. In the
// texts ${--qlik.host} is a setting under the name of its flag; see failure.value
// for the other names.
type cause struct {
	step   string    // "" for any
	match  condition // nil for any error
	text   string
	remedy string // "" where the text says it
}

// Remedies that several causes share.
const (
	exportAgain  = "export the certificates again in the QMC, format PEM with the secrets key, and replace all three files"
	useOneExport = "copy client.pem, client_key.pem and root.pem of one export"
	renew        = "renew it in the QMC under Nodes, Redistribute, on the central node as Qlik describes"
	goDirectly   = "let the exporter reach the node directly, past proxies and load balancers"
	giveAddress  = "set ${--qlik.node-address} to ${host}=ADDRESS"
)

// Windows has numbers of its own, to which package syscall gives no portable name.
const (
	errWindowsReset   = syscall.Errno(10054)
	errWindowsRefused = syscall.Errno(10061)
)

// causes are tried in order. The first that matches explains the failure.
var causes = []cause{
	// The certificate files.
	{"client certificate", setting("CertDir"), "${error}", useOneExport},
	{
		"client certificate", as[x509.CertificateInvalidError],
		"the certificate ${validity}", "export the certificates again, or set the clock of this machine",
	},
	{
		"authority", as[x509.CertificateInvalidError],
		"the certificate of ${certificate} ${validity}", "recreate the site's certificates and export them, or set the clock of this machine",
	},
	{"", setting("CertDir"), "${--qlik.cert-dir}: ${error}", ""},
	{"", setting("KeyPassphraseFile"), "${--qlik.key-passphrase-file}: ${error}", ""},

	// From the name of a server to a connection.
	{
		"name", nameServerFails,
		"the name server does not answer for ${reached host}", "look at the DNS settings of this machine, or " + giveAddress,
	},
	{
		"name", namedBySetting,
		"no name server knows ${reached host}", "use the host name that the QMC shows under Nodes, add it to DNS, or " + giveAddress,
	},
	{
		"name", nil,
		"no name server knows ${reached host}, under which the node is registered", "add it to DNS, or " + giveAddress,
	},
	{
		"port", timedOut,
		"${reached} does not answer within ${timeout}",
		"open port ${reached port} from this machine in the firewalls between, and see that the node is up",
	},
	{
		"port", is(syscall.ECONNREFUSED, errWindowsRefused),
		"${reached} refuses the connection", "start the ${service} there, or open port ${reached port} in the node's firewall",
	},
	{
		"port", nil,
		"${reached} cannot be reached (${error})", "look at the network between, and at its route and firewalls",
	},

	// The certificate of a server is not accepted.
	{
		"server certificate", all(expired, startsLater),
		"the certificate of ${certificate} ${validity}", "set the clock of this machine, or that of the node",
	},
	{
		"server certificate", all(expired, isAuthority),
		"the certificate of ${certificate} ${validity}", "recreate the site's certificates and export them",
	},
	{"server certificate", expired, "the certificate of ${certificate} ${validity}", renew},
	{
		"server certificate", all(shown, not(issuedByName)),
		"the certificate of ${certificate} is from ${issuer}, but root.pem is of ${authorities}",
		"if a load balancer or another site answers here, name the node itself, else " + exportAgain,
	},
	{
		"server certificate", all(shown, not(issuedByKey)),
		"the certificate is from another ${issuer} than that in root.pem, since the site's certificates were recreated", exportAgain,
	},
	{
		"server certificate", all(shown, as[x509.HostnameError], nameless),
		"the certificate of ${certificate} has no DNS name, which TLS wants today",
		"recreate the site's certificates with a current release of Qlik",
	},
	{
		"server certificate", all(shown, as[x509.HostnameError], serverNameSet),
		"the certificate is for ${certificate names}, not for ${expected name}",
		"leave out ${--qlik.server-name}, or set it to ${certificate name}",
	},
	{
		"server certificate", all(shown, as[x509.HostnameError], redirected),
		"the certificate is for ${certificate names}, not for ${expected name}",
		"correct ${--qlik.node-address} (${host}=${reached host}), which leads there, or, if it is the right node, " +
			"set ${--qlik.server-name} to ${certificate name}",
	},
	{
		"server certificate", all(shown, as[x509.HostnameError], namedBySetting),
		"the certificate is for ${certificate names}, not for ${expected name}",
		"set ${setting} to ${certificate name and port}, and ${--qlik.node-address} to ${certificate name}=${host} if that name leads nowhere",
	},
	{
		"server certificate", all(shown, as[x509.HostnameError]),
		"the certificate is for ${certificate names}, not for ${expected name}",
		"if it is another machine, correct DNS or " + giveAddress + ", else set ${--qlik.server-name} to ${certificate name}",
	},
	{"server certificate", shown, "the certificate of ${certificate} is not accepted (${error})", renew},

	// No certificate is shown.
	{"server certificate", as[tls.RecordHeaderError], "does not speak TLS, so it is another program", "${use right port}"},
	{
		"server certificate", timedOut,
		"accepts the connection and gives no certificate within ${timeout}", "restart the ${service}, or look at what else listens there",
	},
	{
		"server certificate", is(io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, errWindowsReset, syscall.EPIPE),
		"closes the connection before it shows a certificate", "let no firewall inspect this port, and see that the node allows TLS 1.2",
	},
	{
		"server certificate", nil,
		"TLS fails (${error})", "see that the node allows TLS 1.2, and that this is the port of the ${service}",
	},

	// The request of a server that was reached, of any step.
	{"", clientRefused, "the client certificate is refused (${refusal})", exportAgain},
	{
		"", kind(qlik.KindTimeout),
		"accepts the connection and does not answer within ${timeout}",
		"look at the load of the node and restart the ${service}, or raise ${--qlik.timeout}",
	},
	{
		"", kind(qlik.KindDNS, qlik.KindRefused),
		"cannot be reached any more (${error})", "the ${service} was just stopped, or restarts; run the check again",
	},
	{
		"", kind(qlik.KindReset),
		"closes the connection instead of answering (${error})",
		"if the client certificate is of another site, or older than the site's certificates, " + exportAgain,
	},
	{"", kind(qlik.KindUnauthorized), "401, so something before Qlik wants a login", goDirectly},
	{
		"", kind(qlik.KindXSRF),
		"403, XSRF prevention check failed, so something rewrites the header X-Qlik-Xrfkey or the query", goDirectly,
	},
	{"", all(kind(qlik.KindForbidden), ofList), "403, so ${user} has no right to read this", "${give rights}"},
	{
		"", all(kind(qlik.KindForbidden), ofProxy, repositoryAnswers),
		"403, though the repository accepts the certificate, so ${user} has no right to list sessions here", "${give rights}",
	},
	{
		"", all(kind(qlik.KindForbidden), not(usualUser)),
		"403, so ${user} is not known, or the client certificate is not accepted",
		"leave out ${--qlik.user}, and if it stays so " + exportAgain,
	},
	{"", kind(qlik.KindForbidden), "403, so the client certificate is not accepted", exportAgain},
	{"", kind(qlik.KindRedirect), "${error}, as the browser's side of Qlik or a login page does", "${use right port}"},
	{
		"", all(kind(qlik.KindNotJSON), as[*pageError]),
		"answers with an HTML page, as the browser's side of Qlik or a login page does", "${use right port}",
	},
	{
		"", kind(qlik.KindNotJSON),
		"answers with something that is not JSON, so the service is starting or another program answers",
		"run the check again in a minute, and if it stays so ${use right port}",
	},
	{
		"", kind(qlik.KindDecode),
		"${error}, so the service is stopping or another program answers",
		"run the check again, and if it stays so restart the ${service}",
	},
	{"", kind(qlik.KindTooLarge), "${error}, which no site needs", "restart the ${service}"},
	{"", all(status(http.StatusNotFound), not(ofProxy)), "404, so this is not the repository's port", "${use right port}"},
	{
		"", all(status(http.StatusNotFound), namedBySetting, withoutRepository),
		"404, so this virtual proxy is not linked to the node, or this is not the proxy's port",
		"correct ${--qlik.virtual-proxy} or ${--qlik.proxy} (port 4243)",
	},
	{
		"", status(http.StatusNotFound),
		"404, though the QMC links this virtual proxy to the node", "restart the ${service} so that it takes up the link",
	},
	{"", as[*qlik.Error], "${error}, so the service itself is in trouble", "look at its log and restart the ${service}"},

	// Answers that are no use.
	{
		"rights", is(errNoService),
		"the repository shows ${user} no service at all, which it does to users without rights", "${give rights}",
	},
	{
		"topology", is(errNoLink),
		"the repository names no virtual proxy that is linked to a proxy and not left out by ${--qlik.proxy} and ${--qlik.virtual-proxy}",
		"link one in the QMC under Proxies, or correct these settings",
	},
	{"topology", is(errAllDisabled), "all proxies are disabled", "enable one in the QMC under Proxies"},

	{"audit log", nil, "${error}", "correct the pattern, or let the account of the exporter read the folder"},

	{"", nil, "${error}", ""}, // any other
}

// failure is an error of a step.
type failure struct {
	step   string
	err    error
	site   *site
	server *server // the one that was tried; nil if none was
}

func (s *site) explain(step string, err error) string {
	return (&failure{step: step, err: err, site: s, server: s.repository}).explain()
}

func (s *server) explain(step string, err error) string {
	return (&failure{step: step, err: err, site: s.site, server: s}).explain()
}

// explain returns the cause, a colon, and the remedy.
func (f *failure) explain() string {
	row := causes[f.cause()]
	text := f.listed() + os.Expand(row.text, f.value)
	if row.remedy == "" {
		return text
	}
	return text + ": " + os.Expand(row.remedy, f.value)
}

// cause returns the index of the first cause that matches. The last one always does.
func (f *failure) cause() int {
	return slices.IndexFunc(causes, func(row cause) bool {
		return (row.step == "" || row.step == f.step) && (row.match == nil || row.match(f))
	})
}

// listed returns which list a repository failed to give, with a colon.
func (f *failure) listed() string {
	if failed, ok := errors.AsType[*qlik.Error](f.err); ok && ofList(f) {
		if _, path, found := strings.Cut(failed.Target, "/qrs/"); found {
			return "/qrs/" + path + ": "
		}
	}
	return ""
}

// value returns what stands for a name in the text of a cause.
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
		return f.site.Qlik.Timeout.String()
	case "user":
		return f.site.Qlik.User.String()
	case "give rights":
		if usualUser(f) {
			return "see in the QMC that no security rule was taken from it"
		}
		return os.Expand("leave out ${--qlik.user}, or give ${user} the role RootAdmin or AuditAdmin in the QMC", f.value)

	// The server.
	case "setting": // that names it
		return f.site.Setting(f.server.flag)
	case "host":
		return f.server.host()
	case "reached":
		return f.site.client.Reached(f.server.address)
	case "reached host":
		return f.server.reachedHost()
	case "reached port":
		return portOf(f.site.client.Reached(f.server.address))
	case "service": // that should listen there
		if ofProxy(f) {
			return "Qlik Sense Proxy Service"
		}
		return "Qlik Sense Repository Service"
	case "usual port":
		if ofProxy(f) {
			return "4243"
		}
		return "4242"
	case "use right port":
		if !namedBySetting(f) {
			return "correct the REST API listen port of the proxy in the QMC, or what stands before it"
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

// bareError is the error without what the text of a cause says anyway.
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
	return strings.TrimSuffix(err.Error(), "; is this the right port?")
}

// certificate is the one that an error is about.
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
