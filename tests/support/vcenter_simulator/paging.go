package main

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

var largestPage int

// pagedCollector answers in pages, as servers do and the simulator does not; each session has its own.
type pagedCollector struct {
	simulator.PropertyCollector
	rest []types.ObjectContent
	size int
}

func (c *pagedCollector) RetrievePropertiesEx(ctx *simulator.Context, r *types.RetrievePropertiesEx) soap.HasFault {
	answer := c.PropertyCollector.RetrievePropertiesEx(ctx, r)
	body, ok := answer.(*methods.RetrievePropertiesExBody)
	if !ok || body.Res == nil {
		return answer
	}
	c.size = pageSize(r.Options.MaxObjects)
	c.rest = body.Res.Returnval.Objects
	body.Res.Returnval.Objects, body.Res.Returnval.Token = c.next()
	return body
}

func (c *pagedCollector) ContinueRetrievePropertiesEx(
	ctx *simulator.Context, r *types.ContinueRetrievePropertiesEx,
) soap.HasFault {
	body := new(methods.ContinueRetrievePropertiesExBody)
	if len(c.rest) == 0 || r.Token != c.token() {
		body.Fault_ = simulator.Fault("", &types.InvalidArgument{InvalidProperty: "token"})
		return body
	}
	objects, token := c.next()
	body.Res = &types.ContinueRetrievePropertiesExResponse{
		Returnval: types.RetrieveResult{Objects: objects, Token: token},
	}
	return body
}

func (c *pagedCollector) next() ([]types.ObjectContent, string) {
	if c.size == 0 || len(c.rest) <= c.size {
		page := c.rest
		c.rest = nil
		return page, ""
	}
	page := c.rest[:c.size]
	c.rest = c.rest[c.size:]
	return page, c.token()
}

func (c *pagedCollector) token() string {
	return fmt.Sprint(len(c.rest))
}

func pageSize(asked int32) int {
	if largestPage > 0 && (asked <= 0 || int(asked) > largestPage) {
		return largestPage
	}
	return int(asked)
}
