// Package qlik is a client for a Qlik Sense Enterprise on Windows site: the wire,
// and nothing else. It asks proxies who has sessions, and repositories which
// virtual proxies, licenses and users the site has.
//
// What it relies on of Qlik's interfaces, from which source and how sure, is
// written in docs/qlik.md.
package qlik
