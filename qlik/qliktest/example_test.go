package qliktest_test

import (
	"fmt"
	"io"
	"net/http"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func Example() {
	site, err := qliktest.Start(qliktest.Config{
		Users: []qliktest.User{{Directory: "LAB", ID: "goran", License: qliktest.Professional}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer site.Close()
	for i := range 6 {
		session, err := site.Login("LAB", "goran", fmt.Sprintf("browser %d", i+1), "", "")
		if err != nil {
			fmt.Println(err)
			return
		}
		if !session.Granted {
			fmt.Println(session.Device, "is refused")
		}
	}

	client := site.Client()
	defer client.CloseIdleConnections()
	request, err := http.NewRequest(http.MethodGet, "https://qlik1:4243/qps/alive?Xrfkey=0123456789abcdef", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	request.Header.Set("X-Qlik-Xrfkey", "0123456789abcdef")
	response, err := client.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Printf("%s %v\n", body, err)
	// Output:
	// browser 6 is refused
	// {"value":true} <nil>
}
