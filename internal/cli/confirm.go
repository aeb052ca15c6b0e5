package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

// confirmed asks a question on a terminal. Only "y" and "yes" agree.
func confirmed(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	if _, err := fmt.Fprintf(out, "%s [y/N] ", question); err != nil {
		return false, err
	}
	// Reading from a terminal cannot be canceled. On an interrupt, this goroutine ends
	// with the program.
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n')
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case answer := <-answered:
		return answer == "y" || answer == "yes", nil
	case <-ctx.Done():
		return false, nil
	}
}
