package qliktest

// DataConnection is a data connection in the repository. Reloads use it to read data (docs/qlik.md, "Service accounts").
type DataConnection struct {
	Name string
	// Username is the account that the connection logs in as, such as LAB\goran.
	Username string
	// Password is in the repository's answer in clear text, as on some real sites. Clients must not keep it.
	Password string
}

func (s *Site) dataConnections() []*entity {
	all := []object{}
	for _, c := range s.config.DataConnections {
		id := stableID("data connection", c.Name)
		all = append(all, envelope(id, s.started, s.started).with(object{
			"name": c.Name, "connectionstring": "CUSTOM CONNECT TO \"provider=QvRestConnector.exe;url=https://localhost/qrs;\"",
			"type": "QvRestConnector.exe", "engineObjectId": id, "username": c.Username, "password": c.Password, "logOn": 0,
			"architecture": 0, "customProperties": []object{}, "tags": []object{}, "owner": nil, "schemaPath": "DataConnection",
		}))
	}
	return builtEntities(all, fields("name"))
}
