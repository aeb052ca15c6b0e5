package check_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
)

func TestAuditLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		simulated := twoNodes()
		simulated.AuditLogDir = t.TempDir()
		site, config := start(t, simulated)
		config.AuditLogs = map[string]string{"QLIK1": site.AuditLogPath("qlik1"), "qlik2": site.AuditLogPath("qlik2")}
		expect(t, run(t, config), config)

		empty := filepath.Join(t.TempDir(), "*.txt")
		config.AuditLogs = map[string]string{"qlik1": empty, "central": site.AuditLogPath("qlik1")}
		expect(t, run(t, config), config,
			"warn audit log central: "+site.AuditLogPath("qlik1")+" can be read, but the site has no repository on a node with this name: use the registered host name that the QMC shows under Nodes",
			"FAIL audit log qlik1: "+empty+" cannot be read (there is no such file): correct the pattern, or give the exporter's account read access to the folder",
			"warn audit log qlik2: no audit log is configured for this node, so its refused logins are not counted: set --qlik.audit-log to qlik2=GLOB")

		other := filepath.Join(config.Qlik.CertDir, "root.pem")
		config.AuditLogs = map[string]string{"qlik1": other, "qlik2": site.AuditLogPath("qlik2")}
		expect(t, run(t, config), config,
			"FAIL audit log qlik1: CERTS/root.pem cannot be read (its first line has no column Timestamp, UserDirectory, UserId, Message): correct the pattern, or give the exporter's account read access to the folder")
	})
}
