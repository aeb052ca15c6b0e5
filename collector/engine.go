package collector

import (
	"errors"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

var (
	engineUpDesc = gaugeDesc("qlik_engine_up",
		"1 if the node's engine answered the health check in this scrape, 0 if not. While it is 0, all other metrics of the engine are absent, except the duration.",
		"qlik_node")
	engineScrapeDurationDesc = gaugeDesc("qlik_engine_scrape_duration_seconds",
		"Time until the node's engine answered the health check or the wait for it ended.",
		"qlik_node")
	engineInfoDesc = gaugeDesc("qlik_engine_info",
		"Always 1. Version of the engine.",
		"qlik_node", "engine_version")
	engineStartDesc = gaugeDesc("qlik_engine_start_timestamp_seconds",
		"Unix time at which the engine started.",
		"qlik_node")
	engineSaturatedDesc = gaugeDesc("qlik_engine_saturated",
		"1 if the engine reports that it uses much of its resources, 0 if not.",
		"qlik_node")
)

// engineNumbers are the metrics of an engine that are one number of its health check.
var engineNumbers = []struct {
	desc *desc
	of   func(h *qlik.EngineHealth) *float64
}{
	{engineGauge("qlik_engine_sessions", "Engine sessions. They are not the proxy sessions to which the session limit applies."), func(h *qlik.EngineHealth) *float64 { return h.Sessions }},
	{engineGauge("qlik_engine_sessions_active", "Engine sessions in which somebody is working, for example by making selections."), func(h *qlik.EngineHealth) *float64 { return h.ActiveSessions }},
	{engineGauge("qlik_engine_users", "Distinct users of the engine sessions."), func(h *qlik.EngineHealth) *float64 { return h.Users }},
	{engineGauge("qlik_engine_users_active", "Distinct users who are working in an engine session."), func(h *qlik.EngineHealth) *float64 { return h.ActiveUsers }},
	{engineGauge("qlik_engine_apps_active", "Apps in which somebody is working."), func(h *qlik.EngineHealth) *float64 { return h.ActiveApps }},
	{engineGauge("qlik_engine_apps_loaded", "Apps in memory that somebody has open."), func(h *qlik.EngineHealth) *float64 { return h.LoadedApps }},
	{engineGauge("qlik_engine_apps_in_memory", "Apps in memory, with those that nobody has open."), func(h *qlik.EngineHealth) *float64 { return h.AppsInMemory }},
	{engineCounter("qlik_engine_calls_total", "Requests to the engine since it started."), func(h *qlik.EngineHealth) *float64 { return h.Calls }},
	{engineCounter("qlik_engine_selections_total", "Selections in the engine since it started."), func(h *qlik.EngineHealth) *float64 { return h.Selections }},
	{engineGauge("qlik_engine_cpu_ratio", "Part of the node's processors that the engine used in the last 30 seconds, from 0 to 1."), func(h *qlik.EngineHealth) *float64 { return h.CPU }},
	{engineGauge("qlik_engine_memory_committed_bytes", "Committed memory of the engine."), func(h *qlik.EngineHealth) *float64 { return h.MemoryCommitted }},
	{engineGauge("qlik_engine_memory_allocated_bytes", "Memory of the engine, both committed and reserved."), func(h *qlik.EngineHealth) *float64 { return h.MemoryAllocated }},
	{engineGauge("qlik_engine_memory_free_bytes", "Free memory of the node, physical or virtual, whichever is less."), func(h *qlik.EngineHealth) *float64 { return h.MemoryFree }},
	{engineGauge("qlik_engine_memory_physical_bytes", "Physical memory of the node. Absent on old releases of Qlik Sense."), func(h *qlik.EngineHealth) *float64 { return h.MemoryPhysical }},
	{engineCounter("qlik_engine_cache_hits_total", "Results that the engine found in its cache since it started."), func(h *qlik.EngineHealth) *float64 { return h.CacheHits }},
	{engineCounter("qlik_engine_cache_lookups_total", "Results that the engine looked up in its cache since it started."), func(h *qlik.EngineHealth) *float64 { return h.CacheLookups }},
	{engineCounter("qlik_engine_cache_added_total", "Results that were added to the engine's cache since it started."), func(h *qlik.EngineHealth) *float64 { return h.CacheAdded }},
	{engineCounter("qlik_engine_cache_replaced_total", "Results that were replaced in the engine's cache since it started."), func(h *qlik.EngineHealth) *float64 { return h.CacheReplaced }},
	{engineCounter("qlik_engine_cache_added_bytes_total", "Size of the results that were added to the engine's cache since it started."), func(h *qlik.EngineHealth) *float64 { return h.CacheAddedBytes }},
}

func engineGauge(name, help string) *desc { return gaugeDesc(name, help, "qlik_node") }

func engineCounter(name, help string) *desc { return counterDesc(name, help, "qlik_node") }

type engineCollector struct{}

func newEngineCollector(Config, *userSelection) Collector { return engineCollector{} }

var errNoEngines = errors.New("the repository has not yet said which nodes have an engine")

// Update implements Collector.
func (engineCollector) Update(v *view, w *writer) error {
	if len(v.snapshot.Engines) == 0 && len(v.snapshot.Services) == 0 {
		return errNoEngines
	}
	for i := range v.snapshot.Engines {
		e := &v.snapshot.Engines[i]
		w.write(engineUpDesc, boolean(e.Health != nil), e.Node)
		w.write(engineScrapeDurationDesc, e.Duration.Seconds(), e.Node)
		if e.Health == nil {
			continue
		}
		if e.Health.Version != "" {
			w.write(engineInfoDesc, 1, e.Node, e.Health.Version)
		}
		if !e.Health.Started.IsZero() {
			w.write(engineStartDesc, seconds(e.Health.Started), e.Node)
		}
		if e.Health.Saturated != nil {
			w.write(engineSaturatedDesc, boolean(*e.Health.Saturated), e.Node)
		}
		for _, number := range engineNumbers {
			if value := number.of(e.Health); value != nil {
				w.write(number.desc, *value, e.Node)
			}
		}
	}
	return nil
}
