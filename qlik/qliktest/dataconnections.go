package qliktest

// DataConnection is a data connection in the repository. Reloads use it to read data (docs/qlik.md, "Service accounts").
type DataConnection struct {
	Name string
	// Username is the account that the connection logs in as, such as LAB\goran.
	Username string
	// Password is in the repository's answer in clear text, as on some real sites. Clients must not keep it.
	Password string
}

func (s *Site) dataConnectionObjects(matches func(object) bool, full bool) []object {
	all := []object{}
	for _, c := range s.config.DataConnections {
		id := stableID("data connection", c.Name)
		condensed := object{
			"id": id, "name": c.Name, "connectionstring": "CUSTOM CONNECT TO \"provider=QvRestConnector.exe;url=https://localhost/qrs;\"",
			"type": "QvRestConnector.exe", "engineObjectId": id, "username": c.Username, "password": c.Password, "logOn": 0,
			"architecture": 0, "privileges": nil,
		}
		if !matches(condensed) {
			continue
		}
		if !full {
			all = append(all, object{"id": id, "name": c.Name, "privileges": nil})
			continue
		}
		all = append(all, envelope(id, s.started, s.started).with(condensed).with(object{
			"customProperties": []object{}, "tags": []object{}, "owner": nil, "schemaPath": "DataConnection",
		}))
	}
	return all
}
