package serve

import (
	"context"
	"errors"
	"sync"

	"github.com/qlik-exporter/qlik_exporter/internal/cli"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/demo"
)

// Demo serves a simulated site and its metrics until ctx ends. The site listens on an IP
// address, or on one of its own if the address is "".
func (e *Exporter) Demo(ctx context.Context, streams cli.Streams, address string) (err error) {
	if e.Flags.ConfigFile != "" {
		return &config.Error{Flag: "config.file", Err: errors.New("cannot be combined with demo, which starts a site of its own")}
	}
	d, err := demo.Start(address) //nolint:contextcheck // Close stops it, after the exporter
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	simulated := func() (*config.Configuration, error) { return e.Flags.Only(d.Site(e.Flags.Site())) }
	if _, err := simulated(); err != nil {
		return err
	}
	program := cli.Program()
	if e.Flags.Command == config.DefaultCommand {
		e.Flags.Command = program + " @" + d.FlagsFile()
	}
	if err := d.Introduce(streams.Out, program, (*e.Flags.Web.WebListenAddresses)[0], e.Flags.TelemetryPath); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	var people sync.WaitGroup
	people.Go(func() { d.Run(ctx) })
	defer people.Wait()
	defer cancel()
	return e.serveSites(ctx, simulated, streams.Err)
}
