package auditlog

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// tracedServices are the services whose Trace logs are read, by the name of their folder.
var tracedServices = []string{"Repository", "Proxy", "Scheduler", "Engine", "Printing"}

const (
	// maxTraceLogs is the maximum number of Trace logs that are read of a service, the last
	// written first. A restart of the service, for example under another account, begins
	// new ones.
	maxTraceLogs = 3
	// maxTraceEntries is the maximum number of entries of a Trace folder.
	maxTraceEntries = 10_000
)

// ServiceUsers returns the users that the services of this node run as, from the column
// ServiceUser of their Trace logs (docs/qlik.md, "Service accounts"). Dir is the folder of
// all logs, such as C:\ProgramData\Qlik\Sense\Log. It reads the beginnings of a few regular
// files. Accounts of Windows, such as NT AUTHORITY\SYSTEM, are not in the result, because
// nobody logs in as them.
func ServiceUsers(dir string) ([]qlik.User, error) {
	type result struct {
		users []qlik.User
		err   error
	}
	var found result
	if _, err := inTime(func() (string, error) {
		users, err := serviceUsers(dir)
		found = result{users, err}
		return "", nil
	}); err != nil {
		return nil, err
	}
	return found.users, found.err
}

func serviceUsers(dir string) ([]qlik.User, error) {
	users := make(map[qlik.User]struct{})
	buffer := make([]byte, bufferSize)
	var failed error
	for _, service := range tracedServices {
		names, err := traceLogs(filepath.Join(dir, service, "Trace"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the service is not on this node
		}
		for _, name := range names {
			user, readErr := serviceUser(name, buffer)
			if readErr != nil && err == nil && !errors.Is(readErr, fs.ErrNotExist) {
				err = readErr
			}
			if user != (qlik.User{}) && !ofWindows(user) {
				users[user] = struct{}{}
			}
		}
		if err != nil && failed == nil {
			failed = err
		}
	}
	return slices.SortedFunc(maps.Keys(users), qlik.User.Compare), failed
}

// traceLogs returns the paths of the Trace logs in a folder that were written last.
func traceLogs(dir string) ([]string, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	entries, err := folder.ReadDir(maxTraceEntries)
	_ = folder.Close() // it was only read
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var logs []fs.FileInfo
	for _, entry := range entries {
		if !strings.EqualFold(filepath.Ext(entry.Name()), ".txt") {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			logs = append(logs, info)
		}
	}
	slices.SortStableFunc(logs, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var names []string
	for _, log := range logs[:min(len(logs), maxTraceLogs)] {
		names = append(names, filepath.Join(dir, log.Name()))
	}
	return names, nil
}

// serviceUser returns the user of the last entry in the beginning of a Trace log. It
// returns the zero user if there is none: not every Trace log has the column.
func serviceUser(path string, buffer []byte) (user qlik.User, err error) {
	file, err := openRegular(path)
	if err != nil {
		return qlik.User{}, err
	}
	defer closeFile(file)
	n, err := file.ReadAt(buffer, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return qlik.User{}, err
	}
	names, rest, _ := bytes.Cut(buffer[:n], []byte("\n"))
	column := -1
	index := 0
	for field := range bytes.SplitSeq(bytes.TrimPrefix(names, []byte("\uFEFF")), []byte("\t")) {
		if column < 0 && strings.EqualFold(lettersOnly(field), "ServiceUser") {
			column = index
		}
		index++
	}
	if column < 0 {
		return qlik.User{}, nil
	}
	for {
		line, more, whole := bytes.Cut(rest, []byte("\n"))
		if !whole {
			return user, nil
		}
		rest = more
		index = 0
		for field := range bytes.SplitSeq(bytes.TrimSuffix(line, []byte("\r")), []byte("\t")) {
			if index == column {
				directory, id, found := strings.Cut(string(bytes.TrimSpace(field)), `\`)
				if named := qlik.NewUser(directory, id); found && directory != "" && id != "" && !named.TooLong() {
					user = named
				}
				break
			}
			index++
		}
	}
}

// ofWindows reports whether a user is an account of Windows itself.
func ofWindows(user qlik.User) bool {
	switch user.Directory {
	case "NT AUTHORITY", "NT SERVICE", "IIS APPPOOL", "BUILTIN", "FONT DRIVER HOST", "WINDOW MANAGER", ".":
		return true
	default:
		// In other languages, the directory is translated (AUTORITE NT), and a computer has an
		// account that ends in $.
		return strings.HasSuffix(user.ID, "$") || strings.HasPrefix(user.Directory, "NT-") ||
			slices.Contains([]string{"AUTORITE NT", "AUTORITÉ NT", "SERVICE NT"}, user.Directory)
	}
}
