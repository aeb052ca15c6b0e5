package cli

import (
	"context"
	"errors"
	"net/netip"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
)

// Demo adds the command demo, which runs a simulated site on an IP address, or on one of
// its own if the address is "".
func Demo(app *kingpin.Application, run func(ctx context.Context, streams Streams, address string) error) Commands {
	var address string
	command := app.Command("demo", "Start a simulated Qlik Sense site, and serve its metrics.")
	config.Text(command.Flag("demo.listen", "IP address for the central node of the simulated site, with the ports 4242, 4243 and 4747. By default, a free address of the loopback interface.").PlaceHolder("ADDRESS"),
		&address, checkAddress)
	return Commands{"demo": func(ctx context.Context, streams Streams) error { return run(ctx, streams, address) }}
}

func checkAddress(text string) error {
	if _, err := netip.ParseAddr(text); err != nil {
		return errors.New("must be an IP address such as 127.0.0.1")
	}
	return nil
}
