package serve

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestDeskURL(t *testing.T) {
	for _, test := range []struct{ listen, host, want string }{
		{":9987", "exporter.example:9986", "https://exporter.example:9987/"},
		{":9987", "exporter.example", "https://exporter.example:9987/"},
		{"0.0.0.0:9987", "10.0.0.1:9986", "https://10.0.0.1:9987/"},
		{"[::]:9987", "[2001:db8::1]:9986", "https://[2001:db8::1]:9987/"},
		{"10.0.0.2:9987", "exporter.example:9986", "https://10.0.0.2:9987/"},
		{"desk.example:9987", "exporter.example:9986", "https://desk.example:9987/"},
		{"127.0.0.1:9987", "localhost:9986", "https://127.0.0.1:9987/"},
		{"127.0.0.1:9987", "127.0.0.1:9986", "https://127.0.0.1:9987/"},
		{"127.0.0.1:9987", "exporter.example:9986", ""}, // not the machine of the browser
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Host = test.host
		if got := deskURL(test.listen, r); got != test.want {
			t.Errorf("%s, asked at %s: %q, want %q", test.listen, test.host, got, test.want)
		}
	}
}
