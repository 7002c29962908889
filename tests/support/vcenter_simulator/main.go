// A vCenter (or a lone ESXi) for tests: govmomi's simulator with what it lacks.
//
// It writes one line of JSON, its port, when it is ready, and ends on SIGTERM or when its standard input ends.
// Besides the simulator's own URLs:
//
//	GET  /control/calls   how often each method was called since the last look
//	POST /control/fault?method=M&fault=F&times=N
//	     the next N calls of M get the fault F (`NoPermission`), HTTP status F (`503`), or no answer (`silence`);
//	     M may be `folder`, for what is asked of datastores
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
)

func main() {
	kind := flag.String("kind", "vcenter", "vcenter or esxi")
	machines := flag.Int("machines", 2, "virtual machines")
	started := flag.Bool("started", false, "whether the machines run")
	user := flag.String("user", "admin@vsphere.local", "user name")
	password := flag.String("password", "", "password")
	certificate := flag.String("certificate", "", "PEM file")
	key := flag.String("key", "", "PEM file")
	page := flag.Int("page", 0, "most objects in one answer, as servers limit them (0: what was asked for)")
	flag.Parse()
	log.SetOutput(io.Discard)

	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	must(err)
	model := modelOf(*kind, *machines, *started)
	must(model.Create())
	largestPage = *page
	extend()
	service := model.Service
	service.RegisterEndpoints = true
	service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(*user, *password)}
	service.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server := service.NewServer()
	server.Config.Handler = &control{next: server.Config.Handler, calls: map[string]int{}}
	ready(server.URL.Port())

	waitForTheEnd()
	model.Remove()
}

// The simulator's own objects give way to ours, under their references.
func extend() {
	content := simulator.Map.Get(vim25.ServiceInstance).(*simulator.ServiceInstance).Content
	collector, index := &pagedCollector{}, &searchIndex{}
	collector.Self, index.Self = content.PropertyCollector, *content.SearchIndex
	simulator.Map.Put(collector)
	simulator.Map.Put(index)
}

// A path of libvirt names one host, so a cluster has one.
func modelOf(kind string, machines int, started bool) *simulator.Model {
	if kind == "esxi" {
		model := simulator.ESX()
		model.Machine, model.Autostart = machines, started
		return model
	}
	model := simulator.VPX()
	model.Machine, model.Autostart = machines, started
	model.Host, model.ClusterHost = 0, 1
	return model
}

func ready(port string) {
	must(json.NewEncoder(os.Stdout).Encode(map[string]string{"port": port}))
}

func waitForTheEnd() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop <- syscall.SIGTERM
	}()
	<-stop
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
