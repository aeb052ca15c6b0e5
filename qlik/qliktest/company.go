package qliktest

import (
	"fmt"
	"strings"
	"time"
)

// Accounts of a Company that do not belong to a person.
const (
	// CompanyDirectory is the user directory of the company.
	CompanyDirectory = "ACME"
	// CompanyServiceAccount is the account that reloads the monitoring apps, as their data connections say. It holds a license although it
	// should not: each reload is a separate session (docs/qlik.md, "Service accounts").
	CompanyServiceAccount = "svc_qlik_reload"
	// CompanyServiceUser is the account that the services run as, as their trace logs say. It is not a user of the site and holds no
	// license.
	CompanyServiceUser = "svc_qlik"
	// CompanyAdmin is a root administrator without a license, as Qlik recommends (docs/qlik.md, "What counts").
	CompanyAdmin = "adm.kessler"
)

var givenNames = strings.Fields(`Anna Ben Clara David Elena Felix Greta Hannah Ivan Julia Karim Lena Marco Nina Oskar Paula
	Quentin Rosa Samir Tara Uwe Vera Walter Xenia Yusuf Zoe Astrid Bjarne Chiara Dmitri Esra Finn Goran Helga Ida Jonas Katja
	Luca Maja Noah`)

var familyNames = strings.Fields(`Albers Bauer Castro Dietrich Eriksen Fischer Garcia Huber Ivanova Jansen Keller Lehmann Moreau
	Novak Olsen Peters Quist Rossi Schmidt Tanaka Ulrich Vogel Wagner Xu Yilmaz Zimmermann Andersson Brandt Costa Dubois Engel
	Franke Graf Hoffmann Iversen Jung Klein Lindgren Meyer Nguyen Ortiz Pohl Reuter Sanders Thoma Urban Vega Winkler Young
	Zeller Arnold Berg Conrad Demir Ebert Farkas Gruber`)

// Company returns the site of a company: three nodes, eight virtual proxies of the usual kinds, the given number of people, a service
// account with the data connections of the monitoring apps, and an administrator. Most people hold analyzer access, one in eight professional access, and one in fifty no license.
func Company(users int) Config {
	config := Config{
		Nodes: []Node{{Name: "qlik-central", Central: true}, {Name: "qlik-node2"}, {Name: "qlik-node3"}},
		VirtualProxies: []VirtualProxy{
			{Prefix: ""},
			{Prefix: "sales", Description: "Sales hub", AuthenticationMethod: 3, Nodes: []string{"qlik-node2", "qlik-node3"}},
			{Prefix: "finance", Description: "Finance hub", AuthenticationMethod: 3, Nodes: []string{"qlik-node2", "qlik-node3"}},
			{Prefix: "hr/reports", Description: "HR reports", AuthenticationMethod: 0, Nodes: []string{"qlik-node3"}},
			{Prefix: "mobile", Description: "Mobile access", AuthenticationMethod: 5, Nodes: []string{"qlik-node2", "qlik-node3"}},
			{Prefix: "portal", Description: "Intranet portal (embedded)", AuthenticationMethod: 4, Nodes: []string{"qlik-node2", "qlik-node3"}},
			{Prefix: "api", Description: "Header authentication for scripts", AuthenticationMethod: 2, Nodes: []string{"qlik-central"}},
			{Prefix: "public", Description: "Public figures", AnonymousAccess: 2, InactivityTimeout: 10 * time.Minute, Nodes: []string{"qlik-node3"}},
		},
	}
	config.ServiceUser = CompanyDirectory + `\` + CompanyServiceUser
	for name := range strings.FieldsSeq("app appobject event license_access license_analyzer license_overview task user_condensed") {
		config.DataConnections = append(config.DataConnections, DataConnection{
			Name: "monitor_apps_REST_" + name, Username: CompanyDirectory + `\` + CompanyServiceAccount, Password: "simulated password",
		})
	}
	for _, app := range []string{"License Monitor", "Operations Monitor"} {
		config.ReloadTasks = append(config.ReloadTasks, ReloadTask{Name: "Reload " + app, App: app, Stream: "Monitoring apps", Every: time.Hour})
	}
	config.ReloadTasks = append(config.ReloadTasks, ReloadTask{Name: "Reload Sales", App: "Sales", Stream: "Everyone", Every: 24 * time.Hour})
	config.DataConnections = append(config.DataConnections,
		DataConnection{Name: "Data warehouse", Username: "qlik_reader", Password: "simulated password"},
		DataConnection{Name: "Budget files"},
	)
	taken := map[string]bool{}
	for i := range users {
		given := givenNames[i%len(givenNames)]
		family := familyNames[(i*7+i/len(givenNames))%len(familyNames)]
		id := strings.ToLower(given + "." + family)
		if taken[id] {
			id = fmt.Sprintf("%s%d", id, i)
		}
		taken[id] = true
		user := User{Directory: CompanyDirectory, ID: id, Name: given + " " + family, License: Analyzer, HeldFor: 400 * 24 * time.Hour}
		switch {
		case i%50 == 49:
			user.License = Unlicensed
		case i%8 == 0:
			user.License = Professional
		}
		if i%25 == 24 {
			user.Directory = "PARTNER"
		}
		// Last uses are spread over half a year. Most are recent, and some licenses were never used.
		if i%20 != 7 {
			days := i * 37 % 180
			user.UnusedFor = time.Duration(1+days*days/180) * 24 * time.Hour
		}
		config.Users = append(config.Users, user)
	}
	config.Users = append(config.Users,
		User{Directory: CompanyDirectory, ID: CompanyServiceAccount, Name: "Monitoring reload", License: Professional, HeldFor: 400 * 24 * time.Hour, UnusedFor: time.Hour},
		User{Directory: CompanyDirectory, ID: CompanyAdmin, Name: "Kim Kessler (administration)", Admin: true},
	)
	return config
}
