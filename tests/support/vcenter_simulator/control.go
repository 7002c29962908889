package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

var (
	method  = regexp.MustCompile(`Body[^>]*>\s*<(?:\w+:)?(\w+)`)
	arrays  = regexp.MustCompile(`<val [^>]*type="(?:\w+:)?ArrayOf(\w+)"[^>]*>`)
	nothing = `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">` +
		`<soapenv:Body><FetchResponse xmlns="urn:vim25"/></soapenv:Body></soapenv:Envelope>`
	faulty = `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>` +
		`<faultcode>ServerFaultCode</faultcode><faultstring>as the test wants</faultstring><detail>` +
		`<%[1]sFault xmlns="urn:vim25" xsi:type="%[1]s"/></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`
)

// control counts calls, lets them fail, and mends the answers for libvirt.
type control struct {
	next  http.Handler
	mutex sync.Mutex
	calls map[string]int

	fault, faultMethod string
	times              int
}

func (c *control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/control/calls":
		c.tell(w)
	case r.URL.Path == "/control/fault":
		c.set(r)
	case strings.HasPrefix(r.URL.Path, "/folder/"):
		if !c.failed(w, r, "folder") {
			c.next.ServeHTTP(w, r)
		}
	case strings.HasPrefix(r.URL.Path, "/sdk") && r.Method == http.MethodPost:
		c.call(w, r)
	default:
		c.next.ServeHTTP(w, r)
	}
}

func (c *control) tell(w http.ResponseWriter) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	_ = json.NewEncoder(w).Encode(c.calls)
	c.calls = map[string]int{}
}

func (c *control) set(r *http.Request) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.faultMethod, c.fault = r.URL.Query().Get("method"), r.URL.Query().Get("fault")
	c.times, _ = strconv.Atoi(r.URL.Query().Get("times"))
}

func (c *control) call(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	name := "unknown"
	if found := method.FindSubmatch(body); found != nil {
		name = string(found[1])
	}
	if c.failed(w, r, name) {
		return
	}
	answer := httptest.NewRecorder()
	if !c.answered(answer, r, name) {
		_, _ = io.WriteString(w, nothing)
		return
	}
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(typed(answer.Body.Bytes()))
}

// answered is false where the simulator panics: it does for a Fetch of a property that is not set.
func (c *control) answered(w http.ResponseWriter, r *http.Request, name string) (done bool) {
	defer func() {
		if name == "Fetch" && !done {
			_ = recover()
		}
	}()
	c.next.ServeHTTP(w, r)
	return true
}

func (c *control) failed(w http.ResponseWriter, r *http.Request, name string) bool {
	c.mutex.Lock()
	c.calls[name]++
	fails, fault := c.times > 0 && c.faultMethod == name, c.fault
	if fails {
		c.times--
	}
	c.mutex.Unlock()
	if !fails {
		return false
	}
	if fault == "silence" {
		<-r.Context().Done()
	} else if status, err := strconv.Atoi(fault); err == nil {
		w.WriteHeader(status)
	} else {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, faulty, fault)
	}
	return true
}

// typed gives each member of an array its type, which libvirt wants to know (and servers tell).
func typed(answer []byte) []byte {
	var out bytes.Buffer
	for {
		at := arrays.FindSubmatchIndex(answer)
		if at == nil {
			out.Write(answer)
			return out.Bytes()
		}
		kind, begin := string(answer[at[2]:at[3]]), at[1]
		end := bytes.Index(answer[begin:], []byte("</val>"))
		if end < 0 {
			end = len(answer) - begin
		}
		out.Write(answer[:begin])
		out.Write(withTypes(answer[begin:begin+end], kind))
		answer = answer[begin+end:]
	}
}

// A reference has an attribute `type` already, which is another one: it has no namespace.
func withTypes(members []byte, kind string) []byte {
	tag, name := kind, kind
	if kind == "String" {
		tag, name = "string", "xsd:string"
	}
	untyped := regexp.MustCompile(`<` + tag + `((?: type="\w+")?)>`)
	return untyped.ReplaceAll(members, []byte(`<`+tag+` xsi:type="`+name+`"$1>`))
}
