package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// searchIndex finds all machines of a UUID, where the simulator finds one.
type searchIndex struct {
	simulator.SearchIndex
}

func (s *searchIndex) FindAllByUuid(r *types.FindAllByUuid) soap.HasFault {
	found := []types.ManagedObjectReference{}
	for _, entity := range simulator.Map.All("VirtualMachine") {
		machine := entity.(*simulator.VirtualMachine)
		if machine.Config != nil && machine.Config.Uuid == r.Uuid {
			found = append(found, machine.Self)
		}
	}
	return &methods.FindAllByUuidBody{Res: &types.FindAllByUuidResponse{Returnval: found}}
}
