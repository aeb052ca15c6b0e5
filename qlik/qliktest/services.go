package qliktest

// engineServices returns the engines as the repository knows them, with the ports that they listen on.
func (s *Site) engineServices() []*entity {
	return s.ofNodes("engine", "EngineService", func(n *node) object {
		return object{
			"listenerPorts": []int{n.enginePort}, "overlayDocuments": false, "autosaveInterval": 30, "documentTimeout": 28800,
			"documentDirectory": `C:\ProgramData\Qlik\Sense\Apps`, "allowDataLineage": true, "standardReload": true,
			"workingSetSizeLoPct": 70, "workingSetSizeHiPct": 90, "workingSetSizeMode": 0, "cpuThrottlePercentage": 0,
			"schemaPath": "EngineService.Settings",
		}
	})
}

func (s *Site) schedulerServices() []*entity {
	return s.ofNodes("scheduler", "SchedulerService", func(n *node) object {
		return object{
			"schedulerServiceType": schedulerType(n), "maxConcurrentEngines": 4, "engineTimeout": 30,
			"schemaPath": "SchedulerService.Settings",
		}
	})
}

// schedulerType returns the role of a node's scheduler: 0 manager, 1 worker.
func schedulerType(n *node) int {
	if n.Central {
		return 0
	}
	return 1
}

// ofNodes returns a service of every node with its settings.
func (s *Site) ofNodes(kind, schema string, settings func(*node) object) []*entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []object{}
	for _, n := range s.nodes {
		all = append(all, envelope(stableID(kind, n.Name), s.started, s.started).with(object{
			"customProperties": []object{}, "tags": []object{}, "serverNodeConfiguration": n.condensed(),
			"settings":   envelope(stableID(kind+" settings", n.Name), s.started, s.started).with(settings(n)),
			"schemaPath": schema,
		}))
	}
	return builtEntities(all, onlyID)
}

// engineHealths returns the health checks of the engines that the repository has stored. Its numbers are those of the engines.
func (s *Site) engineHealths() []*entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []object{}
	for _, n := range s.nodes {
		health := s.engineHealth(n)
		part := func(name string) object {
			part, _ := health[name].(object)
			return part
		}
		memory, sessions, apps, users, cache := part("mem"), part("session"), part("apps"), part("users"), part("cache")
		all = append(all, envelope(stableID("engine health", n.Name), s.started, s.now()).with(object{
			"name": n.Name, "version": health["version"], "started": date(n.engine.started),
			"commited_mem":  memory["committed"], //nolint:misspell // Qlik's spelling
			"allocated_mem": memory["allocated"], "free_mem": memory["free"], "totalPhysical": memory["totalPhysical"],
			"total_cpu": part("cpu")["total"], "active_sessions": sessions["active"], "total_sessions": sessions["total"],
			"active_docs": apps["active_docs"], "loaded_docs": apps["loaded_docs"], "in_memory_docs": apps["in_memory_docs"],
			"calls": apps["calls"], "selections": apps["selections"], "active_users": users["active"], "total_users": users["total"],
			"hits_cache": cache["hits"], "lookups_cache": cache["lookups"], "added_cache": cache["added"],
			"replaced_cache": cache["replaced"], "bytes_added": cache["bytes_added"], "saturated": health["saturated"],
			"responded_to_latest": true, "schemaPath": "EngineHealth",
		}))
	}
	return builtEntities(all, onlyID)
}

// userDirectories returns the directories of the users.
func (s *Site) userDirectories() []*entity {
	all := []object{}
	seen := map[string]bool{}
	for _, u := range s.users() {
		id := stableID("user directory", u.Directory)
		if seen[id] {
			continue
		}
		seen[id] = true
		all = append(all, envelope(id, s.started, s.started).with(object{
			"name": u.Directory, "userDirectoryName": u.Directory, "type": "Repository.UserDirectoryConnectors.LDAP.GenericLDAP",
			"configured": true, "operational": true, "syncOnlyLoggedInUsers": true, "syncStatus": 0, "tags": []object{},
			"settings": []object{}, "schemaPath": "UserDirectory",
		}))
	}
	return builtEntities(all, fields("name", "type"))
}

// tags returns the tags of the nodes. The site has no others.
func (s *Site) tags() []*entity {
	all := []object{}
	seen := map[any]bool{}
	for _, n := range s.nodes {
		tag := n.tag()
		if seen[tag["id"]] {
			continue
		}
		seen[tag["id"]] = true
		id, _ := tag["id"].(string)
		all = append(all, envelope(id, s.started, s.started).with(tag).with(object{"schemaPath": "Tag"}))
	}
	return builtEntities(all, fields("name"))
}
