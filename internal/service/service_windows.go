package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

const (
	// stopTimeout is longer than the exporter takes to stop.
	stopTimeout = 10 * time.Second
	// settleTime is the time that the service must run to count as started. With wrong
	// flags, it ends immediately.
	settleTime = 2 * time.Second
)

// Run runs the program and returns its exit code. If the program runs as a service,
// stopping the service cancels ctx, and output goes to the event log.
func Run(ctx context.Context, run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) int {
	isService, err := svc.IsWindowsService()
	isService = isService && err == nil
	if !isService && !ofInstaller(os.Args[1:]) {
		return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	events, err := eventlog.Open(Name)
	if err != nil {
		return 1 // there is no log for the error
	}
	defer func() { _ = events.Close() }()
	out := &output{report: func(level, text string) error { return report(events, level, text) }}
	if !isService {
		code := run(ctx, os.Args[1:], out, out)
		if code == 0 {
			out.end("info")
		} else {
			out.end("error")
		}
		return code
	}
	defer out.end("error")
	program := program{ctx, run, out}
	if err := svc.Run(Name, program); err != nil {
		_, _ = fmt.Fprintf(out, "qlik_exporter: error: service: %s\n", err)
		return 1
	}
	return 0
}

// program is the handler that the service control manager starts and stops.
type program struct {
	ctx context.Context
	run func(ctx context.Context, args []string, stdout, stderr io.Writer) int
	log io.Writer
}

// Execute runs the program until it ends or the service is stopped. It ignores the
// arguments of this start, because the flags are on the command line of the service.
func (p program) Execute(_ []string, requests <-chan svc.ChangeRequest, states chan<- svc.Status) (isOwnCode bool, code uint32) {
	ctx, stop := context.WithCancel(p.ctx)
	defer stop()
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx, os.Args[1:], p.log, p.log) }()
	states <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	for {
		select {
		case code := <-ended:
			if ctx.Err() != nil {
				return false, 0 // an error would make Windows restart the service
			}
			return true, uint32(max(code, 1)) //nolint:gosec // 1 or 2
		case request := <-requests:
			if request.Cmd == svc.Interrogate {
				states <- request.CurrentStatus
				continue
			}
			stop() // only requests to stop are accepted
			states <- svc.Status{State: svc.StopPending, WaitHint: uint32(stopTimeout / time.Millisecond)}
		}
	}
}

// report writes an event.
func report(events *eventlog.Log, level, text string) error {
	const id = 1 // EventCreate.exe provides the message texts and supports ids from 1 to 1000
	switch level {
	case "warn":
		return events.Warning(id, text)
	case "error":
		return events.Error(id, text)
	default:
		return events.Info(id, text)
	}
}

// Supported returns nil: this system has Windows services.
func Supported() error { return nil }

// Install registers the running program as a service with these arguments. Windows
// starts the service at boot and restarts it when it fails.
func Install(account string, arguments []string) error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("service install: %w", err)
	}
	manager, err := mgr.Connect()
	if err != nil {
		return explain("install", err)
	}
	defer func() { _ = manager.Disconnect() }()
	service, err := manager.CreateService(Name, executable, mgr.Config{
		DisplayName:      DisplayName,
		Description:      Description,
		StartType:        mgr.StartAutomatic,
		ErrorControl:     mgr.ErrorNormal,
		DelayedAutoStart: true,
		ServiceStartName: account,
	}, arguments...)
	if err != nil {
		return explain("install", err)
	}
	defer func() { _ = service.Close() }()
	if err := configure(service); err != nil {
		return errors.Join(explain("install", err), service.Delete())
	}
	return nil
}

// configure sets the recovery actions of the service and registers its source in the
// event log.
func configure(service *mgr.Service) error {
	err := service.SetRecoveryActions([]mgr.RecoveryAction{
		{Type: mgr.ServiceRestart, Delay: 5 * time.Second},
		{Type: mgr.ServiceRestart, Delay: 30 * time.Second},
		{Type: mgr.ServiceRestart, Delay: time.Minute}, // for every later failure
	}, uint32((24 * time.Hour).Seconds()))
	if err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	if err := service.SetRecoveryActionsOnNonCrashFailures(true); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	_ = eventlog.Remove(Name) // left over from an incomplete installation
	if err := eventlog.InstallAsEventCreate(Name, eventlog.Info|eventlog.Warning|eventlog.Error); err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	return nil
}

// Start starts the service and checks that it keeps running.
func Start(ctx context.Context) error {
	return control("start", func(service *mgr.Service) error {
		if err := service.Start(); err != nil {
			return err
		}
		switch err := awaitEnd(ctx, service, settleTime); {
		case err == nil:
			return errors.New("the service ended right after it started; the Application event log shows the cause")
		case errors.Is(err, context.DeadlineExceeded):
			return nil
		default:
			return err
		}
	})
}

// Stop stops the service and waits until it has ended.
func Stop(ctx context.Context) error {
	return control("stop", func(service *mgr.Service) error { return stop(ctx, service) })
}

// Uninstall stops the service and removes everything that Install created.
func Uninstall(ctx context.Context) error {
	return control("uninstall", func(service *mgr.Service) error {
		if err := stop(ctx, service); err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
			return err
		}
		_ = eventlog.Remove(Name) // no other program has a source with this name
		return service.Delete()
	})
}

func stop(ctx context.Context, service *mgr.Service) error {
	if _, err := service.Control(svc.Stop); err != nil {
		return err
	}
	return awaitEnd(ctx, service, stopTimeout)
}

// control opens the service and runs an action on it.
func control(action string, do func(*mgr.Service) error) error {
	manager, err := mgr.Connect()
	if err != nil {
		return explain(action, err)
	}
	defer func() { _ = manager.Disconnect() }()
	service, err := manager.OpenService(Name)
	if err != nil {
		return explain(action, err)
	}
	defer func() { _ = service.Close() }()
	return explain(action, do(service))
}

// awaitEnd waits until the service has ended.
func awaitEnd(ctx context.Context, service *mgr.Service, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		status, err := service.Query()
		if err != nil || status.State == svc.Stopped {
			return err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("the service has not ended: %w", ctx.Err())
		}
	}
}

// explain adds the action to an error, and a remedy for common errors.
func explain(action string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		err = errors.New("access is denied; run the command as an administrator")
	case errors.Is(err, windows.ERROR_SERVICE_EXISTS):
		err = errors.New("the service already exists; uninstall it first to change its flags")
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		err = errors.New("the service is not installed")
	case errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE):
		err = errors.New("the service is not running")
	case errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING):
		err = errors.New("the service is already running")
	}
	return fmt.Errorf("service %s: %w", action, err)
}
